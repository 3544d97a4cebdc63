import { describe, expect, test } from "vitest";
import {
  DEFAULT_CALLBACK_POLICY,
  DEFAULT_POLICY,
  mergeBackoff,
  resolveCallbackPolicy,
  resolvePolicy,
} from "../../../src/core/policy/policy.ts";

describe("resolvePolicy", () => {
  test("gives the documented defaults where nobody says anything", () => {
    expect(resolvePolicy(null, {})).toEqual({
      maxAttempts: 5,
      maxAgeMs: 86_400_000,
      maxRetryAfterMs: 14_400_000,
      backoff: {
        strategy: "exponential",
        initialIntervalMs: 1_000,
        multiplier: 2,
        maxIntervalMs: 300_000,
        jitter: "full",
        adaptive: "load",
        intervalsMs: [],
      },
      conditions: null,
      rules: [],
      backoffIsDefault: true,
    });
  });

  test("lets the task's own win over its queue's field by field, inside backoff too", () => {
    const queue = {
      max_attempts: 9,
      max_age: 60_000,
      conditions: ["status == 503"],
      backoff: { strategy: "linear", multiplier: 3, jitter: "none" },
    } as const;
    const own = { max_attempts: 2, max_retry_after: 5_000, backoff: { jitter: "equal" } } as const;
    const policy = resolvePolicy({ ...own }, { ...queue, conditions: [...queue.conditions] });
    expect(policy).toMatchObject({
      maxAttempts: 2,
      maxAgeMs: 60_000,
      maxRetryAfterMs: 5_000,
      conditions: ["status == 503"],
      backoff: { strategy: "linear", multiplier: 3, jitter: "equal", initialIntervalMs: 1_000 },
    });
  });

  test("replaces the queue's rules by the task's own, even by none", () => {
    const rule = { when: "status == 404", do: "fail" } as const;
    expect(resolvePolicy(null, { rules: [rule] }).rules).toEqual([rule]);
    expect(resolvePolicy({ rules: [] }, { rules: [rule] }).rules).toEqual([]);
  });

  test.each([
    [null, {}, true],
    [{ max_attempts: 3 }, {}, true],
    [{ backoff: { jitter: "none" as const } }, {}, false],
    [null, { backoff: { jitter: "none" as const } }, false],
  ])("knows whether the backoff is the default: %j over %j", (own, queue, isDefault) => {
    expect(resolvePolicy(own, queue).backoffIsDefault).toBe(isDefault);
  });
});

describe("resolveCallbackPolicy", () => {
  test("gives the documented defaults where nobody says anything", () => {
    const policy = resolveCallbackPolicy(undefined, undefined);
    expect(policy).toMatchObject({ maxAttempts: 8, maxAgeMs: 172_800_000, conditions: null, rules: [] });
    expect(policy.backoff).toMatchObject({
      strategy: "schedule",
      jitter: "equal",
      intervalsMs: [5_000, 300_000, 1_800_000, 7_200_000, 18_000_000, 36_000_000, 36_000_000],
    });
  });

  test("lets the task's own win over its queue's", () => {
    const policy = resolveCallbackPolicy({ max_attempts: 2 }, { max_attempts: 3, max_age: 9_000 });
    expect(policy).toMatchObject({ maxAttempts: 2, maxAgeMs: 9_000 });
    expect(policy.backoff).toBe(DEFAULT_CALLBACK_POLICY.backoff);
  });
});

describe("mergeBackoff", () => {
  test("lets waits follow the target's state in the way that was said last", () => {
    const queue = resolvePolicy(null, { backoff: { adaptive: "queue" } });
    expect(queue.backoff).toMatchObject({ adaptive: "queue", strategy: "exponential" });
    expect(
      resolvePolicy({ backoff: { adaptive: "off" } }, { backoff: { adaptive: "queue" } }).backoff.adaptive,
    ).toBe("off");
    expect(mergeBackoff(queue.backoff, { jitter: "none" }).adaptive).toBe("queue");
  });

  const base = DEFAULT_POLICY.backoff;

  test("takes intervals without a strategy for a schedule", () => {
    expect(mergeBackoff(base, { intervals: [1, 2] })).toMatchObject({
      strategy: "schedule",
      intervalsMs: [1, 2],
    });
  });

  test("keeps the intervals of the layer below for a strategy that names none", () => {
    const below = mergeBackoff(base, { intervals: [1, 2] });
    expect(mergeBackoff(below, { strategy: "schedule" }).intervalsMs).toEqual([1, 2]);
    expect(mergeBackoff(below, { strategy: "fixed" }).strategy).toBe("fixed");
    expect(mergeBackoff(below, { jitter: "none" }).strategy).toBe("schedule");
  });

  test("raises the maximum to an initial interval that comes without one", () => {
    expect(mergeBackoff(base, { initial_interval: 600_000 }).maxIntervalMs).toBe(600_000);
    expect(mergeBackoff(base, { initial_interval: 10 }).maxIntervalMs).toBe(300_000);
  });

  test("takes a maximum as it is written", () => {
    expect(mergeBackoff(base, { max_interval: 10 })).toMatchObject({
      initialIntervalMs: 1_000,
      maxIntervalMs: 10,
    });
    expect(mergeBackoff(mergeBackoff(base, { max_interval: 10 }), { multiplier: 3 }).maxIntervalMs).toBe(10);
  });
});
