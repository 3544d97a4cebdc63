import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { backoffDelayMs, withRetryAfter } from "../../../src/core/policy/backoff.ts";
import { type BackoffPolicy, DEFAULT_POLICY } from "../../../src/core/policy/policy.ts";
import { MAX_INTERVAL_MS } from "../../../src/schema/limits.ts";

const build = (over: Partial<BackoffPolicy>): BackoffPolicy => ({
  ...DEFAULT_POLICY.backoff,
  jitter: "none",
  ...over,
});
const waits = (policy: BackoffPolicy, count: number) =>
  Array.from({ length: count }, (_, i) => backoffDelayMs(policy, i + 1, null, () => 0));

const interval = fc.integer({ min: 1, max: MAX_INTERVAL_MS });
const chance = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const failed = fc.integer({ min: 1, max: 100 });
const policies = fc.record<BackoffPolicy>({
  strategy: fc.constantFrom("fixed", "linear", "exponential", "schedule"),
  initialIntervalMs: interval,
  multiplier: fc.double({ min: 1, max: 100, noNaN: true }),
  maxIntervalMs: interval,
  jitter: fc.constantFrom("none", "full", "equal", "decorrelated"),
  adaptive: fc.constantFrom("off", "queue", "load"),
  intervalsMs: fc.array(fc.integer({ min: 0, max: MAX_INTERVAL_MS }), { maxLength: 50 }),
});
const previous = fc.option(fc.integer({ min: 0, max: 2 * MAX_INTERVAL_MS }));

describe("backoffDelayMs", () => {
  test.each<[string, Partial<BackoffPolicy>, number[]]>([
    ["fixed", { strategy: "fixed" }, [1_000, 1_000, 1_000]],
    ["linear", { strategy: "linear" }, [1_000, 2_000, 3_000]],
    ["exponential", { strategy: "exponential", multiplier: 3 }, [1_000, 3_000, 9_000]],
    ["schedule", { strategy: "schedule", intervalsMs: [5, 600_000] }, [5, 600_000, 600_000]],
    ["schedule that lost its intervals", { strategy: "schedule" }, [1_000, 1_000, 1_000]],
  ])("waits by strategy %s", (_name, over, expected) => {
    expect(waits(build(over), 3)).toEqual(expected);
  });

  test("caps the delay at maxIntervalMs", () => {
    expect(waits(build({ strategy: "linear", maxIntervalMs: 2_500 }), 4)).toEqual([
      1_000, 2_000, 2_500, 2_500,
    ]);
    expect(waits(build({ maxIntervalMs: 3_000 }), 4)).toEqual([1_000, 2_000, 3_000, 3_000]);
    expect(waits(build({ strategy: "fixed", maxIntervalMs: 10 }), 1)).toEqual([10]);
  });

  test("does not cap a schedule", () => {
    expect(waits(build({ strategy: "schedule", intervalsMs: [900_000], maxIntervalMs: 10 }), 1)).toEqual([
      900_000,
    ]);
  });

  test("does not overflow at the hundredth attempt", () => {
    expect(backoffDelayMs(build({ multiplier: 100 }), 100, null, () => 0)).toBe(300_000);
  });

  test("draws by jitter", () => {
    const at = (jitter: BackoffPolicy["jitter"], random: number) =>
      backoffDelayMs(build({ jitter }), 3, 2_000, () => random);
    expect([at("none", 0.5), at("full", 0.25), at("equal", 0.5)]).toEqual([4_000, 1_000, 3_000]);
    expect([at("decorrelated", 0), at("decorrelated", 0.5)]).toEqual([1_000, 3_500]);
  });

  test("takes the initial interval for the previous wait of a first decorrelated one", () => {
    const policy = build({ jitter: "decorrelated" });
    expect(backoffDelayMs(policy, 1, null, () => 0.5)).toBe(2_000);
  });

  test("is always whole and never negative, and within the cap but for a schedule", () => {
    fc.assert(
      fc.property(policies, failed, previous, chance, (policy, n, before, random) => {
        const delayMs = backoffDelayMs(policy, n, before, () => random);
        expect(Number.isSafeInteger(delayMs) && delayMs >= 0).toBe(true);
        const isCapped = policy.strategy !== "schedule" || policy.jitter === "decorrelated";
        if (isCapped) expect(delayMs).toBeLessThanOrEqual(policy.maxIntervalMs);
      }),
    );
  });

  test("never falls from one attempt to the next without jitter, but for a schedule", () => {
    fc.assert(
      fc.property(policies, failed, (policy, n) => {
        fc.pre(policy.strategy !== "schedule");
        const plain = { ...policy, jitter: "none" } as const;
        const next = backoffDelayMs(plain, n + 1, null, () => 0);
        expect(next).toBeGreaterThanOrEqual(backoffDelayMs(plain, n, null, () => 0));
      }),
    );
  });

  test("keeps full jitter within [0, base] and equal jitter within [base/2, base]", () => {
    fc.assert(
      fc.property(policies, failed, chance, (policy, n, random) => {
        const wait = (jitter: BackoffPolicy["jitter"]) =>
          backoffDelayMs({ ...policy, jitter }, n, null, () => random);
        expect(wait("full")).toBeLessThanOrEqual(wait("none"));
        expect(wait("equal")).toBeLessThanOrEqual(wait("none"));
        expect(wait("equal")).toBeGreaterThanOrEqual(Math.floor(wait("none") / 2));
      }),
    );
  });

  test("keeps decorrelated jitter within [initial, 3 * previous] and the cap", () => {
    fc.assert(
      fc.property(policies, failed, interval, chance, (policy, n, before, random) => {
        const delayMs = backoffDelayMs({ ...policy, jitter: "decorrelated" }, n, before, () => random);
        const lowMs = policy.initialIntervalMs;
        expect(delayMs).toBeGreaterThanOrEqual(Math.min(policy.maxIntervalMs, lowMs));
        expect(delayMs).toBeLessThanOrEqual(Math.min(policy.maxIntervalMs, Math.max(lowMs, 3 * before)));
      }),
    );
  });
});

describe("withRetryAfter", () => {
  test("leaves the wait alone where the target asks for nothing", () => {
    expect(withRetryAfter(123, null, 1_000, () => 0.5)).toBe(123);
  });

  test("leaves a wait alone that is longer than what was asked", () => {
    expect(withRetryAfter(9_000, 2_000, 60_000, () => 0.9)).toBe(9_000);
  });

  test("adds at most a tenth, and never over ten seconds", () => {
    expect(withRetryAfter(0, 2_000, 60_000, () => 0.5)).toBe(2_100);
    expect(withRetryAfter(0, 3_600_000, 3_600_000, () => 0.5)).toBe(3_605_000);
  });

  test("honours what was asked up to the maximum", () => {
    expect(withRetryAfter(0, 60_000, 5_000, () => 0)).toBe(5_000);
  });

  test("never undercuts what the target asked for, nor the backoff", () => {
    const ms = fc.nat(MAX_INTERVAL_MS);
    fc.assert(
      fc.property(ms, fc.double({ min: 0, noNaN: true }), ms, chance, (delayMs, askedMs, maxMs, random) => {
        const waitMs = withRetryAfter(delayMs, askedMs, maxMs, () => random);
        expect(Number.isSafeInteger(waitMs)).toBe(true);
        expect(waitMs).toBeGreaterThanOrEqual(Math.max(delayMs, Math.min(askedMs, maxMs)));
        expect(waitMs).toBeLessThanOrEqual(Math.max(delayMs, maxMs + Math.min(10_000, maxMs / 10) + 1));
      }),
    );
  });
});
