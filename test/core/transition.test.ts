import { describe, expect, test } from "vitest";
import { interrupted } from "../../src/core/classify.ts";
import { HELD_LANE } from "../../src/core/lane.ts";
import type { Task } from "../../src/core/task.ts";
import type { Transition, TransitionContext } from "../../src/core/transition.ts";
import { keptRoundId, ownerId, type TaskEvent, transition } from "../../src/core/transition.ts";
import { MAX_HISTORY } from "../../src/schema/limits.ts";
import { TASK_STATES, type TaskState } from "../../src/schema/task.ts";
import {
  buildAttempt,
  buildFault,
  buildOpenAttempt,
  buildOutcome,
  buildTask,
  CALLBACK_LANE,
  CALLBACK_URL,
  failFor,
  HOLD,
  NOW,
  retryIn,
  SUCCEED,
  TARGET,
  type TaskOverrides,
} from "../support/build-task.ts";

const LATER = NOW + 5_000;
const context: TransitionContext = {
  now: LATER,
  callbackFor: () => ({ url: CALLBACK_URL, lane: CALLBACK_LANE }),
};
const noCallback: TransitionContext = { now: LATER, callbackFor: () => null };

const ADMIT: TaskEvent = { type: "admit", leaseMs: 30_000 };
const CANCEL: TaskEvent = { type: "cancel" };
const REDRIVE: TaskEvent = { type: "redrive", force: false, maxAgeMs: 3_600_000 };
const FORCED: TaskEvent = { ...REDRIVE, force: true };
const RESUME: TaskEvent = { type: "resume", trigger: "resume" };
const EXPIRE: TaskEvent = { type: "expire" };
const RELEASE: TaskEvent = { type: "release", dueAt: LATER + 1_000 };

const SETTLED = {
  succeeded: { type: "settle", outcome: buildOutcome(), decision: SUCCEED, response: null },
  retry: { type: "settle", outcome: buildFault(), decision: retryIn(3_100), response: null },
  hold: { type: "settle", outcome: buildFault(), decision: HOLD, response: null },
  "give up": { type: "settle", outcome: buildFault(), decision: failFor("max_attempts"), response: null },
  "lease lapsed, tries left": {
    type: "settle",
    outcome: interrupted(),
    decision: retryIn(1_000),
    response: null,
  },
  "lease lapsed, no tries left": {
    type: "settle",
    outcome: interrupted(),
    decision: failFor("max_attempts"),
    response: null,
  },
} as const satisfies Record<string, TaskEvent>;

/** The table of docs/state-machine.md: what each event makes of a task in each state; left out: refused. */
const TABLE: Record<string, { event: TaskEvent; to: Partial<Record<TaskState, TaskState>> }> = {
  admitted: { event: ADMIT, to: { pending: "running", retrying: "running" } },
  succeeded: { event: SETTLED.succeeded, to: { running: "succeeded" } },
  retry: { event: SETTLED.retry, to: { running: "retrying" } },
  hold: { event: SETTLED.hold, to: { running: "held" } },
  "give up": { event: SETTLED["give up"], to: { running: "failed" } },
  "max_age over": { event: EXPIRE, to: { pending: "failed", retrying: "failed", held: "failed" } },
  "lease lapsed, tries left": { event: SETTLED["lease lapsed, tries left"], to: { running: "retrying" } },
  "lease lapsed, no tries left": { event: SETTLED["lease lapsed, no tries left"], to: { running: "failed" } },
  "taken back": { event: RELEASE, to: { running: "pending" } },
  cancel: {
    event: CANCEL,
    to: { pending: "cancelled", running: "cancelled", retrying: "cancelled", held: "cancelled" },
  },
  redrive: {
    event: REDRIVE,
    to: {
      pending: "pending",
      retrying: "retrying",
      held: "retrying",
      failed: "pending",
      cancelled: "pending",
    },
  },
  "forced redrive": {
    event: FORCED,
    to: {
      pending: "pending",
      retrying: "retrying",
      held: "retrying",
      succeeded: "pending",
      failed: "pending",
      cancelled: "pending",
    },
  },
  resume: { event: RESUME, to: { held: "retrying" } },
  "probe ready": { event: { type: "resume", trigger: "probe" }, to: { held: "retrying" } },
};

const PAIRS = Object.entries(TABLE).flatMap(([name, { event, to }]) =>
  TASK_STATES.map((from) => ({ from, name, event, to: to[from] ?? null })),
);

/** A task past its max_age where the event is about that, so that only the state can be in its way. */
function taskIn(state: TaskState, event: TaskEvent): Task {
  return buildTask({ state, expiresAt: event.type === "expire" ? LATER : NOW + 86_400_000 });
}

function next(task: Task, event: TaskEvent, by: TransitionContext = context): Task {
  return accepted(transition(task, event, by)).task;
}

function accepted(result: Transition): Extract<Transition, { ok: true }> {
  if (!result.ok) throw new Error(`refused: ${result.detail}`);
  return result;
}

describe("transition, state by event", () => {
  test.each(PAIRS.filter(({ to }) => to !== null))("$from, $name: $to", ({ from, event, to }) => {
    expect(next(taskIn(from, event), event).state).toBe(to);
  });

  test.each(PAIRS.filter(({ to }) => to === null))("$from, $name: refused", ({ from, event }) => {
    const result = transition(taskIn(from, event), event, context);

    expect(result).toEqual({
      ok: false,
      detail: expect.stringMatching(/ needs a task that is .+; tsk_1 is /),
    });
    expect(result).toHaveProperty("detail", expect.stringMatching(new RegExp(`; tsk_1 is ${from}$`)));
  });

  test.each([
    [
      ADMIT,
      "running",
      "admit needs a task that is pending or retrying with no call in flight; tsk_1 is running",
    ],
    [RELEASE, "held", "release needs a task that is running; tsk_1 is held"],
    [CANCEL, "failed", "cancel needs a task that is pending, running, retrying or held; tsk_1 is failed"],
    [
      REDRIVE,
      "succeeded",
      "retry needs a task that is pending, retrying, held, failed or cancelled, or succeeded where it is forced; tsk_1 is succeeded",
    ],
    [RESUME, "retrying", "resume needs a task that is held; tsk_1 is retrying"],
    [
      EXPIRE,
      "running",
      "expire needs a task that is pending, retrying or held with its max_age over; tsk_1 is running",
    ],
    [
      SETTLED.retry,
      "pending",
      "settle needs a task that is running, or ended with its attempt still in flight; tsk_1 is pending",
    ],
  ] as const)("names what was needed: %j of a %s task", (event, state, detail) => {
    expect(transition(buildTask({ state }), event, context)).toEqual({ ok: false, detail });
  });

  test.each(PAIRS.filter(({ to }) => to !== null))(
    "$from, $name: leaves the task it was given as it is",
    ({ from, event }) => {
      const task = taskIn(from, event);
      const before = structuredClone(task);

      transition(task, event, context);

      expect(task).toEqual(before);
    },
  );
});

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

    expect(task).toMatchObject({ lane: TARGET, dueAt: LATER + 3_100, trigger: "retry", reason: null });
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
    [{ attempt: 1 }, "pending"],
    [{ attempt: 2 }, "retrying"],
    [{ attempt: 4, attemptsBefore: 3, round: 2 }, "pending"],
    [{ attempt: 5, attemptsBefore: 3, round: 2 }, "retrying"],
  ] as const)("puts a task with %j back to %s", (overrides, state) => {
    expect(next(buildTask({ state: "running", ...overrides }), RELEASE)).toMatchObject({
      state,
      lane: TARGET,
    });
  });
});

describe("cancel", () => {
  test.each(["pending", "retrying", "held"] as const)("ends a %s task at once", (state) => {
    expect(next(buildTask({ state }), CANCEL, noCallback)).toMatchObject({
      state: "cancelled",
      reason: "cancelled",
      lane: null,
      until: null,
    });
  });

  test("of a running task keeps its lease, and its callback waits for the lease's end", () => {
    const running = buildTask({ state: "running", lease: 3 });
    const cancelled = next(running, CANCEL);

    expect(cancelled).toMatchObject({ lease: 3, leaseUntil: running.leaseUntil, lane: null });
    expect(cancelled.callback?.state).toBe("pending");
  });
});

describe("a late result", () => {
  const cancelled = next(buildTask({ state: "running", attempt: 2 }), CANCEL);

  test.each(Object.entries(SETTLED))(
    "after a cancel (%s) is noted in the history and changes nothing else",
    (_, event) => {
      const { history, leaseUntil, settledLease, lane, dueAt, ...rest } = next(cancelled, event);

      expect(cancelled).toMatchObject(rest);
      expect({ leaseUntil, settledLease, lane, dueAt }).toEqual({
        leaseUntil: null,
        settledLease: cancelled.lease,
        lane: CALLBACK_LANE,
        dueAt: LATER,
      });
      expect(history.at(-1)).toMatchObject({
        decision: "late",
        errorType: event.outcome.errorType,
        faultClass: event.outcome.faultClass,
        delayMs: null,
        nextAt: null,
        rule: null,
      });
      expect(history[0]).toEqual(cancelled.history[0]);
    },
  );

  test("leaves a cancelled task without a callback at rest", () => {
    const task = next(buildTask({ state: "running" }), CANCEL, noCallback);

    expect(next(task, SETTLED.succeeded, noCallback)).toMatchObject({ lane: null, leaseUntil: null });
  });

  test.each(["delivered", "failed"] as const)("does not send a callback again that is %s", (state) => {
    const task = buildTask({ state: "cancelled", callback: { state }, leaseUntil: NOW + 9_000 });

    expect(next(task, SETTLED.succeeded).lane).toBeNull();
  });

  test("does not make a callback due sooner than it was", () => {
    const task = buildTask({
      state: "cancelled",
      callback: { state: "retrying" },
      lane: null,
      leaseUntil: NOW + 9_000,
      dueAt: LATER + 60_000,
    });

    expect(next(task, SETTLED.succeeded)).toMatchObject({ lane: CALLBACK_LANE, dueAt: LATER + 60_000 });
  });
});

describe("redrive of a waiting task", () => {
  test.each(["pending", "retrying", "held"] as const)(
    "makes a %s task due now, in the same round",
    (state) => {
      const waiting = buildTask({ state, dueAt: NOW + 60_000, attempt: 1 });
      const task = next(waiting, REDRIVE);

      expect(task).toMatchObject({ lane: TARGET, dueAt: LATER, trigger: "manual", until: null });
      expect(task).toMatchObject({ round: 1, attempt: 1, attemptsBefore: 0, expiresAt: waiting.expiresAt });
    },
  );

  test("lets one wait on whose earlier round is still in flight", () => {
    const task = buildTask({ lane: null, leaseUntil: NOW + 9_000 });

    expect(next(task, REDRIVE)).toMatchObject({ state: "pending", lane: null, leaseUntil: NOW + 9_000 });
  });
});

describe("redrive of a final task", () => {
  const failed = buildTask({ state: "failed", attempt: 3, lease: 4, callback: { state: "delivered" } });

  test("begins a round that is due now and has a max_age of its own", () => {
    expect(next(failed, REDRIVE)).toMatchObject({
      round: 2,
      lane: TARGET,
      dueAt: LATER,
      expiresAt: LATER + 3_600_000,
      trigger: "redrive",
    });
  });

  test("forgets how the round before ended, and keeps its history and lease", () => {
    const response = { status: 404, headers: {}, body: "", bodyEncoding: "utf8", truncated: false } as const;
    const task = next({ ...failed, response }, REDRIVE);

    expect(task).toMatchObject({ finalizedAt: null, reason: null, response: null, callback: null, lease: 4 });
    expect(task.history).toEqual(failed.history);
  });

  test("counts attempts of the new round from none, while their numbers run on", () => {
    const task = next(next(failed, REDRIVE), ADMIT);

    expect(task).toMatchObject({ attempt: 4, attemptsBefore: 3 });
    expect(task.history.at(-1)).toMatchObject({ number: 4, round: 2, trigger: "redrive" });
  });

  test("changes nothing of the call, so that its Idempotency-Key stays the same", () => {
    expect(next(failed, REDRIVE).call).toBe(failed.call);
  });

  test.each([null, "delivered", "failed"] as const)("keeps no row for a callback that is %s", (state) => {
    const task = buildTask({ state: "failed", callback: state && { state } });

    expect(accepted(transition(task, REDRIVE, context)).kept).toBeNull();
  });

  test.each([
    { state: "pending", dueAt: NOW, keptDueAt: LATER },
    { state: "retrying", dueAt: LATER + 60_000, keptDueAt: LATER + 60_000 },
  ] as const)("keeps a $state callback waiting in a row of its own", ({ state, dueAt, keptDueAt }) => {
    const ended = buildTask({ state: "failed", callback: { state }, dueAt });
    const { task, kept } = accepted(transition(ended, REDRIVE, context));

    expect(kept).toEqual({ ...ended, id: "tsk_1~1", lane: CALLBACK_LANE, dueAt: keptDueAt });
    expect(task).toMatchObject({ id: "tsk_1", callback: null, lane: TARGET });
  });

  test("hands a callback that is being delivered on with its lease, and the new round may go at once", () => {
    const ended = buildTask({ state: "failed", lease: 7, callback: { state: "running" } });
    const { task, kept } = accepted(transition(ended, REDRIVE, context));

    expect(kept).toEqual({ ...ended, id: "tsk_1~1" });
    expect(task).toMatchObject({ leaseUntil: null, lane: TARGET, lease: 7 });
  });

  test("keeps one row for each round that is not told yet", () => {
    const second = next(next(next(buildTask({ state: "running" }), CANCEL), SETTLED.succeeded), REDRIVE);
    const { kept } = accepted(transition(next(second, CANCEL), REDRIVE, context));

    expect(kept?.id).toBe("tsk_1~2");
  });
});

describe("redrive while an attempt of the cancelled round is in flight", () => {
  const cancelled = next(buildTask({ state: "running", lease: 2 }), CANCEL);
  const { task: redriven, kept } = accepted(transition(cancelled, REDRIVE, context));

  test("waits for the lease outside its lane", () => {
    expect(redriven).toMatchObject({
      state: "pending",
      lane: null,
      leaseUntil: cancelled.leaseUntil,
      lease: 2,
    });
    expect(transition(redriven, ADMIT, context).ok).toBe(false);
  });

  test("lets the cancelled round's callback go without the lease", () => {
    expect(kept).toMatchObject({ lane: CALLBACK_LANE, leaseUntil: null, dueAt: LATER });
  });

  test("goes on when the lease has settled, whatever came of it", () => {
    const landed = next(redriven, SETTLED.succeeded);

    expect(landed).toMatchObject({
      state: "pending",
      lane: TARGET,
      leaseUntil: null,
      settledLease: 2,
      dueAt: LATER,
    });
    expect(landed.history.at(-1)).toMatchObject({ number: 1, round: 1, decision: "late", status: 200 });
    expect(next(landed, ADMIT)).toMatchObject({ attempt: 2, lease: 3 });
  });

  test("goes on when the lease has lapsed", () => {
    expect(next(redriven, SETTLED["lease lapsed, tries left"])).toMatchObject({
      state: "pending",
      lane: TARGET,
    });
  });

  test("does not become due sooner by the late result", () => {
    const task = { ...redriven, dueAt: LATER + 60_000 };

    expect(next(task, SETTLED.succeeded).dueAt).toBe(LATER + 60_000);
  });

  test("can be cancelled again, and keeps the lease again", () => {
    expect(next(redriven, CANCEL)).toMatchObject({
      state: "cancelled",
      lane: null,
      leaseUntil: cancelled.leaseUntil,
    });
  });
});

describe("resume", () => {
  test.each(["resume", "probe"] as const)("makes a held task due now by a %s", (trigger) => {
    expect(next(buildTask({ state: "held" }), { type: "resume", trigger })).toMatchObject({
      state: "retrying",
      lane: TARGET,
      dueAt: LATER,
      trigger,
      until: null,
    });
  });
});

describe("keptRoundId", () => {
  test.each(["tsk_1", "tsk_01jdcz"])("is read back by ownerId: %s", (id) => {
    expect(ownerId(keptRoundId(id, 12))).toBe(id);
  });

  test("is another for each round", () => {
    expect(keptRoundId("tsk_1", 1)).not.toBe(keptRoundId("tsk_1", 2));
  });
});

describe("ownerId", () => {
  test("is a task's own id", () => {
    expect(ownerId("tsk_1")).toBe("tsk_1");
  });
});

test("a round of three attempts reads back as its history", () => {
  const overrides: TaskOverrides = { expiresAt: NOW + 60_000 };
  let task = buildTask(overrides);
  for (const event of [SETTLED.retry, SETTLED.hold, SETTLED.succeeded]) {
    task = next(next(task, ADMIT), event);
    if (task.state === "held") task = next(task, RESUME);
  }

  expect(task.history.map(({ number, trigger, decision }) => [number, trigger, decision])).toEqual([
    [1, "submit", "retry"],
    [2, "retry", "hold"],
    [3, "resume", "succeed"],
  ]);
  expect(task).toMatchObject({ state: "succeeded", attempt: 3, lease: 3, settledLease: 3 });
  expect(buildAttempt({ number: 3 }).number).toBe(task.attempt);
});
