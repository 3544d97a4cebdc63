import type { Breaker, BreakerAudit } from "../../core/breaker/breaker.ts";
import { DEFAULT_CALLBACK_TIMEOUT_MS } from "../../core/task/callback-settings.ts";
import { deliveryLane, isCallbackLane, targetOfLane } from "../../core/task/lane.ts";
import { type NewTask, taskFrom } from "../../core/task/new-task.ts";
import { eventRoundId } from "../../core/task/row-id.ts";
import type { Task } from "../../core/task/task.ts";
import { makeTaskId } from "../../core/task/task-id.ts";
import type { OperatorEvent } from "../../schema/event.ts";
import { HOUR_MS, MINUTE_MS } from "../../schema/limits.ts";
import type { ShardContext } from "../state/context.ts";
import { barIn } from "../state/gate.ts";
import type { Tx } from "../storage/group-commit.ts";
import { type OldestDue, oldestDue } from "../view/oldest-due.ts";

/** A queue is stalled where a task has been due and not called for so long. */
const STALLED_MS = 15 * MINUTE_MS;
/** What goes on is told once in so long for each queue, a target that is gone for each target too. */
const TELL_EVERY_MS = HOUR_MS;

/** Tells the queue's operators that a breaker has opened or closed, where they want to hear of it. */
export function announceBreaker(
  ctx: ShardContext,
  tx: Tx,
  key: string,
  breaker: Breaker,
  audit: BreakerAudit,
): void {
  if (audit.to !== "open" && audit.to !== "closed") return;
  announce(ctx, tx, audit.to === "open" ? "breaker.opened" : "breaker.closed", {
    target: key,
    state: breaker.state,
    from: audit.from,
    reason: audit.reason,
    by: audit.by,
    at: new Date(audit.at).toISOString(),
  });
}

/**
 * A target answered 410: it will not come back. Its Breaker object says whether this shard is to tell the queue's
 * operators, or another has told them; for a queue that asks no Breaker object, this shard tells.
 */
export function announceGone(ctx: ShardContext, tx: Tx, { id, target }: Task): void {
  if (!wants(ctx, "target.gone") || ctx.targets.get(target).goneToldAt > ctx.now() - TELL_EVERY_MS) return;
  tx.after(() => ctx.targets.news.noteGone(target, id));
  if (!ctx.targets.policy.enabled) tellGone(ctx, tx, target, id);
}

/** Tells the queue's operators that the target has answered this task that it is gone; null: others have told them. */
export function tellGone(ctx: ShardContext, tx: Tx, target: string, task: string | null): void {
  if (task !== null) announce(ctx, tx, "target.gone", { target, task });
  tx.after(() => ctx.targets.noteGoneTold(target));
}

/** A task that has been due for long and is not called, where operators want to hear of it and have not lately; null: none. */
export function stalledRow(ctx: ShardContext): OldestDue | null {
  if (!wants(ctx, "queue.stalled") || ctx.queue.paused || toldStalled(ctx)) return null;
  const oldest = oldestDue(ctx, (lane) => !isCallbackLane(lane));
  return oldest === null || ctx.now() - oldest.dueAt < STALLED_MS ? null : oldest;
}

/** Tells the queue's operators that it is stalled. */
export function announceStalled(ctx: ShardContext, tx: Tx, { lane, dueAt }: OldestDue): void {
  announce(ctx, tx, "queue.stalled", {
    target: targetOfLane(lane),
    due_at: new Date(dueAt).toISOString(),
    waiting_on: barIn(ctx, lane)?.why ?? "concurrency",
  });
}

/** Whether the queue's operators were told within the hour that it is stalled, as far as this shard knows. */
export function toldStalled(ctx: ShardContext): boolean {
  return ctx.own.stalledToldAt > ctx.now() - TELL_EVERY_MS;
}

/** The queue's operators are told now that it is stalled, by this shard or another. */
export function noteStalledTold(ctx: ShardContext, tx: Tx): void {
  ctx.own.setStalledToldAt(tx, ctx.now());
}

function wants(ctx: ShardContext, type: OperatorEvent): boolean {
  return ctx.queue.settings.events?.on.includes(type) === true;
}

/**
 * Stores an operator event, where it is wanted, as a message to be delivered: a row that is final, is no task of its
 * own, and has nothing left to do but its signed delivery, with the retries of a callback.
 */
function announce(ctx: ShardContext, tx: Tx, type: OperatorEvent, data: Record<string, unknown>): void {
  const { name, ref, settings } = ctx.queue;
  if (settings.events === null || !wants(ctx, type)) return;
  const now = ctx.now();
  const { url } = settings.events;
  const id = makeTaskId({ createdAt: now, shard: ctx.index, queueRef: ref }, ctx.random);
  const body = { type, timestamp: new Date(now).toISOString(), data: { queue: name, ...data } };
  const lane = deliveryLane(ctx.scoped.targetOfUrl(url));
  const row = eventRow(taskFrom(carrierOf(id, url, JSON.stringify(body)), 1, now), url, lane, now);
  ctx.rows.insert(row, null);
  tx.after(() => ctx.tasks.noteChange(row, null));
}

function eventRow(task: Task, url: string, lane: string, now: number): Task {
  return {
    ...task,
    id: eventRoundId(task.id),
    state: "succeeded",
    lane,
    finalizedAt: now,
    callback: {
      url,
      lane,
      state: "pending",
      handedWith: null,
      attempt: 0,
      startedAt: now,
      attempts: [],
    },
  };
}

/** The task that an event looks like to what stores and delivers it. The headers of the queue's callback are not its. */
function carrierOf(id: string, url: string, body: string): NewTask {
  const call = {
    url,
    method: "POST",
    headers: {},
    body,
    bodyEncoding: "utf8" as const,
    timeoutMs: null,
    maxRedirects: 0,
    retry: null,
    labels: [],
    metadata: {},
    callback: { url, headers: {}, timeoutMs: DEFAULT_CALLBACK_TIMEOUT_MS },
    idempotencyKey: null,
    traceparent: null,
  };
  const waits = { priority: 5, delayMs: 0, runAt: null };
  return { id, target: url, ...waits, call, idempotencyKey: null, requestHash: null, edge: false };
}
