import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  NO_STRETCH,
  type QueueStretch,
  stretchAt,
  stretchedDelayMs,
} from "../../../src/core/policy/stretch.ts";

const NOW = Date.parse("2026-11-23T10:00:00.000Z");
const situation = { loadFactor: 0.5, stretch: { factor: 4, lookedAt: NOW } };

/** The factors after looking once a second. */
function factors(from: QueueStretch, waiting: readonly number[]): number[] {
  let stretch = from;
  return waiting.map((count, second) => {
    stretch = stretchAt(stretch, count, NOW + second * 1_000);
    return stretch.factor;
  });
}

describe("stretchedDelayMs", () => {
  test.each([
    ["off", 1_000],
    ["load", 1_500],
    ["queue", 4_000],
  ] as const)("stretches by mode %s", (mode, expected) => {
    expect(stretchedDelayMs(1_000, mode, situation)).toBe(expected);
  });

  test("is whole, never shorter than the wait, and at most twice as long by load", () => {
    fc.assert(
      fc.property(fc.nat(10 ** 9), fc.double({ min: 0, max: 1, noNaN: true }), (delayMs, loadFactor) => {
        const stretchedMs = stretchedDelayMs(delayMs, "load", { loadFactor, stretch: NO_STRETCH });
        expect(Number.isInteger(stretchedMs)).toBe(true);
        expect(stretchedMs).toBeGreaterThanOrEqual(delayMs);
        expect(stretchedMs).toBeLessThanOrEqual(2 * delayMs);
      }),
    );
  });
});

describe("stretchAt", () => {
  test("doubles while over 100 tasks wait, and halves below", () => {
    expect(factors(NO_STRETCH, [101, 500, 101, 100, 99, 0, 0])).toEqual([2, 4, 8, 4, 2, 1, 1]);
  });

  test("takes a hundred failures at one instant for one", () => {
    const once = stretchAt(NO_STRETCH, 500, NOW);
    expect(stretchAt(once, 501, NOW + 999)).toBe(once);
  });

  test("goes up to 64", () => {
    expect(factors(NO_STRETCH, Array<number>(10).fill(200)).at(-1)).toBe(64);
  });

  test("halves for each second that nobody looked", () => {
    const stretch = { factor: 64, lookedAt: NOW };
    expect(stretchAt(stretch, 10, NOW + 3_500).factor).toBe(8);
    expect(stretchAt(stretch, 10, NOW + 3_600_000).factor).toBe(1);
  });

  test("is not moved by a clock that went back", () => {
    const stretch = { factor: 8, lookedAt: NOW };
    expect(stretchAt(stretch, 500, NOW - 60_000)).toBe(stretch);
  });
});
