import { beforeEach, expect, test } from "vitest";
import { SharedLoad } from "../../../src/api/access/shared-load.ts";

let now: number;
let begun: number;
let shared: SharedLoad<string>;
/** Ends the loads under way, in the order in which they began. */
let ends: (() => void)[];

/** Time goes on by those who wait for it; after each step everyone else has their turn. */
async function wait(ms: number): Promise<void> {
  now += ms / 100;
  await new Promise((resolve) => setImmediate(resolve));
}

function load(): Promise<string> {
  const number = ++begun;
  return new Promise((resolve) => ends.push(() => resolve(`load ${number}`)));
}

const turns = async (): Promise<void> => {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
};

beforeEach(() => {
  now = 1_000;
  begun = 0;
  ends = [];
  shared = new SharedLoad({ limit: 1, perMs: 1_000, burst: 2 }, { now: () => now, wait });
});

test("makes one load for all who ask while the one before is under way", async () => {
  const first = shared.get(load);
  const others = Array.from({ length: 50 }, () => shared.get(load));
  await turns();
  expect(begun).toBe(1);
  ends[0]?.();
  expect(await first).toBe("load 1");
  await turns();
  ends[1]?.();
  expect(new Set(await Promise.all(others))).toEqual(new Set(["load 2"]));
  expect(begun).toBe(2);
});

test("gives nobody what was begun before they asked", async () => {
  const first = shared.get(load);
  const second = shared.get(load);
  ends[0]?.();
  await first;
  await turns();
  ends[1]?.();
  expect(await second).toBe("load 2");
});

test("makes no more loads than the rate allows, and refuses who has waited for three seconds", async () => {
  shared = new SharedLoad({ limit: 1, perMs: 3_600_000, burst: 2 }, { now: () => now, wait });
  for (let i = 0; i < 2; i++) {
    const one = shared.get(load);
    ends[i]?.();
    await one;
  }
  await expect(shared.get(load)).rejects.toMatchObject({ code: "overloaded" });
  expect(begun).toBe(2);
});

test("tells all who wait of a load that fails", async () => {
  const fails = () => Promise.reject(new Error("down"));
  const first = shared.get(load);
  const others = [shared.get(fails), shared.get(fails)];
  const outcomes = Promise.allSettled(others);
  ends[0]?.();
  await first;
  expect((await outcomes).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
});

test("does not wait for a load whose request is gone", async () => {
  void shared.get(load);
  now += 1_000;
  const second = shared.get(load);
  expect(begun).toBe(2);
  ends[1]?.();
  expect(await second).toBe("load 2");
});

test("goes on where the clock is put back", async () => {
  for (let i = 0; i < 2; i++) {
    const one = shared.get(load);
    ends[i]?.();
    await one;
  }
  now = 0;
  const next = shared.get(load);
  ends[2]?.();
  expect(await next).toBe("load 3");
});
