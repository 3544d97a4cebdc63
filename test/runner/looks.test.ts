import { beforeEach, expect, test } from "vitest";
import { type Listening, type LookPorts, Looks } from "../../src/runner/looks.ts";

let now = 0;
let looked: string[] = [];
let answers: PromiseWithResolvers<Listening>[] = [];
let looks = new Looks();
const ports: LookPorts = {
  now: () => now,
  wait: async (ms) => {
    now += ms;
  },
  look: (hostname, port) => {
    looked.push(`${hostname}:${port}`);
    const answer = Promise.withResolvers<Listening>();
    answers.push(answer);
    return answer.promise;
  },
};

beforeEach(() => {
  now = 0;
  looked = [];
  answers = [];
  looks = new Looks();
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
  expect(looked).toEqual(["a.example:81", "a.example:81"]);
});

test("ports are those of the scheme where none is said", async () => {
  void looks.at("http://a.example/", ports);
  void looks.at("https://a.example/", ports);
  expect(looked).toEqual(["a.example:80", "a.example:443"]);
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
