import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  isFalling,
  type Limit,
  limitInForce,
  noteOverload,
  noteSuccess,
  noteUse,
  START_LIMIT,
  startLimit,
} from "../../../src/core/pressure/limit.ts";

const NOW = Date.parse("2026-11-23T10:00:00.000Z");
const CAP = 256;

const build = (over: Partial<Limit>): Limit => ({ ...startLimit(1), ...over });
/** Past the slow start. */
const settled = (value: number, over: Partial<Limit> = {}): Limit =>
  build({ value, slowStart: false, windowLeft: Math.floor(value), ...over });

/** As many successes as make a window, with the limit reached (or not). */
function window(limit: Limit, { used = true, slowness = 1, cap = CAP } = {}): Limit {
  const inForce = limitInForce(limit, cap);
  let next = used ? noteUse(limit, inForce, cap) : limit;
  for (let left = limit.windowLeft; left > 0; left--) next = noteSuccess(next, cap, slowness);
  return next;
}

describe("startLimit", () => {
  test("divides the start among the shards, one call at least", () => {
    expect([1, 4, 256].map((shards) => startLimit(shards).value)).toEqual([START_LIMIT, 5, 1]);
  });
});

describe("limitInForce", () => {
  test("is whole, within the cap, and never under 1", () => {
    expect(limitInForce(settled(7.9), CAP)).toBe(7);
    expect(limitInForce(settled(20), 3)).toBe(3);
    expect(limitInForce(settled(20), 0)).toBe(1);
  });
});

describe("noteSuccess", () => {
  test("doubles by window in the slow start", () => {
    expect(window(window(startLimit(4))).value).toBe(20);
  });

  test("adds one by window after it", () => {
    expect(window(window(settled(10))).value).toBe(12);
  });

  test("changes nothing before the window is full", () => {
    const limit = settled(10, { windowLeft: 3, used: true });
    expect(noteSuccess(limit, CAP, 1)).toEqual({ ...limit, windowLeft: 2 });
  });

  test("does not raise a limit that was not reached", () => {
    expect(window(settled(10), { used: false }).value).toBe(10);
    expect(window(startLimit(1), { used: false })).toMatchObject({ value: START_LIMIT, slowStart: true });
  });

  test("asks anew in each window whether the limit was reached", () => {
    expect(window(window(settled(10)), { used: false }).value).toBe(11);
  });

  test("stops at the cap, and comes down to one that was lowered", () => {
    expect(window(settled(255.5)).value).toBe(256);
    expect(window(settled(100), { cap: 30, used: false }).value).toBe(30);
  });

  test("holds, and ends the slow start, where the target takes half as long again as usual", () => {
    expect(window(startLimit(1), { slowness: 1.5 })).toMatchObject({ value: START_LIMIT, slowStart: false });
    expect(window(startLimit(1), { slowness: 1.49 }).value).toBe(2 * START_LIMIT);
  });

  test("falls by one where the target takes twice as long as usual, but not under its start", () => {
    expect(window(settled(30), { slowness: 2 }).value).toBe(29);
    expect(window(settled(START_LIMIT), { slowness: 9 }).value).toBe(START_LIMIT);
    expect(window(settled(3), { slowness: 9 }).value).toBe(3);
  });
});

describe("noteUse", () => {
  test("sees the limit reached at its whole part, or at the cap", () => {
    expect(noteUse(settled(7.9), 6, CAP).used).toBe(false);
    expect(noteUse(settled(7.9), 7, CAP).used).toBe(true);
    expect(noteUse(settled(7.9), 4, 4).used).toBe(true);
  });
});

describe("noteOverload", () => {
  test("cuts to seven tenths and ends the slow start", () => {
    expect(noteOverload(startLimit(1), NOW - 50, NOW)).toMatchObject({ value: 14, slowStart: false });
  });

  test("cuts once a second at most", () => {
    const cut = noteOverload(settled(100), NOW - 50, NOW);
    expect(noteOverload(cut, NOW + 1, NOW + 999).value).toBe(70);
    expect(noteOverload(cut, NOW + 1, NOW + 1_000).value).toBeCloseTo(49);
  });

  test("does not cut again for calls that were under way at the last cut", () => {
    const cut = noteOverload(settled(100), NOW - 50, NOW);
    expect(noteOverload(cut, NOW - 1, NOW + 20_000).value).toBe(70);
  });

  test("begins the window anew where it does not cut", () => {
    const cut = noteOverload(settled(10), NOW - 50, NOW);
    const almost = { ...cut, windowLeft: 1, used: true };
    const after = noteOverload(almost, NOW, NOW + 10);
    expect(noteSuccess(after, CAP, 1).value).toBe(7);
  });

  test("leaves one call", () => {
    expect(noteOverload(settled(1.2), NOW, NOW).value).toBe(1);
  });
});

describe("isFalling", () => {
  const cutTwice = (between: (limit: Limit) => Limit) =>
    noteOverload(between(noteOverload(settled(100), NOW, NOW)), NOW + 1, NOW + 1_000);

  test("is false before a cut, and after one alone", () => {
    expect(isFalling(settled(100), NOW)).toBe(false);
    expect(isFalling(noteOverload(settled(100), NOW, NOW), NOW)).toBe(false);
  });

  test("is true for five seconds after a second cut", () => {
    const limit = cutTwice((same) => same);
    expect(isFalling(limit, NOW + 5_999)).toBe(true);
    expect(isFalling(limit, NOW + 6_000)).toBe(false);
  });

  test("is false where the limit rose between the cuts", () => {
    expect(isFalling(cutTwice(window), NOW + 1_000)).toBe(false);
  });

  test("stays true where it only held between the cuts", () => {
    expect(
      isFalling(
        cutTwice((limit) => window(limit, { used: false })),
        NOW + 1_000,
      ),
    ).toBe(true);
  });
});

describe("a limit", () => {
  test("stays within 1 and its cap, and never rises by a sign of overload, whatever comes", () => {
    const event = fc.record({
      kind: fc.constantFrom("use", "success", "overload"),
      slowness: fc.double({ min: 1, max: 10, noNaN: true }),
      passedMs: fc.nat(1_500),
      tookMs: fc.nat(20_000),
    });
    const shards = fc.integer({ min: 1, max: 256 });
    const caps = fc.integer({ min: START_LIMIT, max: 1_000 });
    fc.assert(
      fc.property(fc.array(event, { maxLength: 300 }), shards, caps, (events, among, cap) => {
        let limit = startLimit(among);
        let now = NOW;
        for (const { kind, slowness, passedMs, tookMs } of events) {
          now += passedMs;
          const before = limit.value;
          if (kind === "use") limit = noteUse(limit, limitInForce(limit, cap), cap);
          if (kind === "success") limit = noteSuccess(limit, cap, slowness);
          if (kind === "overload") limit = noteOverload(limit, now - tookMs, now);
          expect(limit.value).toBeGreaterThanOrEqual(1);
          expect(limit.value).toBeLessThanOrEqual(Math.max(cap, limit.start));
          if (kind !== "success") expect(limit.value).toBeLessThanOrEqual(before);
          expect(limit.windowLeft).toBeGreaterThanOrEqual(1);
        }
      }),
    );
  });
});
