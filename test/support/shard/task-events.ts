import { interrupted } from "../../../src/core/call/classify.ts";
import type { Task } from "../../../src/core/task/task.ts";
import {
  type TaskEvent,
  type Transition,
  type TransitionContext,
  transition,
} from "../../../src/core/task/transition.ts";
import {
  buildFault,
  buildOutcome,
  CALLBACK_LANE,
  CALLBACK_URL,
  failFor,
  HOLD,
  NOW,
  retryIn,
  SUCCEED,
} from "./build-task.ts";

/** The instant at which the events of these tests happen: a while after NOW, when built tasks were last due. */
export const LATER = NOW + 5_000;
/** A context in which every end of a round is told. */
export const context: TransitionContext = {
  now: LATER,
  callbackFor: () => ({ url: CALLBACK_URL, lane: CALLBACK_LANE }),
};
/** A context in which none is. */
export const noCallback: TransitionContext = { now: LATER, callbackFor: () => null };

export const ADMIT: TaskEvent = { type: "admit", leaseMs: 30_000 };
export const CANCEL: TaskEvent = { type: "cancel" };
export const REDRIVE: TaskEvent = { type: "redrive", force: false, maxAgeMs: 3_600_000 };
export const FORCED: TaskEvent = { ...REDRIVE, force: true };
export const RESUME: TaskEvent = { type: "resume", trigger: "resume" };
export const EXPIRE: TaskEvent = { type: "expire" };
export const RELEASE: TaskEvent = { type: "release", dueAt: LATER + 1_000 };

/** Every way in which an attempt can end. */
export const SETTLED = {
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

/** What the task becomes; throws where the event is refused. */
export function next(task: Task, event: TaskEvent, by: TransitionContext = context): Task {
  return accepted(transition(task, event, by)).task;
}

export function accepted(result: Transition): Extract<Transition, { ok: true }> {
  if (!result.ok) throw new Error(`refused: ${result.detail}`);
  return result;
}
