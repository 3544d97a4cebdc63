import { describe, expect, test } from "vitest";
import { HELD_LANE } from "../../../src/core/task/lane.ts";
import { transition } from "../../../src/core/task/transition.ts";
import { MAX_HISTORY } from "../../../src/schema/limits.ts";
import {
  buildFault,
  buildOpenAttempt,
  buildTask,
  CALLBACK_LANE,
  CALLBACK_URL,
  failFor,
  NOW,
  RETRY_LANE,
  retryIn,
  TARGET,
} from "../../support/shard/build-task.ts";
import {
  ADMIT,
  CANCEL,
  context,
  EXPIRE,
  LATER,
  next,
  noCallback,
  RELEASE,
  SETTLED,
} from "../../support/shard/task-events.ts";

describe("admit", () => {
  test("takes the task out of its lane and gives it the next lease until now + leaseMs", () => {
    const task = next(buildTask({ state: "retrying", attempt: 2, lease: 6 }), ADMIT);

    expect(task).toMatchObject({ lane: null, lease: 7, leaseUntil: LATER + 30_000, attempt: 3 });
  });

  test("begins a line of the history with the number, the round and what made it happen", () => {
    const task = next(
      buildTask({ state: "retrying", round: 2, attempt: 4, attemptsBefore: 3, trigger: "probe" }),
      ADMIT,
    );

    expect(task.history).toHaveLength(5);
    expect(task.history.at(-1)).toEqual(
      buildOpenAttempt({ number: 5, round: 2, trigger: "probe", startedAt: LATER }),
    );
  });

  test("keeps MAX_HISTORY attempts and counts the older ones", () => {
    const full = buildTask({ state: "retrying", attempt: MAX_HISTORY, attemptsOmitted: 0 });

    const once = next(full, ADMIT);
    const twice = next(next(once, SETTLED.retry), ADMIT);

    expect(once.history.map(({ number }) => number).slice(0, 2)).toEqual([2, 3]);
    expect(once).toMatchObject({ attemptsOmitted: 1, attempt: MAX_HISTORY + 1 });
    expect(twice.history).toHaveLength(MAX_HISTORY);
    expect(twice).toMatchObject({ attemptsOmitted: 2, attempt: MAX_HISTORY + 2 });
  });

  test.each(["pending", "retrying"] as const)("refuses a second lease to a %s task", (state) => {
    const task = buildTask({ state, lane: null, leaseUntil: NOW + 9_000 });

    expect(transition(task, ADMIT, context).ok).toBe(false);
  });
});

describe("settle", () => {
  const running = buildTask({ state: "running", attempt: 2, lease: 5 });

  test("ends the lease and remembers it as the one that was settled", () => {
    expect(next(running, SETTLED.retry)).toMatchObject({ lease: 5, leaseUntil: null, settledLease: 5 });
  });

  test("retries in the target's lane after the decision's delay, as the work of a retry", () => {
    const task = next({ ...running, trigger: "manual" }, SETTLED.retry);

    expect(task).toMatchObject({ lane: RETRY_LANE, dueAt: LATER + 3_100, trigger: "retry", reason: null });
  });

  test("holds outside the target's lane until the round's max_age", () => {
    const task = next(running, SETTLED.hold);

    expect(task).toMatchObject({ lane: HELD_LANE, dueAt: running.expiresAt, until: "signal" });
  });

  test("writes what came and what follows into the attempt's line", () => {
    const outcome = buildFault({
      status: 429,
      errorType: "rate_limited",
      errorCode: "slow",
      errorMessage: "wait",
      bodyError: "timeout",
      durationMs: 77,
    });
    const decision = { ...retryIn(3_100), rule: "rules[1]: status == 429" };

    const task = next(running, { type: "settle", outcome, decision, response: null });

    expect(task.history.at(-1)).toEqual({
      number: 2,
      round: 1,
      trigger: "submit",
      startedAt: NOW,
      durationMs: 77,
      status: 429,
      errorType: "rate_limited",
      errorCode: "slow",
      errorMessage: "wait",
      bodyError: "timeout",
      faultClass: "transient",
      decision: "retry",
      rule: "rules[1]: status == 429",
      delayMs: 3_100,
      nextAt: LATER + 3_100,
    });
    expect(task.history[0]).toEqual(running.history[0]);
  });

  test.each(["succeeded", "hold", "give up"] as const)("tells of no next try after: %s", (name) => {
    expect(next(running, SETTLED[name]).history.at(-1)).toMatchObject({ delayMs: null, nextAt: null });
  });

  test("shows the class that the fault was decided by, not the one it has by default", () => {
    const outcome = buildFault({ status: 404, errorType: "client_error", faultClass: "permanent" });

    const task = next(running, { type: "settle", outcome, decision: retryIn(1_000), response: null });

    expect(task.history.at(-1)?.faultClass).toBe("transient");
  });

  test("does not claim to know the status of an interrupted attempt", () => {
    const task = next(running, SETTLED["lease lapsed, tries left"]);

    expect(task.history.at(-1)).toMatchObject({ status: null, errorType: "interrupted" });
  });

  test("says 0 where the target did not answer", () => {
    const outcome = buildFault({ status: 0, errorType: "timeout", errorCode: "timeout" });

    const task = next(running, { type: "settle", outcome, decision: retryIn(1_000), response: null });

    expect(task.history.at(-1)?.status).toBe(0);
  });

  test("keeps the last answer, and forgets the one before", () => {
    const response = {
      status: 503,
      headers: {},
      body: "no",
      bodyEncoding: "utf8",
      truncated: false,
    } as const;
    const answered = next(running, { ...SETTLED.retry, response });

    expect(answered.response).toEqual(response);
    expect(next(next(answered, ADMIT), SETTLED.retry).response).toBeNull();
  });

  test.each([["max_attempts"], ["max_age"], ["permanent"], ["rule"], ["no_retry"]] as const)(
    "fails for the decision's reason: %s",
    (reason) => {
      const task = next(running, { ...SETTLED["give up"], decision: failFor(reason) });

      expect(task).toMatchObject({ state: "failed", reason, finalizedAt: LATER });
    },
  );

  test("notes the wait that went beyond the round's end, and no next try", () => {
    const decision = { ...failFor("max_age"), waitMs: 14_400_000 };
    const task = next(running, { ...SETTLED["give up"], decision });

    expect(task.history.at(-1)).toMatchObject({ decision: "fail", delayMs: 14_400_000, nextAt: null });
  });

  test("settles a task whose history has been lost", () => {
    expect(next({ ...running, history: [] }, SETTLED.succeeded)).toMatchObject({
      state: "succeeded",
      history: [],
    });
  });

  test("is refused where the lease in flight is the callback's", () => {
    const task = buildTask({ state: "succeeded", callback: { state: "running" } });

    expect(transition(task, SETTLED.succeeded, context).ok).toBe(false);
  });
});

describe("the end of a round", () => {
  test.each([
    ["succeeded", buildTask({ state: "running" }), SETTLED.succeeded],
    ["failed", buildTask({ state: "running" }), SETTLED["give up"]],
    ["failed", buildTask({ state: "held", expiresAt: LATER }), EXPIRE],
    ["cancelled", buildTask({ state: "held" }), CANCEL],
  ] as const)("puts the callback for %s into its lane, due now", (state, from, event) => {
    const asked: string[] = [];
    const task = next(from, event, {
      now: LATER,
      callbackFor: (end) => {
        asked.push(end);
        return { url: CALLBACK_URL, lane: CALLBACK_LANE };
      },
    });

    expect(asked).toEqual([state]);
    expect(task).toMatchObject({ state, lane: CALLBACK_LANE, dueAt: LATER, until: null, finalizedAt: LATER });
    expect(task.callback).toEqual({
      url: CALLBACK_URL,
      lane: CALLBACK_LANE,
      state: "pending",
      handedWith: null,
      attempt: 0,
      startedAt: LATER,
      attempts: [],
    });
  });

  test("waits for nothing where no callback is wanted", () => {
    expect(next(buildTask({ state: "running" }), SETTLED.succeeded, noCallback)).toMatchObject({
      lane: null,
      callback: null,
    });
  });
});

describe("expire", () => {
  test.each(["pending", "retrying", "held"] as const)("fails a %s task for its max_age", (state) => {
    expect(next(buildTask({ state, expiresAt: LATER }), EXPIRE)).toMatchObject({
      state: "failed",
      reason: "max_age",
    });
  });

  test("is refused before the max_age is over", () => {
    expect(transition(buildTask({ expiresAt: LATER + 1 }), EXPIRE, context).ok).toBe(false);
  });

  test("ends a redriven task without cutting the lease of its earlier round short", () => {
    const task = buildTask({ expiresAt: LATER, lane: null, leaseUntil: NOW + 9_000 });

    expect(next(task, EXPIRE)).toMatchObject({ state: "failed", lane: null, leaseUntil: NOW + 9_000 });
  });
});

describe("release", () => {
  test("uses no attempt, and spends the lease's number", () => {
    const waiting = buildTask({ state: "retrying", attempt: 2, lease: 4 });
    const admitted = next(waiting, ADMIT);

    expect(next(admitted, RELEASE)).toEqual({ ...waiting, lease: 5, dueAt: LATER + 1_000 });
  });

  test.each([
    [{ attempt: 1 }, "pending", TARGET],
    [{ attempt: 2 }, "retrying", RETRY_LANE],
    [{ attempt: 4, attemptsBefore: 3, round: 2 }, "pending", TARGET],
    [{ attempt: 5, attemptsBefore: 3, round: 2 }, "retrying", RETRY_LANE],
  ] as const)("puts a task with %j back to %s", (overrides, state, lane) => {
    expect(next(buildTask({ state: "running", ...overrides }), RELEASE)).toMatchObject({ state, lane });
  });
});
