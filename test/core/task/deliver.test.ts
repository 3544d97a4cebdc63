import { describe, expect, test } from "vitest";
import { interrupted } from "../../../src/core/call/classify.ts";
import { type DeliveryEvent, deliver } from "../../../src/core/task/deliver.ts";
import type { Task } from "../../../src/core/task/task.ts";
import { CALLBACK_STATES, type CallbackState, TASK_STATES } from "../../../src/schema/task.ts";
import {
  buildDelivery,
  buildFault,
  buildOutcome,
  buildTask,
  CALLBACK_LANE,
  failFor,
  HOLD,
  NOW,
  retryIn,
  SUCCEED,
} from "../../support/shard/build-task.ts";

const LATER = NOW + 5_000;
const ADMIT: DeliveryEvent = { type: "admit", leaseMs: 20_000 };
const DELIVERED: DeliveryEvent = { type: "settle", outcome: buildOutcome(), decision: SUCCEED };
const RETRIED: DeliveryEvent = { type: "settle", outcome: buildFault(), decision: retryIn(4_000) };
const GIVEN_UP: DeliveryEvent = {
  type: "settle",
  outcome: buildFault(),
  decision: failFor("max_attempts"),
};
const RELEASE: DeliveryEvent = { type: "release", dueAt: LATER + 1_000 };
const STOP: DeliveryEvent = { type: "stop" };

/** What each event makes of a callback in each state; left out: it cannot happen. */
const TABLE: Record<string, { event: DeliveryEvent; to: Partial<Record<CallbackState, CallbackState>> }> = {
  admitted: { event: ADMIT, to: { pending: "running", retrying: "running" } },
  delivered: { event: DELIVERED, to: { running: "delivered" } },
  retry: { event: RETRIED, to: { running: "retrying" } },
  "give up": { event: GIVEN_UP, to: { running: "failed" } },
  held: {
    event: { type: "settle", outcome: buildFault(), decision: HOLD },
    to: { running: "failed" },
  },
  "lease lapsed": {
    event: { type: "settle", outcome: interrupted(), decision: retryIn(4_000) },
    to: { running: "retrying" },
  },
  "taken back": { event: RELEASE, to: { running: "pending" } },
  stopped: { event: STOP, to: { pending: "failed", retrying: "failed", running: "running" } },
};
const PAIRS = Object.entries(TABLE).flatMap(([name, { event, to }]) =>
  CALLBACK_STATES.map((from) => ({ from, name, event, to: to[from] ?? null })),
);
const EVENTS = Object.entries(TABLE).map(([name, { event }]) => ({ name, event }));

function taskWith(state: CallbackState, attempt = 1): Task {
  return buildTask({
    state: "failed",
    lease: 4,
    callback: { state, attempt: state === "pending" ? 0 : attempt },
  });
}

function next(task: Task, event: DeliveryEvent): Task {
  const after = deliver(task, event, LATER);
  if (after === null) throw new Error(`${event.type} cannot happen`);
  return after;
}

describe("deliver, callback state by event", () => {
  test.each(PAIRS.filter(({ to }) => to !== null))("$from, $name: $to", ({ from, event, to }) => {
    expect(next(taskWith(from), event).callback?.state).toBe(to);
  });

  test.each(PAIRS.filter(({ to }) => to === null))("$from, $name: null", ({ from, event }) => {
    expect(deliver(taskWith(from), event, LATER)).toBeNull();
  });

  test.each(EVENTS)("no callback, $name: null", ({ event }) => {
    expect(deliver(buildTask({ state: "succeeded" }), event, LATER)).toBeNull();
  });

  test.each(PAIRS.filter(({ to }) => to !== null))(
    "$from, $name: leaves the task's outcome alone",
    ({ from, event }) => {
      const { state, attempt, history, response, reason, round, finalizedAt } = taskWith(from);

      expect(next(taskWith(from), event)).toMatchObject({
        state,
        attempt,
        history,
        response,
        reason,
        round,
        finalizedAt,
      });
    },
  );

  test.each(EVENTS.filter(({ event }) => event.type === "settle" || event.type === "release"))(
    "without a lease, $name: null",
    ({ event }) => {
      const task = { ...taskWith("running"), leaseUntil: null };

      expect(deliver(task, event, LATER)).toBeNull();
    },
  );
});

describe("admit", () => {
  test("gives the task's next lease and takes it out of the callback's lane", () => {
    expect(next(taskWith("pending"), ADMIT)).toMatchObject({
      lane: null,
      lease: 5,
      leaseUntil: LATER + 20_000,
    });
  });

  test("begins a line for the delivery", () => {
    const { callback } = next(taskWith("retrying", 2), ADMIT);

    expect(callback?.attempt).toBe(3);
    expect(callback?.attempts).toHaveLength(3);
    expect(callback?.attempts.at(-1)).toEqual(
      buildDelivery({ number: 3, startedAt: LATER, durationMs: null, status: null, errorType: null }),
    );
  });

  test.each(["pending", "retrying"] as const)(
    "waits where an attempt of the task is still in flight: %s",
    (state) => {
      const task = { ...taskWith(state), lane: null, leaseUntil: NOW + 9_000 };

      expect(deliver(task, ADMIT, LATER)).toBeNull();
    },
  );
});

describe("settle", () => {
  test.each([
    ["delivered", DELIVERED],
    ["given up", GIVEN_UP],
  ])("leaves the lane for good when it is %s", (_, event) => {
    const task = taskWith("running");

    expect(next(task, event)).toMatchObject({
      lane: null,
      leaseUntil: null,
      settledLease: 4,
      dueAt: task.dueAt,
    });
  });

  test("waits in the callback's lane for its next try", () => {
    expect(next(taskWith("running"), RETRIED)).toMatchObject({
      lane: CALLBACK_LANE,
      leaseUntil: null,
      settledLease: 4,
      dueAt: LATER + 4_000,
    });
  });

  test("is due at once where the next try has no delay", () => {
    const event: DeliveryEvent = { type: "settle", outcome: buildFault(), decision: retryIn(0) };

    expect(next(taskWith("running"), event)).toMatchObject({ lane: CALLBACK_LANE, dueAt: LATER });
  });

  test("writes what came into the delivery's line and leaves the others", () => {
    const before = taskWith("running", 2);
    const { callback } = next(before, RETRIED);

    expect(callback?.attempts).toEqual([
      before.callback?.attempts[0],
      {
        number: 2,
        startedAt: NOW,
        durationMs: 40,
        status: 503,
        errorType: "server_error",
        bodyError: null,
        nextAt: LATER + 4_000,
      },
    ]);
  });

  test("tells of no next try when it is delivered", () => {
    expect(next(taskWith("running"), DELIVERED).callback?.attempts.at(-1)).toMatchObject({
      status: 200,
      errorType: null,
      nextAt: null,
    });
  });

  test("does not claim to know the status of an interrupted delivery", () => {
    const event: DeliveryEvent = { type: "settle", outcome: interrupted(), decision: retryIn(1_000) };

    expect(next(taskWith("running"), event).callback?.attempts.at(-1)).toMatchObject({
      status: null,
      errorType: "interrupted",
    });
  });

  test("settles a callback whose deliveries have been lost", () => {
    const task = buildTask({ state: "failed", callback: { state: "running", attempts: [] } });

    expect(next(task, DELIVERED).callback).toMatchObject({ state: "delivered", attempts: [] });
  });
});

describe("release", () => {
  test.each([
    { waiting: "pending", attempt: 0 },
    { waiting: "retrying", attempt: 2 },
  ] as const)(
    "makes a $waiting callback wait as before, its lease's number spent",
    ({ waiting, attempt }) => {
      const before = taskWith(waiting, attempt);
      const after = next(next(before, ADMIT), RELEASE);

      expect(after).toEqual({ ...before, lease: before.lease + 1, dueAt: LATER + 1_000 });
    },
  );
});

describe("stop", () => {
  test("ends a callback that waits, and tells of no next try", () => {
    const waiting = next(next(taskWith("running", 2), RETRIED), STOP);

    expect(waiting).toMatchObject({
      lane: null,
      callback: { state: "failed", reason: "stopped", attempt: 2 },
    });
    expect(waiting.callback?.attempts.map(({ nextAt }) => nextAt)).toEqual([null, null]);
  });

  test("leaves an attempt in flight its lease, which the callback waited for", () => {
    const task = { ...taskWith("pending"), lane: null, leaseUntil: NOW + 9_000 };

    expect(next(task, STOP)).toMatchObject({
      lane: null,
      leaseUntil: NOW + 9_000,
      callback: { state: "failed" },
    });
  });

  test.each([
    ["retried", RETRIED, "failed", "stopped"],
    ["given up", GIVEN_UP, "failed", "stopped"],
    ["delivered", DELIVERED, "delivered", undefined],
    ["taken back", RELEASE, "failed", "stopped"],
  ] as const)("lets a delivery that is under way be the last: %s", (_, event, state, reason) => {
    const after = next(next(taskWith("running", 2), STOP), event);

    expect(after).toMatchObject({ lane: null, leaseUntil: null });
    expect(after.callback).toMatchObject({ state });
    expect(after.callback?.reason).toBe(reason);
    expect(after.callback?.attempts.at(-1)?.nextAt).toBeNull();
  });

  test("changes nothing more where it comes twice", () => {
    const once = next(taskWith("running"), STOP);

    expect(next(once, STOP)).toEqual(once);
  });
});

test("a callback that is given up says why", () => {
  expect(next(taskWith("running"), GIVEN_UP).callback?.reason).toBe("max_attempts");
});

test.each(TASK_STATES.slice(0, 4))("nothing is delivered while a task is %s", (state) => {
  expect(deliver(buildTask({ state }), ADMIT, LATER)).toBeNull();
});
