import type { NewTask, Refusal, SubmitResult } from "../core/messages.ts";
import { taskFrom } from "../core/new-task.ts";
import type { Task } from "../core/task.ts";
import { isFinal } from "../core/task.ts";
import { waitingOn } from "../core/waiting.ts";
import type { TaskAccepted } from "../schema/task.ts";
import { LEASE_MARGIN_MS, type ShardContext } from "./context.ts";
import { admitAttempt, grantOf } from "./grants.ts";
import type { Tx } from "./group-commit.ts";

/** The longest timeout of an attempt that an edge Worker may make: it is stopped 30 s after it has answered. */
const EDGE_TIMEOUT_MS = 20_000;

/**
 * Takes one task in. A repeat (the same id, or the same idempotency key with the same request) gets the first
 * one's answer. Where the task can go now and its caller offers to, the caller gets the grant; the lease is
 * written in the same row as the task.
 */
export function submitOne(ctx: ShardContext, tx: Tx, request: NewTask): SubmitResult {
  const repeated = ctx.rows.read(request.id);
  if (repeated !== null) return repeatedSubmit(ctx, repeated);
  if (request.idempotencyKey !== null) {
    const first = ctx.rows.readByKey(request.idempotencyKey);
    if (first !== null && first.requestHash !== request.requestHash) return conflict(request, first.task.id);
    if (first !== null) return { ok: true, task: accepted(ctx, first.task, true), grant: null };
  }
  if (ctx.closed)
    return { ok: false, code: "queue_not_found", detail: `queue ${ctx.queue.name} is being deleted` };
  return request.edge && mayGoNow(ctx, request)
    ? acceptRunning(ctx, tx, request)
    : acceptWaiting(ctx, tx, request);
}

function acceptWaiting(ctx: ShardContext, tx: Tx, request: NewTask): SubmitResult {
  const task = newTask(ctx, request);
  ctx.rows.insert(task, keyOf(request));
  tx.after(() => ctx.noteChange(task, null));
  return { ok: true, task: accepted(ctx, task, false), grant: null };
}

function acceptRunning(ctx: ShardContext, tx: Tx, request: NewTask): SubmitResult {
  const { task, grant, flight } = admitAttempt(ctx, newTask(ctx, request));
  ctx.rows.insert(task, keyOf(request));
  tx.after(() => {
    ctx.flights.add(flight);
    ctx.noteChange(task, null);
  });
  return { ok: true, task: accepted(ctx, task, false), grant };
}

/**
 * The answer of the first submit was lost, and its caller asks again with the same id: it gets the same grant,
 * unless the attempt has been settled.
 */
function repeatedSubmit(ctx: ShardContext, task: Task): SubmitResult {
  const edgeFirst = task.state === "running" && task.lease === 1 && ctx.flights.get(task.id)?.seq === null;
  const leaseMs = ctx.timeoutOf(task) + LEASE_MARGIN_MS;
  return {
    ok: true,
    task: accepted(ctx, task, false),
    grant: edgeFirst ? grantOf(ctx, task, "attempt", leaseMs) : null,
  };
}

/** True where nothing is in the task's way: no wait, no pause, a free slot, and nobody before it in its lane. */
function mayGoNow(ctx: ShardContext, request: NewTask): boolean {
  const now = ctx.now();
  const due = request.runAt === null ? request.delayMs === 0 : request.runAt <= now;
  if (!due || ctx.queue.paused || ctx.timeoutOf(request) > EDGE_TIMEOUT_MS) return false;
  if (ctx.freeSlots === 0 || ctx.lanes.isReady(request.target, now)) return false;
  const othersWait = ctx.lanes.ready(now).size > 0;
  if (othersWait && ctx.flights.inLane(request.target) >= Math.max(1, Math.floor(ctx.capacity / 2)))
    return false;
  // Below the watermark a restarted shard would not find this lease again.
  return request.id > ctx.watermark;
}

function newTask(ctx: ShardContext, request: NewTask): Task {
  const { maxAgeMs } = ctx.policyOf(request);
  return taskFrom(request, maxAgeMs, ctx.now());
}

function keyOf(request: NewTask): { idempotencyKey: string; requestHash: string | null } | null {
  const { idempotencyKey, requestHash } = request;
  return idempotencyKey === null ? null : { idempotencyKey, requestHash };
}

function accepted(ctx: ShardContext, task: Task, duplicate: boolean): TaskAccepted {
  const situation = { now: ctx.now(), paused: ctx.queue.paused, slotFree: ctx.freeSlots > 0 };
  const idle = isFinal(task.state) || task.state === "running";
  return {
    id: task.id,
    state: task.state,
    queue: ctx.queue.name,
    waiting_on: waitingOn(task, situation),
    due_at: idle ? null : new Date(task.dueAt).toISOString(),
    duplicate,
  };
}

function conflict(request: NewTask, firstId: string): Refusal {
  return {
    ok: false,
    code: "idempotency_conflict",
    detail: `idempotency key ${JSON.stringify(request.idempotencyKey)} belongs to ${firstId}, which is another request`,
  };
}
