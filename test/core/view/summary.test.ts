import { describe, expect, test } from "vitest";
import type { Breaker } from "../../../src/core/breaker/breaker.ts";
import type { Task } from "../../../src/core/task/task.ts";
import { summarize } from "../../../src/core/view/summary.ts";
import type { ShutGate } from "../../../src/core/view/waiting.ts";
import type { WaitingOn } from "../../../src/schema/task.ts";
import { buildAttempt, buildOpenAttempt, buildTask, NOW } from "../../support/shard/build-task.ts";

/** The third attempt of five, ended two seconds ago. */
const third = buildAttempt({ number: 3, startedAt: NOW - 2_100, durationMs: 100 });
const failedThrice: Partial<Task> = {
  attempt: 3,
  history: [buildAttempt(), buildAttempt({ number: 2 }), third],
};

function say(task: Task, waiting: WaitingOn | null = null, gate: ShutGate | null = null): string {
  return summarize(task, waiting, gate, 5, NOW);
}

describe("summarize, a retrying task", () => {
  test("says what failed, when, where, and when the next try is", () => {
    const task = buildTask({ state: "retrying", ...failedThrice, dueAt: NOW + 3_100 });

    expect(say(task, "backoff")).toBe(
      "Attempt 3 of 5 failed 2 s ago: 503 server_error from https://api.example.com. Next try in 3.1 s.",
    );
  });

  test("says that a task which is due is due", () => {
    expect(say(buildTask({ state: "retrying", ...failedThrice }))).toBe(
      "Attempt 3 of 5 failed 2 s ago: 503 server_error from https://api.example.com. Next try is due now.",
    );
  });

  test.each([
    ["concurrency", "Due, and waiting for a free slot; no attempt is used."],
    ["paused", "Due, and waiting for its queue to be resumed; no attempt is used."],
    ["capacity", "Due, and waiting for other calls of this server to end; no attempt is used."],
    ["rate", "Due, and waiting for the rate of its queue; the next call may go; no attempt is used."],
  ] as const)("says that waiting for %s uses no attempt", (waiting, sentence) => {
    expect(say(buildTask({ state: "retrying", ...failedThrice }), waiting)).toBe(
      `Attempt 3 of 5 failed 2 s ago: 503 server_error from https://api.example.com. ${sentence}`,
    );
  });

  test.each([
    [{ status: 0, errorType: "timeout" }, "timeout"],
    [{ status: null, errorType: "interrupted" }, "interrupted"],
    [{ status: 200, errorType: null }, "200 refused by a rule"],
  ] as const)("says of an attempt with %j: %s", (result, what) => {
    const task = buildTask({ state: "retrying", history: [{ ...third, number: 1, ...result }] });

    expect(say(task)).toBe(
      `Attempt 1 of 5 failed 2 s ago: ${what} from https://api.example.com. Next try is due now.`,
    );
  });

  test("counts attempts within the round", () => {
    const history = [buildAttempt({ number: 7, round: 2, startedAt: NOW - 1_040 })];
    const task = buildTask({ state: "retrying", round: 2, attempt: 7, attemptsBefore: 5, history });

    expect(say(task)).toContain("Attempt 2 of 5 failed 1 s ago");
  });

  test("counts from the start where it is not known how long an attempt took", () => {
    const task = buildTask({ state: "retrying", history: [{ ...third, number: 1, durationMs: null }] });

    expect(say(task)).toContain("Attempt 1 of 5 failed 2.1 s ago");
  });
});

describe("summarize, a task whose target may not be called", () => {
  const shut: ShutGate = { why: "breaker", until: null, breaker: null, isAsked: false };
  const outage = {
    version: 1,
    since: NOW - 3_000,
    downSince: NOW - 12_000,
    trips: 1,
    reason: "14 of 20 calls failed in 60 s",
  };
  const open: Breaker = { ...outage, state: "open", until: NOW + 4_000 };
  const halfOpen: Breaker = { ...outage, state: "half_open", successes: 1, probe: null };
  const probe = { lease: 1, until: NOW + 1, shard: "q1-0" };
  const isolated: Breaker = { version: 1, since: NOW - 120_000, state: "isolated", reason: "moving house" };
  const about = (breaker: Breaker) => say(buildTask(), "breaker", { ...shut, breaker });

  test.each<[string, Breaker, string]>([
    ["open", open, "(open since 12 s, 14 of 20 calls failed); next probe in 4 s"],
    [
      "open no longer",
      { ...open, until: NOW },
      "(open since 12 s, 14 of 20 calls failed); next probe is due now",
    ],
    [
      "open since no connection was to be had",
      { ...open, reason: "5 calls in a row could not connect" },
      "(open since 12 s, 5 calls in a row could not connect); next probe in 4 s",
    ],
    ["half open", halfOpen, "(open since 12 s, 14 of 20 calls failed); next probe is due now"],
    ["probed", { ...halfOpen, probe }, "(open since 12 s, 14 of 20 calls failed); it is being probed"],
    ["isolated", isolated, "(isolated since 2 min: moving house)"],
  ])("says of a breaker that is %s why, since when, and what comes next", (_, breaker, said) => {
    expect(about(breaker)).toBe(
      `Waiting for the breaker of https://api.example.com ${said}; no attempt is used.`,
    );
  });

  test.each([
    ["of which nothing is known", { ...shut, breaker: null }],
    ["that has just closed", { ...shut, breaker: { version: 1, since: NOW, state: "closed", ramp: true } }],
    ["of which the shard said nothing", null],
  ] as const)("names a breaker %s", (_, gate) => {
    expect(say(buildTask(), "breaker", gate)).toBe(
      "Waiting for the breaker of https://api.example.com; no attempt is used.",
    );
  });

  test("tells of the last failure first", () => {
    const task = buildTask({ state: "retrying", ...failedThrice });
    expect(say(task, "breaker", { ...shut, breaker: open })).toBe(
      "Attempt 3 of 5 failed 2 s ago: 503 server_error from https://api.example.com. " +
        "Waiting for the breaker of https://api.example.com (open since 12 s, 14 of 20 calls failed); next probe in 4 s; no attempt is used.",
    );
  });

  test.each<[WaitingOn, Partial<ShutGate>, string]>([
    [
      "budget",
      { until: NOW + 7_000 },
      "Waiting for the retry budget of https://api.example.com, which is used up; there may be more in 7 s",
    ],
    ["concurrency", {}, "Due, and waiting for other calls of https://api.example.com to end"],
    [
      "rate",
      { until: NOW + 30_000, isAsked: true },
      "Waiting since https://api.example.com asked for it; it may be called again in 30 s",
    ],
    [
      "rate",
      { until: NOW + 300 },
      "Due, and waiting for the rate of its queue; the next call may go in 0.3 s",
    ],
  ])("says what waiting on %s is for: %j", (on, gate, sentence) => {
    expect(say(buildTask(), on, { ...shut, why: on, ...gate })).toBe(`${sentence}; no attempt is used.`);
  });
});

describe("summarize, a pending task", () => {
  test.each([
    [null, NOW, "First try is due now."],
    ["schedule", NOW + 60_000, "First try in 1 min."],
    ["paused", NOW, "Due, and waiting for its queue to be resumed; no attempt is used."],
  ] as const)("that waits on %s", (waiting, dueAt, sentence) => {
    expect(say(buildTask({ dueAt }), waiting)).toBe(sentence);
  });

  test("names the round after a redrive, and none of the attempts before", () => {
    const task = buildTask({ ...failedThrice, round: 2, attemptsBefore: 3 });

    expect(say(task)).toBe("Round 2: Next try is due now.");
  });
});

describe("summarize, a running task", () => {
  test("says which attempt is under way, for how long, and where", () => {
    const history = [buildAttempt(), buildOpenAttempt({ number: 2, startedAt: NOW - 1_500 })];

    expect(say(buildTask({ state: "running", attempt: 2, history }))).toBe(
      "Attempt 2 of 5 is under way for 1.5 s: POST https://api.example.com.",
    );
  });

  test("goes by the due time where the history has been lost", () => {
    expect(say(buildTask({ state: "running", history: [], dueAt: NOW - 4_000 }))).toContain(
      "is under way for 4 s",
    );
  });
});

describe("summarize, a held task", () => {
  const held: Partial<Task> = {
    state: "held",
    expiresAt: NOW + 7_500_000,
    history: [{ ...third, number: 1, status: 401, errorType: "auth", decision: "hold" }],
  };
  const failure = "Attempt 1 of 5 failed 2 s ago: 401 auth from https://api.example.com.";
  const probe = {
    url: "https://api.example.com/ready",
    period: 10_000,
    timeout: 5_000,
    success_threshold: 1,
  };

  test.each([
    ["signal" as const, "it is resumed"],
    [{ probe }, "https://api.example.com/ready is ready"],
    [null, "it is resumed"],
  ])("says what it waits for (%j) and how long", (until, what) => {
    expect(say(buildTask({ ...held, until }))).toBe(
      `${failure} Held until ${what}; it fails in 2 h 5 min if that does not come.`,
    );
  });

  test.each<[WaitingOn, number | null, string]>([
    [
      "budget",
      NOW + 4_000,
      "waiting for the retry budget of https://ready.example.com, which is used up; there may be more in 4 s",
    ],
    ["breaker", null, "waiting for the breaker of https://ready.example.com"],
  ])("says that its poll is held back by the %s of what it polls", (why, gateUntil, because) => {
    const until = {
      probe: { url: "https://ready.example.com/", period: 10_000, timeout: 5_000, success_threshold: 1 },
    };
    const gate = { why, until: gateUntil, breaker: null, isAsked: false };
    expect(say(buildTask({ ...held, until }), "probe", gate)).toContain(
      ` Its poll is held back: ${because}.`,
    );
    expect(say(buildTask({ ...held, until: "signal" }), "signal", gate)).not.toContain("held back");
    expect(say(buildTask({ ...held, until }), "probe", { ...gate, why: "paused" })).not.toContain(
      "held back",
    );
  });
});

describe("summarize, a succeeded task", () => {
  test("says at which attempt, and what the target answered", () => {
    expect(say(buildTask({ state: "succeeded", attempt: 2 }))).toBe("Succeeded at attempt 2 of 5 with 200.");
  });

  test("names no status where a rule made a success of an attempt without an answer", () => {
    const history = [buildAttempt({ status: 0, errorType: "timeout", decision: "succeed" })];

    expect(say(buildTask({ state: "succeeded", history }))).toBe("Succeeded at attempt 1 of 5.");
  });

  test("is said where the history has been lost", () => {
    expect(say(buildTask({ state: "succeeded", history: [] }))).toBe("Succeeded at attempt 1 of 5.");
  });
});

describe("summarize, a failed task", () => {
  test.each([
    ["max_attempts", "no attempts are left"],
    ["max_age", "its max_age is over"],
    ["no_retry", "the target said not to retry"],
    ["rule", "a rule said so"],
    ["permanent", "a retry would not help"],
    ["corrupt", "its stored form cannot be read"],
  ] as const)("for %s", (reason, why) => {
    expect(say(buildTask({ state: "failed", reason, ...failedThrice }))).toBe(
      `Attempt 3 of 5 failed 2 s ago: 503 server_error from https://api.example.com. Failed for good: ${why}.`,
    );
  });

  test("does not tell of an attempt that is not of its round, such as a late success", () => {
    const history = [buildAttempt({ status: 200, errorType: null, decision: "late" })];
    const task = buildTask({ state: "failed", reason: "max_age", round: 2, attemptsBefore: 1, history });

    expect(say(task)).toBe("Failed for good: its max_age is over.");
  });

  test("says so where the next try would have come after the end", () => {
    const attempt = { number: 1, decision: "fail", delayMs: 14_400_000, nextAt: null } as const;
    const task = buildTask({ state: "failed", reason: "max_age", history: [buildAttempt(attempt)] });
    expect(say(task)).toContain(
      "Failed for good: its next try would have come in 4 h, after the end of its max_age.",
    );
  });
});

describe("summarize, a cancelled task", () => {
  test.each([
    [0, "Cancelled after 0 attempts."],
    [1, "Cancelled after 1 attempt."],
    [2, "Cancelled after 2 attempts."],
  ])("says that %i were made", (attempt, sentence) => {
    expect(say(buildTask({ state: "cancelled", attempt }))).toBe(sentence);
  });
});

describe("summarize, the callback of a final task", () => {
  test.each([
    [{ state: "pending" }, "Its callback is on its way."],
    [{ state: "running" }, "Its callback is on its way."],
    [{ state: "retrying" }, "Its callback is on its way."],
    [{ state: "delivered" }, "Its callback is delivered."],
    [{ state: "failed", attempt: 1 }, "Its callback failed after 1 delivery."],
    [{ state: "failed", attempt: 8 }, "Its callback failed after 8 deliveries."],
    [{ state: "failed", attempt: 2, reason: "stopped" }, "Its callback was stopped after 2 deliveries."],
  ] as const)("%j", (callback, sentence) => {
    expect(say(buildTask({ state: "succeeded", callback }))).toBe(
      `Succeeded at attempt 1 of 5 with 200. ${sentence}`,
    );
    expect(say(buildTask({ state: "cancelled", callback }))).toBe(`Cancelled after 0 attempts. ${sentence}`);
    expect(say(buildTask({ state: "failed", callback }))).toMatch(
      new RegExp(`Failed for good: .+\\. ${sentence}$`),
    );
  });
});
