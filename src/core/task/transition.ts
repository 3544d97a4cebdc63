import { MAX_HISTORY } from "../../schema/limits.ts";
import { callbackPhase, taskPhase } from "../../schema/state-facts.ts";
import type { Outcome } from "../call/classify.ts";
import type { Decision } from "../policy/decide.ts";
import { HELD_LANE, retryLane } from "./lane.ts";
import { keptRoundId } from "./row-id.ts";
import type { Attempt, AttemptStart, Callback, KeptResponse, Reason, Task } from "./task.ts";
import { isFinal } from "./task.ts";

/** Everything that can happen to a task; the verbs of the state chart in docs/state-machine.md. */
export type TaskEvent =
  /** It gets the right to make an attempt now, for so long. */
  | { type: "admit"; leaseMs: number }
  /** The attempt in flight has ended, or its lease has lapsed; `decision` says what follows. */
  | { type: "settle"; outcome: Outcome; decision: Decision; response: KeptResponse | null }
  /** The attempt never started: the grant is taken back, and no attempt is used. */
  | { type: "release"; dueAt: number }
  | { type: "cancel" }
  /** `POST .../retry`: a waiting task goes now, a final one starts a new round. */
  | { type: "redrive"; force: boolean; maxAgeMs: number }
  /** A held task goes on: by a signal, or since its probe is ready. */
  | { type: "resume"; trigger: "resume" | "probe" }
  /** Its round's `max_age` is over. */
  | { type: "expire" };

/** What a transition needs to know beyond the task. */
export interface TransitionContext {
  now: number;
  /** The callback that is wanted when the task ends in this state, and its lane; null: none is. */
  callbackFor(state: "succeeded" | "failed" | "cancelled"): { url: string; lane: string } | null;
}

export type Transition =
  /** `kept`: the ended round as a row of its own, since its callback is still to be delivered. */
  { ok: true; task: Task; kept: Task | null } | { ok: false; detail: string };

type FinalState = "succeeded" | "failed" | "cancelled";

/**
 * The state machine: what a task becomes by an event, or why that event cannot happen to it. Pure; the caller
 * writes the result. A task in flight (`leaseUntil` not null) never gets a second lease.
 */
export function transition(task: Task, event: TaskEvent, context: TransitionContext): Transition {
  switch (event.type) {
    case "admit":
      return admit(task, event.leaseMs, context.now);
    case "settle":
      return settle(task, event, context);
    case "release":
      return release(task, event.dueAt);
    case "cancel":
      return cancel(task, context);
    case "redrive":
      return redrive(task, event, context.now);
    case "resume":
      if (task.state !== "held") return refused(task, "resume");
      return done(goNow(task, event.trigger, context.now));
    case "expire":
      return expire(task, context);
  }
}

function admit(task: Task, leaseMs: number, now: number): Transition {
  if (taskPhase(task.state) !== "waiting" || task.leaseUntil !== null) return refused(task, "admit");
  const attempt = task.attempt + 1;
  return done({
    ...withAttempt(task, startedAttempt(attempt, task, now)),
    state: "running",
    lane: null,
    attempt,
    lease: task.lease + 1,
    leaseUntil: now + leaseMs,
  });
}

function settle(
  task: Task,
  event: Extract<TaskEvent, { type: "settle" }>,
  context: TransitionContext,
): Transition {
  if (task.leaseUntil === null || task.callback?.state === "running") return refused(task, "settle");
  const landed = { ...task, leaseUntil: null, settledLease: task.lease };
  if (task.state !== "running") return done(noteLate(landed, event.outcome, context.now));
  const { decision, outcome, response } = event;
  const delayMs = decision.do === "retry" ? decision.delayMs : null;
  const waitMs = decision.do === "fail" ? (decision.waitMs ?? null) : delayMs;
  const settled: Task = {
    ...withResult(landed, outcome, {
      faultClass: decision.faultClass,
      decision: decision.do,
      rule: decision.rule,
      delayMs: waitMs,
      nextAt: delayMs === null ? null : context.now + delayMs,
    }),
    response,
  };
  switch (decision.do) {
    case "succeed":
      return done(finish(settled, "succeeded", "succeeded", context));
    case "fail":
      return done(finish(settled, "failed", decision.reason, context));
    case "retry":
      return done({
        ...settled,
        state: "retrying",
        lane: retryLane(task.target),
        dueAt: context.now + decision.delayMs,
        trigger: "retry",
      });
    case "hold":
      return done({
        ...settled,
        state: "held",
        lane: HELD_LANE,
        dueAt: task.expiresAt,
        until: decision.until,
      });
  }
}

function release(task: Task, dueAt: number): Transition {
  if (task.state !== "running" || task.leaseUntil === null) return refused(task, "release");
  const before = task.attempt - 1 > task.attemptsBefore;
  return done({
    ...task,
    state: before ? "retrying" : "pending",
    lane: before ? retryLane(task.target) : task.target,
    dueAt,
    attempt: task.attempt - 1,
    leaseUntil: null,
    history: task.history.slice(0, -1),
  });
}

function cancel(task: Task, context: TransitionContext): Transition {
  if (isFinal(task.state)) return refused(task, "cancel");
  return done(finish(task, "cancelled", "cancelled", context));
}

function redrive(task: Task, event: Extract<TaskEvent, { type: "redrive" }>, now: number): Transition {
  if (task.state === "running" || (task.state === "succeeded" && !event.force)) return refused(task, "retry");
  if (!isFinal(task.state)) return done(goNow(task, "manual", now));
  const kept = undelivered(task.callback) ? keptRound(task, task.callback, now) : null;
  const attemptInFlight = task.leaseUntil !== null && task.callback?.state !== "running";
  return {
    ok: true,
    kept,
    task: {
      ...task,
      state: "pending",
      lane: attemptInFlight ? null : task.target,
      dueAt: now,
      expiresAt: now + event.maxAgeMs,
      round: task.round + 1,
      attemptsBefore: task.attempt,
      leaseUntil: attemptInFlight ? task.leaseUntil : null,
      trigger: "redrive",
      finalizedAt: null,
      reason: null,
      until: null,
      response: null,
      callback: null,
    },
  };
}

function expire(task: Task, context: TransitionContext): Transition {
  const phase = taskPhase(task.state);
  const waits = phase === "waiting" || phase === "held";
  if (!waits || task.expiresAt > context.now) return refused(task, "expire");
  return done(finish(task, "failed", "max_age", context));
}

/** Makes a waiting task due; one that still has an earlier round's attempt in flight waits for its end. */
function goNow(task: Task, trigger: Task["trigger"], now: number): Task {
  const state = task.state === "held" ? "retrying" : task.state;
  const lane = state === "retrying" ? retryLane(task.target) : task.target;
  return {
    ...task,
    state,
    lane: task.leaseUntil === null ? lane : null,
    dueAt: now,
    trigger,
    until: null,
  };
}

/** Ends a round. The callback waits for the lease of an attempt that is still in flight. */
function finish(task: Task, state: FinalState, reason: Reason, context: TransitionContext): Task {
  const wanted = context.callbackFor(state);
  const callback: Callback | null =
    wanted === null
      ? null
      : {
          url: wanted.url,
          lane: wanted.lane,
          state: "pending",
          handedWith: null,
          attempt: 0,
          startedAt: context.now,
          attempts: [],
        };
  return {
    ...task,
    state,
    reason,
    callback,
    lane: task.leaseUntil === null ? (callback?.lane ?? null) : null,
    dueAt: context.now,
    finalizedAt: context.now,
    until: null,
  };
}

/** A result that came after a cancel: it is noted, and what waited for the end of the lease may go on. */
function noteLate(task: Task, outcome: Outcome, now: number): Task {
  const noted = withResult(task, outcome, {
    faultClass: outcome.faultClass,
    decision: "late",
    rule: null,
    delayMs: null,
    nextAt: null,
  });
  const lane = isFinal(task.state) ? (undelivered(task.callback) ? task.callback.lane : null) : task.target;
  return { ...noted, lane, dueAt: Math.max(task.dueAt, now) };
}

/** The ended round, as the row that delivers its callback while the task itself starts a new round. */
function keptRound(task: Task, callback: Callback, now: number): Task {
  const delivering = callback.state === "running";
  return {
    ...task,
    id: keptRoundId(task.id, task.round),
    lane: delivering ? null : callback.lane,
    dueAt: delivering ? task.dueAt : Math.max(task.dueAt, now),
    leaseUntil: delivering ? task.leaseUntil : null,
  };
}

function undelivered(callback: Callback | null): callback is Callback {
  return callback !== null && callbackPhase(callback.state) !== "ended";
}

function startedAttempt(number: number, task: Task, now: number): Attempt {
  return {
    number,
    round: task.round,
    trigger: task.trigger,
    startedAt: now,
    durationMs: null,
    status: null,
    errorType: null,
    errorCode: null,
    errorMessage: null,
    bodyError: null,
    faultClass: null,
    decision: null,
    rule: null,
    delayMs: null,
    nextAt: null,
  };
}

function withAttempt(task: Task, attempt: Attempt): Task {
  const dropped = Math.max(0, task.history.length + 1 - MAX_HISTORY);
  const history = [...task.history.slice(dropped), attempt];
  return { ...task, history, attemptsOmitted: task.attemptsOmitted + dropped };
}

/** Writes an attempt's result into the last line of the history: the only one that can be under way. */
function withResult(
  task: Task,
  outcome: Outcome,
  decided: Pick<Attempt, "faultClass" | "decision" | "rule" | "delayMs" | "nextAt">,
): Task {
  const last = task.history.at(-1);
  if (last === undefined) return task;
  const result: Omit<Attempt, keyof AttemptStart> = {
    ...decided,
    durationMs: outcome.durationMs,
    status: outcome.errorType === "interrupted" ? null : outcome.status,
    errorType: outcome.errorType,
    errorCode: outcome.errorCode,
    errorMessage: outcome.errorMessage,
    bodyError: outcome.bodyError,
  };
  return { ...task, history: [...task.history.slice(0, -1), { ...last, ...result }] };
}

function done(task: Task): Transition {
  return { ok: true, task, kept: null };
}

const NEEDED = {
  admit: "pending or retrying with no call in flight",
  settle: "running, or ended with its attempt still in flight",
  release: "running",
  cancel: "pending, running, retrying or held",
  retry: "pending, retrying, held, failed or cancelled, or succeeded where it is forced",
  resume: "held",
  expire: "pending, retrying or held with its max_age over",
} as const;

function refused(task: Task, verb: keyof typeof NEEDED): Transition {
  return { ok: false, detail: `${verb} needs a task that is ${NEEDED[verb]}; ${task.id} is ${task.state}` };
}
