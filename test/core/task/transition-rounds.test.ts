import { describe, expect, test } from "vitest";
import { eventRoundId, isEventId, keptRoundId, ownerId } from "../../../src/core/task/row-id.ts";
import { transition } from "../../../src/core/task/transition.ts";
import { buildTask, CALLBACK_LANE, NOW, RETRY_LANE, TARGET } from "../../support/shard/build-task.ts";
import {
  ADMIT,
  accepted,
  CANCEL,
  context,
  LATER,
  next,
  noCallback,
  REDRIVE,
  RESUME,
  SETTLED,
} from "../../support/shard/task-events.ts";

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
  test.each([
    ["pending", TARGET],
    ["retrying", RETRY_LANE],
    ["held", RETRY_LANE],
  ] as const)("makes a %s task due now, in the same round", (state, lane) => {
    const waiting = buildTask({ state, dueAt: NOW + 60_000, attempt: 1 });
    const task = next(waiting, REDRIVE);

    expect(task).toMatchObject({ lane, dueAt: LATER, trigger: "manual", until: null });
    expect(task).toMatchObject({ round: 1, attempt: 1, attemptsBefore: 0, expiresAt: waiting.expiresAt });
  });

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
      lane: RETRY_LANE,
      dueAt: LATER,
      trigger,
      until: null,
    });
  });
});

describe("eventRoundId", () => {
  test("is told from ids of tasks and of kept rounds, and read back by ownerId", () => {
    const id = eventRoundId("tsk_1");
    expect(["tsk_1", keptRoundId("tsk_1", 2), id].map(isEventId)).toEqual([false, false, true]);
    expect(ownerId(id)).toBe("tsk_1");
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
  let task = buildTask();
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
});
