import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Rate, rateAllows, rateNextAt, rateTake, shareOfRate } from "../../../src/core/pressure/rate.ts";

const NOW = Date.parse("2026-11-23T10:00:00.000Z");
const TEN_A_SECOND: Rate = { limit: 10, perMs: 1_000, burst: 3 };

/** The instants at which calls go that want to at `wishes` (ms after NOW, rising); those that may not are lost. */
function gone(rate: Rate, wishes: readonly number[]): number[] {
  let freeAt = 0;
  return wishes.filter((wish) => {
    if (!rateAllows(rate, freeAt, NOW + wish)) return false;
    freeAt = rateTake(rate, freeAt, NOW + wish);
    return true;
  });
}

/** The instants (ms after NOW) at which calls go that wait for nothing but the rate, each as soon as it may. */
function goneByAlarm(rate: Rate, forMs: number): number[] {
  const went: number[] = [];
  let freeAt = 0;
  for (let now = NOW; now < NOW + forMs; now = rateNextAt(rate, freeAt, now)) {
    freeAt = rateTake(rate, freeAt, now);
    went.push(now - NOW);
  }
  return went;
}

/** The most calls that may go in a span of time: the burst, which is no less than a clock in milliseconds needs. */
function mostIn({ limit, perMs, burst }: Rate, spanMs: number): number {
  return Math.max(burst, 1 + limit / perMs) + (spanMs * limit) / perMs + 1e-6;
}

/** By how many calls the fullest of all spans of time is beyond what the rate alone brings in it. */
function mostAhead({ limit, perMs }: Rate, went: readonly number[]): number {
  let most = 0;
  let behind = Number.POSITIVE_INFINITY;
  went.forEach((at, i) => {
    const ahead = i - (at * limit) / perMs;
    behind = Math.min(behind, ahead);
    most = Math.max(most, ahead - behind + 1);
  });
  return most;
}

const SECONDS = 10;

const rates = fc.record<Rate>({
  limit: fc.oneof(fc.integer({ min: 1, max: 100_000 }), fc.double({ min: 0.01, max: 1_000, noNaN: true })),
  perMs: fc.constantFrom(1_000, 60_000, 3_600_000),
  burst: fc.oneof(fc.integer({ min: 1, max: 50 }), fc.double({ min: 1, max: 50, noNaN: true })),
});
const pauses = fc.array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 5_000 })), {
  minLength: 1,
  maxLength: 100,
});
const instantsOf = (pausesMs: readonly number[]) => {
  let at = 0;
  return pausesMs.map((pauseMs) => {
    at += pauseMs;
    return at;
  });
};

describe("gcra", () => {
  test("lets the burst go at once, then one after each interval", () => {
    const wishes = [0, 0, 0, 0, 99, 100, 199, 200, 1_000, 1_000, 1_000, 1_000];
    expect(gone(TEN_A_SECOND, wishes)).toEqual([0, 0, 0, 100, 200, 1_000, 1_000, 1_000]);
  });

  test("tells when the next call may go", () => {
    let freeAt = 0;
    for (let call = 0; call < 3; call++) {
      expect(rateNextAt(TEN_A_SECOND, freeAt, NOW)).toBe(NOW);
      freeAt = rateTake(TEN_A_SECOND, freeAt, NOW);
    }
    expect(rateNextAt(TEN_A_SECOND, freeAt, NOW)).toBe(NOW + 100);
  });

  test("never lets more than limit * t + burst go in any span of t", () => {
    fc.assert(
      fc.property(rates, pauses, (rate, pausesMs) => {
        const calls = gone(rate, instantsOf(pausesMs));
        calls.forEach((from, i) => {
          calls.slice(i).forEach((to, j) => {
            expect(j + 1).toBeLessThanOrEqual(mostIn(rate, to - from));
          });
        });
      }),
    );
  });

  test("lets a call go at the instant it told, and none before", () => {
    fc.assert(
      fc.property(rates, pauses, fc.nat(100), (rate, pausesMs, laterMs) => {
        const freeAt = instantsOf(pausesMs).reduce(
          (free, at) => (rateAllows(rate, free, NOW + at) ? rateTake(rate, free, NOW + at) : free),
          0,
        );
        const now = NOW + pausesMs.reduce((sum, ms) => sum + ms, laterMs);
        const next = rateNextAt(rate, freeAt, now);
        expect(rateAllows(rate, freeAt, next)).toBe(true);
        if (next > now) expect(rateAllows(rate, freeAt, next - 1)).toBe(false);
      }),
    );
  });

  test.each([1, 1.5, 2, "limit"] as const)(
    "lets one who always asks use the whole rate, with a burst of %s",
    (asked) => {
      fc.assert(
        fc.property(fc.integer({ min: 1, max: 5_000 }), (limit) => {
          const rate = { limit, perMs: 1_000, burst: asked === "limit" ? limit : asked };
          const went = goneByAlarm(rate, SECONDS * 1_000);
          expect(went.length).toBeGreaterThanOrEqual(SECONDS * limit * 0.99);
          expect(mostAhead(rate, went)).toBeLessThanOrEqual(mostIn(rate, 0));
        }),
        { numRuns: 60, examples: [1, 300, 333, 999, 1_001, 5_000].map((limit) => [limit]) },
      );
    },
    60_000,
  );

  test("lets no two calls go in the same millisecond where the burst is 1 and the rate is no more than that", () => {
    for (const limit of [1, 300, 700, 999, 1_000]) {
      const went = goneByAlarm({ limit, perMs: 1_000, burst: 1 }, 5_000);
      expect(new Set(went).size, `${limit} a second`).toBe(went.length);
    }
  });

  test("is not held for long by what was written under a slower rate, or by a clock put back", () => {
    const nextHour = NOW + 3_600_000;
    expect(rateNextAt(TEN_A_SECOND, nextHour, NOW)).toBe(NOW + 100);
    expect(rateTake(TEN_A_SECOND, nextHour, NOW)).toBe(NOW + 400);
  });
});

describe("shareOfRate", () => {
  test("splits rate and burst evenly", () => {
    expect(shareOfRate({ limit: 100, perMs: 1_000, burst: 200 }, 4)).toEqual({
      limit: 25,
      perMs: 1_000,
      burst: 50,
    });
  });

  test("leaves each shard a burst of one", () => {
    expect(shareOfRate({ limit: 100, perMs: 1_000, burst: 2 }, 4).burst).toBe(1);
  });
});
