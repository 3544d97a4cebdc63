import type { Breaker, BreakerAudit } from "../core/breaker.ts";
import { DEFAULT_CALLBACK_TIMEOUT_MS } from "../core/callback-settings.ts";
import { makeTaskId } from "../core/id.ts";
import { callbackLane, isCallbackLane, targetOfLane } from "../core/lane.ts";
import type { NewTask } from "../core/messages.ts";
import { taskFrom } from "../core/new-task.ts";
import type { Task } from "../core/task.ts";
import { eventRoundId } from "../core/transition.ts";
import type { OperatorEvent } from "../schema/event.ts";
import { HOUR_MS, MINUTE_MS } from "../schema/limits.ts";
import type { EachRow } from "./claim.ts";
import type { ShardContext } from "./context.ts";
import { gateOf } from "./gate.ts";
import type { Tx } from "./group-commit.ts";
import { oldestDue } from "./oldest-due.ts";

/** A queue is stalled where a task has been due and not called for so long. */
const STALLED_MS = 15 * MINUTE_MS;
/** What goes on is told once in so long: by each shard, and for each target. */
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

/** Tells the queue's operators that a target answered 410: it will not come back. Once an hour for each target. */
export function announceGone(ctx: ShardContext, tx: Tx, { id, target }: Task): void {
  const now = ctx.now();
  if (!wants(ctx, "target.gone") || ctx.targets.get(target).goneToldAt > now - TELL_EVERY_MS) return;
  announce(ctx, tx, "target.gone", { target, task: id });
  tx.after(() => ctx.targets.noteGoneTold(target));
}

/** Tells the queue's operators, once an hour, where a task has been due for long and is not called. */
export function announceStalled(ctx: ShardContext, eachRow: EachRow): void {
  const now = ctx.now();
  if (!wants(ctx, "queue.stalled") || ctx.queue.paused || ctx.stalledToldAt > now - TELL_EVERY_MS) return;
  const oldest = oldestDue(ctx, (lane) => !isCallbackLane(lane));
  if (oldest === null || now - oldest.dueAt < STALLED_MS) return;
  eachRow(oldest.lane, (tx) => {
    announce(ctx, tx, "queue.stalled", {
      target: targetOfLane(oldest.lane),
      due_at: new Date(oldest.dueAt).toISOString(),
      waiting_on: gateOf(ctx, oldest.lane).why ?? "concurrency",
    });
    ctx.sql.exec("UPDATE shard SET stalled_told_at = ? WHERE id = 1", now);
    tx.after(() => {
      ctx.stalledToldAt = now;
    });
  });
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
  const row = eventRow(taskFrom(carrierOf(id, url, JSON.stringify(body)), 1, now), url, now);
  ctx.rows.insert(row, null);
  tx.after(() => ctx.noteChange(row, null));
}

function eventRow(task: Task, url: string, now: number): Task {
  const lane = callbackLane(url);
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
