import { beforeEach, expect, test } from "vitest";
import {
  LISTENING_RULES,
  type Listening,
  type LookPorts,
  Looks,
  SPEECH_RULES,
} from "../../src/runner/looks.ts";

let now = 0;
let looked: string[] = [];
let answers: PromiseWithResolvers<Listening>[] = [];
let looks = new Looks(LISTENING_RULES);
const ports: LookPorts<Listening> = {
  now: () => now,
  wait: async (ms) => {
    now += ms;
  },
  look: ({ origin }) => {
    looked.push(origin);
    const answer = Promise.withResolvers<Listening>();
    answers.push(answer);
    return answer.promise;
  },
};

beforeEach(() => {
  now = 0;
  looked = [];
  answers = [];
  looks = new Looks(LISTENING_RULES);
});

test("a place is looked at once in two seconds, whatever the path", async () => {
  const first = looks.at("http://a.example:81/x", ports);
  answers[0]?.resolve("yes");
  expect(await first).toBe("yes");
  now = 1_999;
  expect(await looks.at("http://a.example:81/y", ports)).toBe("yes");
  now = 2_000;
  const again = looks.at("http://a.example:81/", ports);
  answers[1]?.resolve("no");
  expect(await again).toBe("no");
  expect(looked).toEqual(["http://a.example:81", "http://a.example:81"]);
});

test("http and https are two places", async () => {
  void looks.at("http://a.example/", ports);
  void looks.at("https://a.example/", ports);
  expect(looked).toEqual(["http://a.example", "https://a.example"]);
});

test("who comes while one looks is told the same, but waits no longer than a look takes", async () => {
  void looks.at("http://a.example/", ports);
  const second = looks.at("http://a.example/", ports);
  answers[0]?.resolve("yes");
  expect(await second).toBe("yes");
  void looks.at("http://b.example/", ports);
  expect(await looks.at("http://b.example/", ports)).toBe("unknown");
  expect(looked).toHaveLength(2);
});

test("few look at a time", async () => {
  for (let i = 0; i < 4; i++) void looks.at(`http://${i}.example/`, ports);
  expect(await looks.at("http://4.example/", ports)).toBe("unknown");
  expect(looked).toHaveLength(4);
});

test("what costs the target a request is done once in half a minute, and what it told then goes on", async () => {
  const speech = new Looks(SPEECH_RULES);
  const told = ["what came is no HTTP", null];
  const asking = { ...ports, look: async () => told.shift() ?? null };
  expect(await speech.at("http://a.example/x", asking)).toBe("what came is no HTTP");
  now = 29_999;
  expect(await speech.at("http://a.example/y", asking)).toBe("what came is no HTTP");
  now = 30_000;
  expect(await speech.at("http://a.example/x", asking)).toBeNull();
});
