import { callbackPhase } from "../../schema/state-facts.ts";
import type { Outcome } from "../call/classify.ts";
import type { Decision } from "../policy/decide.ts";
import type { Callback, CallbackAttempt, Task } from "./task.ts";

/** What can happen to the delivery of a final task's callback. */
export type DeliveryEvent =
  | { type: "admit"; leaseMs: number }
  | { type: "settle"; outcome: Outcome; decision: Decision }
  /** The delivery never started: the grant is taken back. */
  | { type: "release"; dueAt: number }
  /** An operator wants no more deliveries. One that is under way may still arrive. */
  | { type: "stop" };

/**
 * The callback's own state machine: pending, running, retrying, then delivered or failed. Null where the event
 * cannot happen to it. Pure; the caller writes the result.
 */
export function deliver(task: Task, event: DeliveryEvent, now: number): Task | null {
  const callback = task.callback;
  if (callback === null) return null;
  switch (event.type) {
    case "admit":
      return admit(task, callback, event.leaseMs, now);
    case "settle":
      return settle(task, callback, event.outcome, event.decision, now);
    case "release":
      return release(task, callback, event.dueAt);
    case "stop":
      return stop(task, callback);
  }
}

function admit(task: Task, callback: Callback, leaseMs: number, now: number): Task | null {
  if (callbackPhase(callback.state) !== "waiting" || task.leaseUntil !== null) return null;
  const attempt = callback.attempt + 1;
  const started: CallbackAttempt = {
    number: attempt,
    startedAt: now,
    durationMs: null,
    status: null,
    errorType: null,
    bodyError: null,
    nextAt: null,
  };
  return {
    ...task,
    lane: null,
    lease: task.lease + 1,
    leaseUntil: now + leaseMs,
    callback: { ...callback, state: "running", attempt, attempts: [...callback.attempts, started] },
  };
}

function settle(
  task: Task,
  callback: Callback,
  outcome: Outcome,
  decision: Decision,
  now: number,
): Task | null {
  if (callback.state !== "running" || task.leaseUntil === null) return null;
  const { state, nextAt, reason } = endOf(callback, decision, now);
  const last = callback.attempts.at(-1);
  const result: Omit<CallbackAttempt, "number" | "startedAt"> = {
    durationMs: outcome.durationMs,
    status: outcome.errorType === "interrupted" ? null : outcome.status,
    errorType: outcome.errorType,
    bodyError: outcome.bodyError,
    nextAt,
  };
  return {
    ...task,
    lane: nextAt === null ? null : callback.lane,
    dueAt: nextAt ?? task.dueAt,
    leaseUntil: null,
    settledLease: task.lease,
    callback: {
      ...callback,
      state,
      attempts: [...callback.attempts.slice(0, -1), ...(last ? [{ ...last, ...result }] : [])],
      reason,
    },
  };
}

/** What a delivery's end makes of the callback, and when the next one is due. */
function endOf(
  { reason }: Callback,
  decision: Decision,
  now: number,
): Pick<Callback, "state" | "reason"> & { nextAt: number | null } {
  if (decision.do === "succeed") return { state: "delivered", nextAt: null, reason: undefined };
  if (reason === "stopped") return { state: "failed", nextAt: null, reason };
  if (decision.do === "retry") return { state: "retrying", nextAt: now + decision.delayMs, reason };
  return { state: "failed", nextAt: null, reason: decision.do === "fail" ? decision.reason : undefined };
}

function stop(task: Task, callback: Callback): Task | null {
  switch (callbackPhase(callback.state)) {
    case "ended":
      return null;
    case "called":
      return { ...task, callback: { ...callback, reason: "stopped" } };
    default: {
      const attempts = callback.attempts.map((attempt) => ({ ...attempt, nextAt: null }));
      return { ...task, lane: null, callback: { ...callback, state: "failed", attempts, reason: "stopped" } };
    }
  }
}

function release(task: Task, callback: Callback, dueAt: number): Task | null {
  if (callback.state !== "running" || task.leaseUntil === null) return null;
  const attempt = callback.attempt - 1;
  const isStopped = callback.reason === "stopped";
  return {
    ...task,
    lane: isStopped ? null : callback.lane,
    dueAt,
    leaseUntil: null,
    callback: {
      ...callback,
      state: isStopped ? "failed" : attempt > 0 ? "retrying" : "pending",
      attempt,
      attempts: callback.attempts.slice(0, -1),
    },
  };
}
