import { describe, expect, test } from "vitest";
import { checkPolicy } from "../../../src/core/policy/check-policy.ts";
import type { RetryPolicy } from "../../../src/schema/policy.ts";

describe("checkPolicy", () => {
  test("has nothing against an empty policy and one that is right", () => {
    const policy: RetryPolicy = {
      conditions: ["status == 503"],
      backoff: { intervals: [1, 2], initial_interval: 5, max_interval: 5, jitter: "equal" },
      rules: [{ when: "error_type == timeout", do: "retry", backoff: { strategy: "schedule" } }],
    };
    expect(checkPolicy({}, "retry")).toEqual([]);
    expect(checkPolicy(policy, "retry")).toEqual([]);
  });

  test("names the place and the column of every expression that does not compile", () => {
    const policy: RetryPolicy = {
      conditions: ["status == 503", "status =="],
      rules: [
        { when: "true", do: "fail" },
        { when: "status + 1", do: "fail" },
      ],
    };
    expect(checkPolicy(policy, "retry")).toEqual([
      { path: "retry.conditions[1]", message: "at column 10: unexpected token: EOF" },
      {
        path: "retry.rules[1].when",
        message: "at column 1: expected an expression that is true or false, got int",
      },
    ]);
  });

  test.each<[string, RetryPolicy, string, string]>([
    [
      "a schedule without intervals",
      { backoff: { strategy: "schedule" } },
      "retry.backoff.intervals",
      'expected intervals where strategy is "schedule", got none',
    ],
    [
      "a rule's schedule without intervals",
      { rules: [{ when: "true", do: "retry", backoff: { strategy: "schedule" } }] },
      "retry.rules[0].backoff.intervals",
      'expected intervals where strategy is "schedule", got none',
    ],
    [
      "intervals of another strategy",
      { backoff: { strategy: "fixed", intervals: [1] } },
      "retry.backoff.intervals",
      'only strategy "schedule" has intervals, got strategy "fixed"',
    ],
    [
      "decorrelated jitter of a schedule",
      { backoff: { intervals: [1], jitter: "decorrelated" } },
      "retry.backoff.jitter",
      'expected "none", "full" or "equal" with a schedule, got "decorrelated"',
    ],
    [
      "an initial interval over the maximum",
      { backoff: { initial_interval: 9, max_interval: 8 } },
      "retry.backoff.initial_interval",
      "expected at most max_interval (8 ms), got 9 ms",
    ],
  ])("refuses %s", (_name, policy, path, message) => {
    expect(checkPolicy(policy, "retry")).toEqual([{ path, message }]);
  });

  test("takes a schedule whose intervals are inherited", () => {
    expect(checkPolicy({ backoff: { strategy: "schedule" } }, "retry", { intervals: [1] })).toEqual([]);
  });

  test("takes decorrelated jitter of any other strategy", () => {
    expect(checkPolicy({ backoff: { jitter: "decorrelated" } }, "retry")).toEqual([]);
  });
});
