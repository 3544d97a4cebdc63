import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  addCount,
  type SlidingCounts,
  slidingCounts,
  sumOf,
} from "../../../src/core/pressure/sliding-counts.ts";

const BUCKET_MS = 10_000;
const BUCKETS = 6;
const at = (...times: number[]): SlidingCounts =>
  times.reduce((window, now) => addCount(window, now, 1), slidingCounts(BUCKET_MS, BUCKETS));

describe("sliding counts", () => {
  test("count nothing to begin with", () => {
    expect(sumOf(slidingCounts(BUCKET_MS, BUCKETS), 1_000_000)).toBe(0);
  });

  test("keep a count until its bucket leaves the window", () => {
    const window = at(1_000_000);
    expect([1_000_000, 1_059_999, 1_060_000].map((now) => sumOf(window, now))).toEqual([1, 1, 0]);
  });

  test("forget all after a long pause", () => {
    expect(sumOf(addCount(at(1_000_000, 1_030_000), 9_000_000, 2), 9_000_000)).toBe(2);
  });

  test("count what comes from a clock that went back into the newest bucket", () => {
    const window = addCount(at(1_050_000), 1_000_000, 1);
    expect([sumOf(window, 1_000_000), sumOf(window, 1_109_999), sumOf(window, 1_110_000)]).toEqual([2, 2, 0]);
  });

  test("sum all of the last five to six buckets of time, and nothing older", () => {
    const times = fc.array(fc.integer({ min: 0, max: 300_000 }), { maxLength: 50 });
    fc.assert(
      fc.property(times, fc.integer({ min: 0, max: 100_000 }), (unsorted, laterMs) => {
        const sorted = unsorted.toSorted((a, b) => a - b);
        const now = (sorted.at(-1) ?? 0) + laterMs;
        const within = (ms: number) => sorted.filter((time) => now - time < ms).length;
        const sum = sumOf(at(...sorted), now);
        expect(sum).toBeGreaterThanOrEqual(within((BUCKETS - 1) * BUCKET_MS));
        expect(sum).toBeLessThanOrEqual(within(BUCKETS * BUCKET_MS));
      }),
    );
  });
});
