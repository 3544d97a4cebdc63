import { describe, expect, test } from "vitest";
import { Backoff, CallbackRetryPolicy, Probe, RetryPolicy, Rule, Until } from "../../src/schema/policy.ts";
import { issuesOf } from "../support/issues.ts";

const probe = { url: "https://api.example.com/ready" };

describe("RetryPolicy", () => {
  test("reads the documented policy, its durations as milliseconds", () => {
    const parsed = RetryPolicy.parse({
      max_attempts: 3,
      max_age: "24h",
      max_retry_after: "1d",
      backoff: {
        strategy: "exponential",
        initial_interval: "1s",
        multiplier: 2,
        max_interval: "10s",
        jitter: "full",
      },
      conditions: ["status == 503", "error_type == timeout"],
      rules: [
        {
          when: "error_type == conflict",
          do: "retry",
          max_attempts: 2,
          backoff: { strategy: "fixed", initial_interval: "5s" },
          log: false,
        },
        { when: "status == 401", do: "hold", until: { probe: { ...probe, period: "10s", timeout: "5s" } } },
      ],
    });

    expect(parsed).toMatchObject({
      max_age: 86_400_000,
      max_retry_after: 86_400_000,
      backoff: { initial_interval: 1_000, max_interval: 10_000 },
      rules: [
        { backoff: { strategy: "fixed", initial_interval: 5_000 }, log: false },
        { until: { probe: { ...probe, period: 10_000, timeout: 5_000, success_threshold: 1 } } },
      ],
    });
  });

  test("adds nothing of its own, so that the queue's policy shows through", () => {
    expect(RetryPolicy.parse({})).toEqual({});
    expect(RetryPolicy.parse({ backoff: {} })).toEqual({ backoff: {} });
  });

  test.each([
    ["0 attempts", { max_attempts: 0 }, "max_attempts"],
    ["101 attempts", { max_attempts: 101 }, "max_attempts"],
    ["2.5 attempts", { max_attempts: 2.5 }, "max_attempts"],
    ["attempts as a text", { max_attempts: "3" }, "max_attempts"],
    ["a max_age under 1 s", { max_age: "999ms" }, "max_age"],
    ["a max_age over 30 days", { max_age: "30d1ms" }, "max_age"],
    ["a max_retry_after over 7 days", { max_retry_after: "7d1ms" }, "max_retry_after"],
    ["no conditions", { conditions: [] }, "conditions"],
    ["21 conditions", { conditions: Array.from({ length: 21 }, () => "true") }, "conditions"],
    ["an empty condition", { conditions: [""] }, "conditions.0"],
    ["a condition of 1,001 characters", { conditions: ["x".repeat(1_001)] }, "conditions.0"],
    ["21 rules", { rules: Array.from({ length: 21 }, () => ({ when: "true", do: "fail" })) }, "rules"],
    ["an unknown field", { attempts: 3 }, ""],
  ])("refuses %s", (_, policy, path) => {
    expect(issuesOf(RetryPolicy, policy)).toEqual([expect.stringMatching(new RegExp(`^${path}: .`))]);
  });

  test.each([
    { max_attempts: 1 },
    { max_attempts: 100 },
    { max_age: "1s" },
    { max_age: "30d" },
    { max_retry_after: 0 },
    { rules: [] },
    { conditions: ["x".repeat(1_000)] },
  ])("takes %o", (policy) => {
    expect(issuesOf(RetryPolicy, policy)).toEqual([]);
  });
});

describe("Backoff", () => {
  test("reads the waits of a schedule", () => {
    expect(Backoff.parse({ strategy: "schedule", intervals: [0, "10s", "1m"] }).intervals).toEqual([
      0, 10_000, 60_000,
    ]);
  });

  test.each([
    [{ strategy: "quadratic" }, "strategy"],
    [{ jitter: "some" }, "jitter"],
    [{ initial_interval: 0 }, "initial_interval"],
    [{ initial_interval: "7d1ms" }, "initial_interval"],
    [{ max_interval: "7d1ms" }, "max_interval"],
    [{ multiplier: 0.9 }, "multiplier"],
    [{ multiplier: 101 }, "multiplier"],
    [{ intervals: [] }, "intervals"],
    [{ intervals: Array.from({ length: 51 }, () => 1) }, "intervals"],
    [{ intervals: ["soon"] }, "intervals.0"],
  ])("refuses %j", (backoff, path) => {
    expect(issuesOf(Backoff, backoff)).toEqual([expect.stringMatching(new RegExp(`^${path}: .`))]);
  });
});

describe("Rule", () => {
  const when = "status == 401";

  test.each([
    { when, do: "retry", max_attempts: 3, backoff: {} },
    { when, do: "hold", until: "signal" },
    { when, do: "hold", until: { probe } },
    { when, do: "fail", log: true },
    { when, do: "succeed" },
  ])("takes %j", (rule) => {
    expect(issuesOf(Rule, rule)).toEqual([]);
  });

  test.each([
    [{ when, do: "hold" }, 'until: expected "signal" or a probe where do is "hold", got nothing'],
    [{ when, do: "retry", until: "signal" }, 'until: only a rule whose do is "hold" has until'],
    [{ when, do: "fail", max_attempts: 3 }, 'max_attempts: only a rule whose do is "retry" has max_attempts'],
    [{ when, do: "succeed", backoff: {} }, 'backoff: only a rule whose do is "retry" has backoff'],
  ])("refuses %j: %s", (rule, issue) => {
    expect(issuesOf(Rule, rule)).toEqual([issue]);
  });

  test("says all that is wrong with one", () => {
    const rule = { when, do: "fail", until: "signal", max_attempts: 3, backoff: {} };

    expect(issuesOf(Rule, rule)).toHaveLength(3);
  });

  test.each([
    [{ do: "fail" }, "when"],
    [{ when: "", do: "fail" }, "when"],
    [{ when, do: "explode" }, "do"],
    [{ when }, "do"],
  ])("refuses %j", (rule, path) => {
    expect(issuesOf(Rule, rule)).toEqual([expect.stringMatching(new RegExp(`^${path}: .`))]);
  });
});

describe("Until", () => {
  test.each(["never", { probe: {} }, { signal: true }, 7])(
    "refuses %j, and says what was expected",
    (until) => {
      expect(issuesOf(Until, until)).toEqual([': expected "signal" or { "probe": { "url": ... } }']);
    },
  );
});

describe("Probe", () => {
  test("asks every 10 s, waits 5 s, and is ready at the first success, unless it says otherwise", () => {
    expect(Probe.parse(probe)).toEqual({ ...probe, period: 10_000, timeout: 5_000, success_threshold: 1 });
  });

  test.each([
    [{ ...probe, period: "999ms" }, "period"],
    [{ ...probe, period: "61m" }, "period"],
    [{ ...probe, timeout: 0 }, "timeout"],
    [{ ...probe, timeout: "61s" }, "timeout"],
    [{ ...probe, success_threshold: 0 }, "success_threshold"],
    [{ ...probe, success_threshold: 11 }, "success_threshold"],
    [{ url: `https://a/${"x".repeat(4_087)}` }, "url"],
  ])("refuses %j", (value, path) => {
    expect(issuesOf(Probe, value)).toEqual([expect.stringMatching(new RegExp(`^${path}: .`))]);
  });
});

describe("CallbackRetryPolicy", () => {
  test("takes attempts, age and backoff", () => {
    const policy = { max_attempts: 8, max_age: "48h", backoff: { strategy: "fixed" } };

    expect(CallbackRetryPolicy.parse(policy)).toEqual({ ...policy, max_age: 172_800_000 });
  });

  test.each(["rules", "conditions", "max_retry_after"])("has no %s", (field) => {
    expect(issuesOf(CallbackRetryPolicy, { [field]: [] })).toEqual([expect.stringContaining(field)]);
  });
});
