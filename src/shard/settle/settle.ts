import type { CallResult } from "../../core/call/call.ts";
import { classify, interrupted, type Outcome } from "../../core/call/classify.ts";
import { redactHeaders } from "../../core/call/secret-headers.ts";
import { type Decision, decide, decideCallback } from "../../core/policy/decide.ts";
import { weightOf } from "../../core/pressure/weight.ts";
import { DEFAULT_CALLBACK_TIMEOUT_MS } from "../../core/task/callback-settings.ts";
import { deliver } from "../../core/task/deliver.ts";
import { targetOfLane } from "../../core/task/lane.ts";
import { isTaskRow } from "../../core/task/row-id.ts";
import { attemptsInRound, type KeptResponse, type Task } from "../../core/task/task.ts";
import { transition } from "../../core/task/transition.ts";
import type { Grant, SettleAnswer, SettleMessage } from "../../protocol/grant.ts";
import { callbackPhase } from "../../schema/state-facts.ts";
import { admitDelivery, grantOf, leaseLeft, letGo } from "../lease/grants.ts";
import { watchProbe } from "../probe/polls.ts";
import { othersWait } from "../state/callable-lanes.ts";
import type { ShardContext } from "../state/context.ts";
import { barIn, HAS_SLOT } from "../state/gate.ts";
import type { Tx } from "../storage/group-commit.ts";
import { announceGone } from "../tell/operator-events.ts";

/** The platform stops what an edge Worker does after its answer at 30 s; a delivery must surely end before. */
const EDGE_BUDGET_MS = 27_000;

/**
 * Takes the result of a grant in: what it means, what follows, written at once. A lease that is not the row's
 * changes nothing (`stale`), but a repeat of the last accepted settle gets that one's answer again.
 */
export function settle(ctx: ShardContext, tx: Tx, message: SettleMessage): SettleAnswer {
  const task = ctx.tasks.ofGrant(message);
  if (task === null) return stale();
  const inFlight = task.leaseUntil !== null && task.lease === message.lease;
  const delivering = task.callback?.state === "running";
  if (!inFlight || delivering !== (message.kind === "callback")) return repeatedSettle(ctx, task, message);
  const outcome = classify(message.result, ctx.now());
  const hasMoved = noteEnd(ctx, tx, task, outcome);
  if (message.kind === "callback") {
    settleDelivery(ctx, tx, task, outcome, message.lease);
    return accepted(null);
  }
  const runner = ctx.flights.get(task.id)?.runner ?? null;
  const settled = settleAttempt(ctx, tx, task, outcome, keptResponse(message.result));
  // What this very call has shown of its target is known to claims, but not here yet.
  const waits = hasMoved && targetOfLane(settled.callback?.lane ?? "") === task.target;
  const handTo = !waits && handsOver(ctx, settled, message) ? { runner } : null;
  return accepted(writeSettled(ctx, tx, settled, task, handTo));
}

/** A lease has lapsed unsettled: the call may or may not have arrived. */
export function lapse(ctx: ShardContext, tx: Tx, id: string, lease: number): void {
  const task = ctx.rows.readWithoutRequest(id);
  if (task === null || task.leaseUntil === null || task.lease !== lease) {
    tx.after(() => ctx.flights.remove(id));
    return;
  }
  // No settle was accepted: one that comes after all is stale.
  const { settledLease } = task;
  noteEnd(ctx, tx, task, interrupted());
  if (task.callback?.state === "running") settleDelivery(ctx, tx, task, interrupted(), settledLease);
  else {
    const settled = settleAttempt(ctx, tx, task, interrupted(), task.response);
    writeSettled(ctx, tx, { ...settled, settledLease }, task, null);
  }
}

/** A call has ended: what it says of its target is counted. True where other calls may go to it now than before. */
function noteEnd(ctx: ShardContext, tx: Tx, task: Task, outcome: Outcome): boolean {
  const delivering = task.callback?.state === "running";
  const timeoutMs = delivering ? ctx.terms.deliveryTimeoutOf(task) : ctx.terms.timeoutOf(task);
  const { settings } = ctx.queue;
  const started = delivering ? task.callback?.attempts.at(-1) : task.history.at(-1);
  // The task may have been given another target since it was let go.
  const flight = ctx.flights.get(task.id);
  const url = (delivering ? task.callback?.url : null) ?? task.call.url;
  const letGoFor = targetOfLane(delivering ? (task.callback?.lane ?? "") : (flight?.lane ?? task.target));
  // Its path may have been split off since. A probe is about the target that it was leased for.
  const part = flight?.probe == null ? ctx.scoped.partOf(letGoFor, url) : null;
  return ctx.targets.ended(tx, {
    key: part ?? letGoFor,
    url,
    outcome,
    startedAt: started?.startedAt ?? ctx.now(),
    timeoutMs,
    queueTimeoutMs: delivering
      ? (settings.callback?.timeout ?? DEFAULT_CALLBACK_TIMEOUT_MS)
      : settings.timeout,
    flight,
  });
}

function repeatedSettle(ctx: ShardContext, task: Task, message: SettleMessage): SettleAnswer {
  if (task.settledLease === message.lease && task.callback?.handedWith !== message.lease)
    return accepted(null);
  if (task.callback?.handedWith !== message.lease) return stale();
  const handed = task.callback.state === "running" && task.callback.attempt === 1;
  return accepted(handed ? grantOf(ctx, task, "callback", leaseLeft(ctx, task)) : null);
}

/** What the task becomes by an attempt's outcome. */
function settleAttempt(
  ctx: ShardContext,
  tx: Tx,
  task: Task,
  outcome: Outcome,
  response: KeptResponse | null,
): Task {
  const decision = decideFor(ctx, task, outcome);
  const context = ctx.terms.transitionContext(task);
  const result = transition(task, { type: "settle", outcome, decision, response }, context);
  if (!result.ok) throw new Error(result.detail);
  if (decision.log) tx.after(() => logAttempt(ctx, result.task));
  if (outcome.errorType === "gone" && result.task.state === "failed") announceGone(ctx, tx, result.task);
  return result.task;
}

function decideFor(ctx: ShardContext, task: Task, outcome: Outcome): Decision {
  const previous = task.history.findLast(({ round, delayMs }) => round === task.round && delayMs !== null);
  return decide(
    {
      outcome,
      policy: ctx.terms.policyOf(task),
      attempt: attemptsInRound(task),
      now: ctx.now(),
      expiresAt: task.expiresAt,
      previousDelayMs: previous?.delayMs ?? null,
      ...(outcome.ok ? {} : { situation: ctx.targets.situation(task.target) }),
    },
    ctx.random,
  );
}

/** Writes a settled attempt; where its callback is handed over with the answer, admits that in the same write. */
function writeSettled(
  ctx: ShardContext,
  tx: Tx,
  settled: Task,
  before: Task,
  handTo: { runner: number | null } | null,
): Grant | null {
  if (handTo === null) {
    ctx.tasks.write(tx, settled, before);
    if (settled.state === "held") watchProbe(ctx, tx, settled);
    tx.after(() => ctx.flights.remove(settled.id));
    return null;
  }
  const { task, grant, flight } = admitDelivery(ctx, settled, before.lease);
  ctx.tasks.write(tx, task, before);
  tx.after(() => {
    letGo(ctx, { ...flight, runner: handTo.runner });
  });
  return grant;
}

/** True where the callback's first delivery goes to whoever settled, who has its hands free now. */
function handsOver(ctx: ShardContext, settled: Task, message: SettleMessage): boolean {
  if (settled.callback?.state !== "pending") return false;
  const { lane } = settled.callback;
  if (ctx.flights.inLane(lane) >= ctx.slots.mostOfOneLane && othersWait(ctx, lane)) return false;
  // It goes on in the slot of the attempt that has ended.
  const fits = () => ctx.weights.mayGo(weightOf(settled.response?.body.length ?? 0));
  if (barIn(ctx, lane, { ...HAS_SLOT, fits }) !== null) return false;
  if (message.edgeElapsedMs === null) return true;
  return message.edgeElapsedMs + ctx.terms.deliveryTimeoutOf(settled) <= EDGE_BUDGET_MS;
}

function settleDelivery(ctx: ShardContext, tx: Tx, task: Task, outcome: Outcome, settledLease: number): void {
  const { callback } = task;
  if (callback === null) return;
  const policy = ctx.terms.deliveryPolicyOf(task);
  const decision = decideCallback(
    {
      outcome,
      policy,
      attempt: callback.attempt,
      now: ctx.now(),
      expiresAt: callback.startedAt + policy.maxAgeMs,
      previousDelayMs: null,
    },
    ctx.random,
  );
  const settled = deliver(task, { type: "settle", outcome, decision }, ctx.now());
  if (settled === null) throw new Error(`the callback of ${task.id} is not being delivered`);
  if (decision.do !== "succeed") tx.after(() => logDelivery(ctx, settled));
  const over = settled.callback !== null && callbackPhase(settled.callback.state) === "ended";
  if (over && !isTaskRow(task.id)) ctx.rows.delete(task.id);
  else ctx.tasks.write(tx, { ...settled, settledLease }, task);
  tx.after(() => ctx.flights.remove(task.id));
}

/** What is kept of an answer; null where there was none. */
function keptResponse(result: CallResult): KeptResponse | null {
  if (result.error !== null) return null;
  const { status, body, bodyEncoding, truncated, sealedBody } = result;
  // Values of secret headers are shown to nobody, so they are not kept either.
  const kept = { status, headers: redactHeaders(result.headers), bodyEncoding, truncated };
  return sealedBody === undefined ? { ...kept, body } : { ...kept, body: sealedBody, sealed: true };
}

function logAttempt(ctx: ShardContext, task: Task): void {
  const attempt = task.history.at(-1);
  if (attempt === undefined) return;
  ctx.log("attempt.settled", {
    task: task.id,
    target: task.target,
    state: task.state,
    attempt: attempt.number,
    round: attempt.round,
    status: attempt.status,
    error_type: attempt.errorType,
    error_code: attempt.errorCode,
    body_error: attempt.bodyError,
    decision: attempt.decision,
    rule: attempt.rule,
    duration_ms: attempt.durationMs,
    delay_ms: attempt.delayMs,
  });
}

function logDelivery(ctx: ShardContext, task: Task): void {
  const attempt = task.callback?.attempts.at(-1);
  ctx.log("callback.settled", {
    task: task.id,
    state: task.callback?.state,
    attempt: attempt?.number,
    status: attempt?.status,
    error_type: attempt?.errorType,
    body_error: attempt?.bodyError,
    duration_ms: attempt?.durationMs,
  });
}

function accepted(callback: Grant | null): SettleAnswer {
  return { status: "accepted", callback, next: [] };
}

/** The answer to a settle that changed nothing. */
export function stale(): SettleAnswer {
  return { status: "stale", callback: null, next: [] };
}
