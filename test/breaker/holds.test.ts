import { describe, expect, test } from "vitest";
import { holdNews, knownHolds, NO_HOLDS, noteHold, releaseHolds } from "../../src/breaker/holds.ts";
import type { BreakerSync } from "../../src/protocol/breaker-api.ts";
import { MAX_INTERVAL_MS } from "../../src/schema/limits.ts";
import { buildSync } from "../support/shard/breaker-world.ts";

const NOW = 1_800_000_000_000;

/** What a shard of a queue says that was asked for so many milliseconds just now. */
function asked(queueRef: number, forMs: number, more: Partial<BreakerSync> = {}): BreakerSync {
  return buildSync(`q${queueRef}-0`, { holdFrom: NOW, holdUntil: NOW + forMs, ...more });
}

describe("holds", () => {
  test("keep the latest end that a queue was asked for, each queue's own", () => {
    const first = noteHold(NO_HOLDS, asked(1, 2_000), NOW);
    expect(noteHold(first, asked(1, 1_000), NOW)).toBe(first);
    const later = noteHold(noteHold(first, asked(1, 3_000), NOW), asked(2, 500), NOW);
    expect([1, 2, 3].map((ref) => holdNews(later, ref, NOW))).toEqual([
      { holdUntil: NOW + 3_000, holdFrom: NOW },
      { holdUntil: NOW + 500, holdFrom: NOW },
      {},
    ]);
    expect(knownHolds(later, NOW)).toEqual([
      { queueRef: 1, from: NOW, until: NOW + 3_000 },
      { queueRef: 2, from: NOW, until: NOW + 500 },
    ]);
  });

  test("end by time, and are dropped with the next one", () => {
    const held = noteHold(NO_HOLDS, asked(1, 1_000), NOW);
    expect(holdNews(held, 1, NOW + 999)).toEqual({ holdUntil: NOW + 1_000, holdFrom: NOW });
    expect(holdNews(held, 1, NOW + 1_000)).toEqual({});
    expect(knownHolds(held, NOW + 1_000)).toEqual([]);
    expect([...noteHold(held, asked(2, 5_000), NOW + 1_000).byQueue.keys()]).toEqual([2]);
  });

  test("are none where a shard says nothing, or what is past", () => {
    expect(noteHold(NO_HOLDS, buildSync("q1-0"), NOW)).toBe(NO_HOLDS);
    expect(noteHold(NO_HOLDS, asked(1, 0), NOW)).toBe(NO_HOLDS);
  });

  test("reach no further than any setting allows, whatever a shard says", () => {
    const held = noteHold(NO_HOLDS, asked(1, 10 * MAX_INTERVAL_MS, { maxHoldMs: 10 * MAX_INTERVAL_MS }), NOW);
    expect(holdNews(held, 1, NOW)).toMatchObject({ holdUntil: NOW + MAX_INTERVAL_MS });
  });

  test("are as long as the queue allows by what it said last", () => {
    const held = noteHold(NO_HOLDS, asked(1, 60_000), NOW);
    const cut = noteHold(held, asked(1, 60_000, { maxHoldMs: 5_000 }), NOW + 1_000);
    expect(holdNews(cut, 1, NOW + 1_000)).toEqual({ holdUntil: NOW + 5_000, holdFrom: NOW });
    expect(holdNews(noteHold(held, buildSync("q1-1", { maxHoldMs: 0 }), NOW), 1, NOW)).toEqual({});
  });

  test("that are released do not come back by shards that have not heard", () => {
    const held = noteHold(NO_HOLDS, asked(1, 60_000), NOW);
    const released = releaseHolds(held, NOW + 10);
    expect(holdNews(released, 1, NOW + 10)).toEqual({ holdsEndedAt: NOW + 10 });
    expect(noteHold(released, asked(1, 60_000), NOW + 20)).toBe(released);
    const again = noteHold(released, asked(1, 30_000, { holdFrom: NOW + 15 }), NOW + 20);
    expect(holdNews(again, 1, NOW + 20)).toEqual({
      holdUntil: NOW + 30_000,
      holdFrom: NOW + 15,
      holdsEndedAt: NOW + 10,
    });
    expect(knownHolds(held, NOW)).toHaveLength(1);
  });

  test("that were asked for by a clock that is ahead are over with the others", () => {
    const ahead = asked(1, 60_000, { holdFrom: NOW + 1_500, holdUntil: NOW + 61_500 });
    const released = releaseHolds(noteHold(NO_HOLDS, ahead, NOW), NOW + 600);
    expect(noteHold(released, ahead, NOW + 700)).toBe(released);
    expect(knownHolds(released, NOW + 700)).toEqual([]);
  });

  test("count from now on where an older release does not say since when", () => {
    const { holdFrom: _, ...older } = asked(1, 60_000);
    const held = noteHold(releaseHolds(NO_HOLDS, NOW - 1), older, NOW);
    expect(holdNews(held, 1, NOW)).toMatchObject({ holdUntil: NOW + 60_000, holdFrom: NOW });
  });

  test("are of the queues that are held longest, where there are too many", () => {
    let holds = NO_HOLDS;
    for (let ref = 1; ref <= 1_500; ref++) holds = noteHold(holds, asked(ref, ref * 1_000), NOW);
    expect(holds.byQueue.size).toBe(1_000);
    expect(holdNews(holds, 1_500, NOW)).not.toEqual({});
    expect(holdNews(holds, 501, NOW)).not.toEqual({});
    expect(holdNews(holds, 500, NOW)).toEqual({});
  });
});
