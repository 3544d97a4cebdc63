import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type DeliveryEvent, deliver } from "../../../src/core/task/deliver.ts";
import { isFinal, type Task } from "../../../src/core/task/task.ts";
import { type TaskEvent, transition } from "../../../src/core/task/transition.ts";
import { MAX_HISTORY } from "../../../src/schema/limits.ts";
import { CALLBACK_STATES, TASK_STATES } from "../../../src/schema/task.ts";
import {
  buildFault,
  buildOutcome,
  buildTask,
  CALLBACK_LANE,
  CALLBACK_URL,
  failFor,
  HOLD,
  NOW,
  RETRY_LANE,
  retryIn,
  SUCCEED,
  TARGET,
} from "../../support/shard/build-task.ts";

/** One thing that happens to a task, after so much time. */
type Step = { afterMs: number; wanted: boolean } & (
  | { on: "task"; event: TaskEvent }
  | { on: "callback"; event: DeliveryEvent }
);

const outcome = fc.constantFrom(buildOutcome(), buildFault());
const decision = fc.constantFrom(SUCCEED, HOLD, retryIn(0), retryIn(5_000), failFor("max_attempts"));
const taskEvent: fc.Arbitrary<TaskEvent> = fc.oneof(
  { weight: 6, arbitrary: fc.constant<TaskEvent>({ type: "admit", leaseMs: 30_000 }) },
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant("settle" as const),
      outcome,
      decision,
      response: fc.constant(null),
    }),
  },
  fc.constant<TaskEvent>({ type: "release", dueAt: NOW + 1_000 }),
  { weight: 2, arbitrary: fc.constant<TaskEvent>({ type: "cancel" }) },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant("redrive" as const),
      force: fc.boolean(),
      maxAgeMs: fc.constant(20_000),
    }),
  },
  fc.constant<TaskEvent>({ type: "resume", trigger: "resume" }),
  fc.constant<TaskEvent>({ type: "expire" }),
);
const deliveryEvent: fc.Arbitrary<DeliveryEvent> = fc.oneof(
  fc.constant<DeliveryEvent>({ type: "admit", leaseMs: 20_000 }),
  fc.record({ type: fc.constant("settle" as const), outcome, decision }),
  fc.constant<DeliveryEvent>({ type: "release", dueAt: NOW + 1_000 }),
  fc.constant<DeliveryEvent>({ type: "stop" }),
);
const timing = { afterMs: fc.integer({ min: 0, max: 4_000 }), wanted: fc.boolean() };
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ ...timing, on: fc.constant("task" as const), event: taskEvent }) },
  fc.record({ ...timing, on: fc.constant("callback" as const), event: deliveryEvent }),
);
const start: fc.Arbitrary<Task> = fc
  .record({
    state: fc.constantFrom(...TASK_STATES),
    attempt: fc.constantFrom(1, 2, MAX_HISTORY - 1, MAX_HISTORY),
    callback: fc.option(
      fc.constantFrom("pending" as const, "running" as const, "retrying" as const, "delivered" as const),
    ),
  })
  .map(({ state, attempt, callback }) =>
    buildTask({
      state,
      attempt,
      expiresAt: NOW + 20_000,
      callback: callback === null ? null : { state: callback },
    }),
  );

/** What a step made of a task; null where it was refused. */
interface Move {
  before: Task;
  after: Task;
  kept: Task | null;
  step: Step;
}

function take(before: Task, step: Step, now: number): Move | null {
  if (step.on === "callback") {
    const after = deliver(before, step.event, now);
    return after && { before, after, kept: null, step };
  }
  const callbackFor = () => (step.wanted ? { url: CALLBACK_URL, lane: CALLBACK_LANE } : null);
  const result = transition(before, step.event, { now, callbackFor });
  return result.ok ? { before, after: result.task, kept: result.kept, step } : null;
}

function run(first: Task, steps: readonly Step[], check: (move: Move) => void): void {
  let task = first;
  let now = NOW;
  for (const step of steps) {
    now += step.afterMs;
    const move = take(task, step, now);
    if (move === null) continue;
    check(move);
    task = move.after;
  }
}

/** Checks every move of random sequences; the same ones each time where there is a seed. */
function holdsAlways(check: (move: Move) => void, seed?: number): void {
  const steps = fc.array(step, { minLength: 1, maxLength: 60, size: "max" });
  fc.assert(
    fc.property(start, steps, (first, all) => run(first, all, check)),
    { numRuns: 500, ...(seed === undefined ? {} : { seed }) },
  );
}

function isOpen(callback: Task["callback"]): boolean {
  return callback !== null && callback.state !== "delivered" && callback.state !== "failed";
}

describe("any sequence of events", () => {
  test("reaches every state, so that what follows is not said of nothing", () => {
    const counts = new Map<string, number>();
    const see = (what: string) => counts.set(what, (counts.get(what) ?? 0) + 1);
    holdsAlways(({ after, kept }) => {
      see(after.state);
      see(`callback ${after.callback?.state}`);
      if (kept !== null) see(`kept ${kept.callback?.state}`);
      if (after.state === "pending" && after.leaseUntil !== null) see("waits for an earlier lease");
    }, 7);
    expect([...counts.keys()]).toEqual(
      expect.arrayContaining([
        ...TASK_STATES,
        ...CALLBACK_STATES.map((state) => `callback ${state}`),
        "kept pending",
        "kept running",
        "kept retrying",
        "waits for an earlier lease",
      ]),
    );
  });

  test("never gives a lease while another is in flight", () => {
    holdsAlways(({ before, after }) => {
      if (after.lease > before.lease) expect(before.leaseUntil).toBeNull();
    });
  });

  test("never lowers the lease, and gives each number once", () => {
    holdsAlways(({ before, after, step }) => {
      expect(after.lease - before.lease).toBe(step.event.type === "admit" ? 1 : 0);
    });
  });

  test("ends a lease only by a settle, a release, or by handing it on to the kept round", () => {
    holdsAlways(({ before, after, kept, step }) => {
      if (before.leaseUntil === null || after.leaseUntil !== null) return;
      if (step.event.type === "settle" || step.event.type === "release") return;
      expect(kept?.leaseUntil).toBe(before.leaseUntil);
    });
  });

  test("leaves a final state only by a redrive, which begins a round", () => {
    holdsAlways(({ before, after, step }) => {
      if (!isFinal(before.state) || after.state === before.state) return;
      expect([step.event.type, after.state, after.round]).toEqual(["redrive", "pending", before.round + 1]);
    });
  });

  test("uses an attempt for each admission and gives it back by a release only", () => {
    holdsAlways(({ before, after, step }) => {
      const change = step.on === "callback" ? 0 : ({ admit: 1, release: -1 }[String(step.event.type)] ?? 0);
      expect(after.attempt - before.attempt).toBe(change);
    });
  });

  test("accounts for every attempt, in order, in at most MAX_HISTORY lines", () => {
    holdsAlways(({ after }) => {
      expect(after.history.length).toBeLessThanOrEqual(MAX_HISTORY);
      expect(after.history.length + after.attemptsOmitted).toBe(after.attempt);
      expect(after.history.map(({ number }) => number)).toEqual(
        after.history.map((_, i) => after.attemptsOmitted + i + 1),
      );
    });
  });

  test("never lets a task wait in a lane while its lease is in flight", () => {
    holdsAlways(({ after, kept }) => {
      for (const row of [after, ...(kept ? [kept] : [])])
        if (row.leaseUntil !== null) expect(row.lane).toBeNull();
    });
  });

  test("never lets a task get stuck: what is not final has a lane or a lease", () => {
    holdsAlways(({ after }) => {
      if (isFinal(after.state)) return;
      expect(after.lane !== null || after.leaseUntil !== null).toBe(true);
    });
  });

  test("lets a pending task wait in its target's lane only, and a retrying one in the lane of its retries", () => {
    holdsAlways(({ after }) => {
      const waits = after.state === "pending" || after.state === "retrying";
      if (waits && after.leaseUntil === null)
        expect(after.lane).toBe(after.state === "pending" ? TARGET : RETRY_LANE);
    });
  });

  test("never lets a callback get stuck: undelivered and without a lease, it waits in its lane", () => {
    holdsAlways(({ after, kept }) => {
      for (const row of [after, ...(kept ? [kept] : [])]) {
        if (!isFinal(row.state) || row.leaseUntil !== null) continue;
        expect(row.lane).toBe(isOpen(row.callback) ? CALLBACK_LANE : null);
      }
    });
  });

  test("never drops a callback that is wanted and not delivered", () => {
    holdsAlways(({ before, after, kept }) => {
      if (!isOpen(before.callback) || after.callback !== null) return;
      expect(kept?.callback).toEqual(before.callback);
    });
  });

  test("says when and why a task ended exactly where it is final", () => {
    holdsAlways(({ after }) => {
      expect(after.finalizedAt !== null).toBe(isFinal(after.state));
      expect(after.reason !== null).toBe(isFinal(after.state));
    });
  });
});
