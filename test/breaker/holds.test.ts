import { describe, expect, test } from "vitest";
import { holdOf, NO_HOLDS, noteHold } from "../../src/breaker/holds.ts";
import { MAX_INTERVAL_MS } from "../../src/schema/limits.ts";

const NOW = 1_800_000_000_000;

describe("holds", () => {
  test("keep the latest end that a queue was asked for, each queue's own", () => {
    const first = noteHold(NO_HOLDS, 1, NOW + 2_000, NOW);
    expect(noteHold(first, 1, NOW + 1_000, NOW)).toBe(first);
    const later = noteHold(noteHold(first, 1, NOW + 3_000, NOW), 2, NOW + 500, NOW);
    expect([1, 2, 3].map((ref) => holdOf(later, ref, NOW))).toEqual([
      { holdUntil: NOW + 3_000 },
      { holdUntil: NOW + 500 },
      {},
    ]);
  });

  test("end by time, and are dropped with the next one", () => {
    const held = noteHold(NO_HOLDS, 1, NOW + 1_000, NOW);
    expect(holdOf(held, 1, NOW + 999)).toEqual({ holdUntil: NOW + 1_000 });
    expect(holdOf(held, 1, NOW + 1_000)).toEqual({});
    expect([...noteHold(held, 2, NOW + 5_000, NOW + 1_000).keys()]).toEqual([2]);
  });

  test("are none where a shard says nothing, or what is past", () => {
    expect(noteHold(NO_HOLDS, 1, undefined, NOW)).toBe(NO_HOLDS);
    expect(noteHold(NO_HOLDS, 1, NOW, NOW)).toBe(NO_HOLDS);
  });

  test("reach no further than any target may ask for", () => {
    const held = noteHold(NO_HOLDS, 1, Number.MAX_SAFE_INTEGER, NOW);
    expect(holdOf(held, 1, NOW)).toEqual({ holdUntil: NOW + MAX_INTERVAL_MS });
  });

  test("are bounded: those that end first go", () => {
    let holds = NO_HOLDS;
    for (let ref = 1; ref <= 1_500; ref++) holds = noteHold(holds, ref, NOW + ref * 1_000, NOW);
    expect(holds.size).toBe(1_000);
    expect(holdOf(holds, 1_500, NOW)).not.toEqual({});
    expect(holdOf(holds, 501, NOW)).not.toEqual({});
    expect(holdOf(holds, 500, NOW)).toEqual({});
  });
});
