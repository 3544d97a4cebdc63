import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Ramp, rampAfter, rampedLimit, startRamp } from "../../../src/core/pressure/ramp.ts";

const rampedBy = (ramp: Ramp | null, outcomes: boolean[]) =>
  outcomes.reduce<Ramp | null>((now, ok) => (now === null ? null : rampAfter(now, ok)), ramp);
const oks = (count: number) => Array<boolean>(count).fill(true);

describe("startRamp", () => {
  test("begins at 1, and is not needed up to 1", () => {
    expect(startRamp(20)).toEqual({ limit: 1, goal: 20, successes: 0 });
    expect(startRamp(1)).toBeNull();
  });
});

describe("rampAfter", () => {
  test("doubles with every round of successes, until the goal", () => {
    const limits = Array.from({ length: 16 }, (_, n) => rampedLimit(20, rampedBy(startRamp(20), oks(n))));
    expect(limits).toEqual([1, 2, 2, 4, 4, 4, 4, 8, 8, 8, 8, 8, 8, 8, 8, 16]);
    expect(rampedBy(startRamp(20), oks(31))).toBeNull();
  });

  test("halves after a failure, but never below 1", () => {
    expect(rampedBy(startRamp(20), [...oks(7), true, false])).toEqual({ limit: 4, goal: 20, successes: 0 });
    expect(rampedBy(startRamp(20), [false])).toEqual({ limit: 1, goal: 20, successes: 0 });
  });

  test("stays within 1 and its goal, never more than doubles, and ends after twice the goal of successes", () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 10_000 }), fc.array(fc.boolean()), (goal, outcomes) => {
        let ramp = startRamp(goal);
        for (const ok of outcomes) {
          if (ramp === null) break;
          const next: Ramp | null = rampAfter(ramp, ok);
          const limit = rampedLimit(goal, next);
          expect(limit).toBeGreaterThanOrEqual(1);
          expect(limit).toBeLessThanOrEqual(Math.min(goal, 2 * ramp.limit));
          ramp = next;
        }
        expect(rampedBy(startRamp(goal), oks(2 * goal))).toBeNull();
      }),
    );
  });
});

describe("rampedLimit", () => {
  test("lets the lower limit win", () => {
    const ramp = { limit: 4, goal: 20, successes: 0 };
    expect([rampedLimit(20, ramp), rampedLimit(3, ramp), rampedLimit(20, null)]).toEqual([4, 3, 20]);
  });
});
