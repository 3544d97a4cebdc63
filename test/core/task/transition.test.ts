import { describe, expect, test } from "vitest";
import type { Task } from "../../../src/core/task/task.ts";
import { type TaskEvent, transition } from "../../../src/core/task/transition.ts";
import { TASK_STATES, type TaskState } from "../../../src/schema/task.ts";
import { buildTask, NOW } from "../../support/shard/build-task.ts";
import {
  ADMIT,
  CANCEL,
  context,
  EXPIRE,
  FORCED,
  LATER,
  next,
  REDRIVE,
  RELEASE,
  RESUME,
  SETTLED,
} from "../../support/shard/task-events.ts";

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
