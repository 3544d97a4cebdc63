import type { CallbackState, TaskState } from "./task.ts";

/**
 * What goes on in a state: `waiting` for a due time, `held` until something else happens, `called` (a call is in
 * flight), or `ended`.
 */
export type Phase = "waiting" | "held" | "called" | "ended";

const PHASE_OF_TASK: Readonly<Record<TaskState, Phase>> = {
  pending: "waiting",
  running: "called",
  retrying: "waiting",
  held: "held",
  succeeded: "ended",
  failed: "ended",
  cancelled: "ended",
};

const PHASE_OF_CALLBACK: Readonly<Record<CallbackState, Phase>> = {
  pending: "waiting",
  running: "called",
  retrying: "waiting",
  delivered: "ended",
  failed: "ended",
};

/** What goes on with a task in this state. */
export function taskPhase(state: TaskState): Phase {
  return PHASE_OF_TASK[state];
}

/** What goes on with a callback in this state. */
export function callbackPhase(state: CallbackState): Phase {
  return PHASE_OF_CALLBACK[state];
}
