import { describe, expect, test } from "vitest";
import { mergeTargets, type QueueTarget } from "../../../src/api/breakers/merge-targets.ts";

const buildTarget = (name: string, overrides: Partial<QueueTarget> = {}): QueueTarget => ({
  key: name,
  breaker: name,
  state: "closed",
  usedAt: 0,
  parked: 0,
  queue: "a",
  ...overrides,
});
const names = (...args: Parameters<typeof mergeTargets>) => mergeTargets(...args).map(({ name }) => name);

describe("mergeTargets", () => {
  test("lists a breaker once, however many shards know of it", () => {
    expect(mergeTargets([buildTarget("x"), buildTarget("x", { queue: "b" })], null)).toEqual([
      { name: "x", queue: null, holds: [] },
    ]);
  });

  test("puts those first whose target is held, and says by which queue and until when", () => {
    const targets = [
      buildTarget("x", { usedAt: 9 }),
      buildTarget("y", { heldUntil: 5_000 }),
      buildTarget("y", { heldUntil: 6_000, queue: "b" }),
    ];
    expect(mergeTargets(targets, null)).toMatchObject([
      {
        name: "y",
        holds: [
          { queue: "a", until: 5_000 },
          { queue: "b", until: 6_000 },
        ],
      },
      { name: "x", holds: [] },
    ]);
  });

  test("puts those first that are not closed in any shard, then those called last in any", () => {
    const targets = [
      buildTarget("x", { usedAt: 5 }),
      buildTarget("y", { usedAt: 1 }),
      buildTarget("z", { usedAt: 2 }),
      buildTarget("y", { usedAt: 9 }),
      buildTarget("z", { state: "open" }),
    ];
    expect(names(targets, null)).toEqual(["z", "y", "x"]);
  });

  test("puts those first that a shard says are in the state asked for", () => {
    const targets = [buildTarget("x", { state: "open", usedAt: 9 }), buildTarget("y", { usedAt: 1 })];
    expect(names(targets, "closed")).toEqual(["y", "x"]);
    expect(names(targets, "open")).toEqual(["x", "y"]);
  });

  test("names the queue where no other goes by the breaker", () => {
    const own = buildTarget("https://a.example.com", { breaker: "q7 https://a.example.com" });
    expect(mergeTargets([own, buildTarget("key:a/x")], null).map(({ queue }) => queue)).toEqual(["a", "a"]);
  });
});
