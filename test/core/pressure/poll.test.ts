import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  isPollsTurn,
  isRipe,
  letGoPollAt,
  mostPolls,
  mostPollsOfOne,
  pollWaitMs,
  streaksAfter,
  withoutRipe,
} from "../../../src/core/pressure/poll.ts";

const EVEN = () => 0.5;

describe("pollWaitMs", () => {
  test("is the period until ten polls in a row have failed, then a period more for each ten, up to eight", () => {
    const waits = [0, 9, 10, 19, 20, 70, 80, 10_000].map((failures) => pollWaitMs(1_000, failures, EVEN));
    expect(waits).toEqual([1_000, 1_000, 2_000, 2_000, 3_000, 8_000, 8_000, 8_000]);
  });

  test("grows to ten minutes at most, and is never less than the period", () => {
    expect(pollWaitMs(120_000, 1_000, EVEN)).toBe(600_000);
    expect(pollWaitMs(3_600_000, 1_000, EVEN)).toBe(3_600_000);
  });

  test("is a twentieth longer or shorter by chance", () => {
    const chance = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    fc.assert(
      fc.property(chance, (random) => {
        const waitMs = pollWaitMs(10_000, 0, () => random);
        expect(waitMs).toBeGreaterThanOrEqual(9_500);
        expect(waitMs).toBeLessThanOrEqual(10_500);
      }),
    );
  });
});

describe("letGoPollAt", () => {
  const poll = { dueAt: 100_000, periodMs: 1_000, failures: 0 };

  test("is a period from now where what was asked for is over", () => {
    expect(letGoPollAt(poll, 0, 10_000, EVEN)).toBe(11_000);
    expect(letGoPollAt({ ...poll, failures: 20 }, 0, 10_000, EVEN)).toBe(13_000);
  });

  test("is as late as may still be asked for", () => {
    expect(letGoPollAt(poll, 30_000, 10_000, EVEN)).toBe(40_000);
    expect(letGoPollAt(poll, 90_000, 10_000, EVEN)).toBe(100_000);
  });

  test("stays where it waits for its period alone", () => {
    expect(letGoPollAt({ ...poll, dueAt: 11_050 }, 0, 10_000, () => 0)).toBe(11_050);
    expect(letGoPollAt({ ...poll, dueAt: 11_051 }, 0, 10_000, () => 0)).toBe(10_950);
  });
});

describe("mostPolls", () => {
  test("is a quarter of the calls, and at least one", () => {
    expect([0, 1, 4, 7, 8, 64].map(mostPolls)).toEqual([1, 1, 1, 1, 2, 16]);
  });
});

describe("mostPollsOfOne", () => {
  test("is half of all polls, and a quarter of what the target may have, and at least one", () => {
    expect([
      mostPollsOfOne(8, 64),
      mostPollsOfOne(8, 12),
      mostPollsOfOne(1, 64),
      mostPollsOfOne(8, 1),
    ]).toEqual([4, 3, 1, 1]);
  });
});

describe("isPollsTurn", () => {
  test("comes after three attempts", () => {
    expect([0, 2, 3, 4].map(isPollsTurn)).toEqual([false, false, true, true]);
  });
});

describe("streaks", () => {
  test("are counted apart for each number that is wanted, and begin again with a failure", () => {
    let streaks: Record<string, number> = { 2: 0, 3: 1 };
    streaks = streaksAfter(streaks, true);
    expect(streaks).toEqual({ 2: 1, 3: 2 });
    expect(streaksAfter(streaks, false)).toEqual({ 2: 0, 3: 0 });
  });

  test("are ripe where they are as long as wanted; one success is enough for who wants one", () => {
    const streaks = { 2: 1, 3: 3 };
    expect([1, 2, 3, 4].map((wanted) => isRipe(streaks, wanted))).toEqual([true, false, true, false]);
    expect(withoutRipe(streaks)).toEqual({ 2: 1 });
  });
});
