import { slotOrder } from "../../core/pressure/ageing.ts";
import { weightOf } from "../../core/pressure/weight.ts";
import { boundCallback } from "../../core/task/callback-settings.ts";
import { type NewTask, taskFrom } from "../../core/task/new-task.ts";
import type { Task } from "../../core/task/task.ts";
import { isFinal } from "../../core/task/task.ts";
import { waitingOn } from "../../core/view/waiting.ts";
import type { Refusal } from "../../protocol/refusal.ts";
import type { SubmitResult } from "../../protocol/shard-api.ts";
import type { TaskAccepted } from "../../schema/task.ts";
import { admitAttempt, grantOf, leaseLeft, letGo } from "../lease/grants.ts";
import { othersWait } from "../state/callable-lanes.ts";
import type { ShardContext } from "../state/context.ts";
import { barIn, gateOf } from "../state/gate.ts";
import type { Tx } from "../storage/group-commit.ts";
import type { TaskKey } from "../storage/task-rows.ts";
import { situationOf } from "../view/task-situation.ts";

/** The longest timeout of an attempt that an edge Worker may make: it is stopped 30 s after it has answered. */
const EDGE_TIMEOUT_MS = 20_000;

/** What earlier tasks of a batch took, which memory learns only once the whole batch is written. */
interface Batch {
  granted: number;
  /** What its grants weigh. */
  weight: number;
  grantedIn: Map<string, number>;
  waitsIn: Set<string>;
}

/**
 * Takes tasks in, all or (where one throws) none; the results are in the order of the requests. Slots that are free
 * go to the higher priority first.
 */
export function submitAll(ctx: ShardContext, tx: Tx, requests: readonly NewTask[]): SubmitResult[] {
  const batch: Batch = { granted: 0, weight: 0, grantedIn: new Map(), waitsIn: new Set() };
  const results: SubmitResult[] = [];
  for (const index of slotOrder(requests)) {
    const request = requests[index];
    if (request !== undefined) results[index] = submitOne(ctx, tx, ctx.scoped.routed(request), batch);
  }
  return results;
}

/**
 * Takes one task in. A repeat (the same id, or the same idempotency key with the same request) gets the first
 * one's answer. Where the task can go now and its caller offers to, the caller gets the grant; the lease is
 * written in the same row as the task.
 */
function submitOne(ctx: ShardContext, tx: Tx, request: NewTask, batch: Batch): SubmitResult {
  if (request.idempotencyKey !== null) {
    const first = ctx.rows.readByKey(request.idempotencyKey);
    if (first !== null) return sameKey(ctx, request, first);
  }
  if (ctx.own.closed) return repeatOf(ctx, request) ?? closed(ctx);
  // Most ids are new: the insert itself tells which are not.
  const answer = mayGoNow(ctx, request, batch)
    ? acceptRunning(ctx, tx, request, batch)
    : acceptWaiting(ctx, tx, request, batch);
  if (answer !== null) return answer;
  const repeated = repeatOf(ctx, request);
  if (repeated === null) throw new Error(`${request.id} was neither inserted nor found`);
  return repeated;
}

/** What a submit with a known idempotency key gets. */
function sameKey(
  ctx: ShardContext,
  request: NewTask,
  first: { task: Task; requestHash: string | null },
): SubmitResult {
  if (first.task.id === request.id) return repeatedSubmit(ctx, first.task);
  const isSame = first.requestHash === request.requestHash || first.requestHash === request.plainHash;
  if (!isSame) return conflict(request, first.task.id);
  return { ok: true, task: accepted(ctx, first.task, true), grant: null };
}

/** The answer where this very request was taken in before; null: it was not. */
function repeatOf(ctx: ShardContext, request: NewTask): SubmitResult | null {
  const task = ctx.rows.read(request.id);
  return task && repeatedSubmit(ctx, task);
}

/** Null where its id is there already, here and below. */
function acceptWaiting(ctx: ShardContext, tx: Tx, request: NewTask, batch: Batch): SubmitResult | null {
  const task = newTask(ctx, request);
  if (!ctx.tasks.insert(tx, task, keyOf(request))) return null;
  if (isDue(ctx, request)) batch.waitsIn.add(request.target);
  tx.after(() => ctx.tasks.noteChange(task, null));
  return { ok: true, task: accepted(ctx, task, false), grant: null };
}

function acceptRunning(ctx: ShardContext, tx: Tx, request: NewTask, batch: Batch): SubmitResult | null {
  const { task, grant, flight } = admitAttempt(ctx, newTask(ctx, request));
  if (!ctx.tasks.insert(tx, task, keyOf(request))) return null;
  batch.granted++;
  batch.weight += flight.weight;
  batch.grantedIn.set(task.target, (batch.grantedIn.get(task.target) ?? 0) + 1);
  tx.after(() => {
    letGo(ctx, flight);
    ctx.tasks.noteChange(task, null);
  });
  return { ok: true, task: accepted(ctx, task, false), grant };
}

/**
 * The answer of the first submit was lost, and its caller asks again with the same id: it gets the same grant,
 * unless the attempt has been settled.
 */
function repeatedSubmit(ctx: ShardContext, task: Task): SubmitResult {
  const edgeFirst = task.state === "running" && task.lease === 1 && ctx.flights.get(task.id)?.seq === null;
  return {
    ok: true,
    task: accepted(ctx, task, false),
    grant: edgeFirst ? grantOf(ctx, task, "attempt", leaseLeft(ctx, task)) : null,
  };
}

/** True where nothing is in the task's way: no wait, no pause, a free slot, and nobody before it in its lane. */
function mayGoNow(ctx: ShardContext, request: NewTask, batch: Batch): boolean {
  const { target } = request;
  if (!request.edge || !isDue(ctx, request) || ctx.terms.timeoutOf(request) > EDGE_TIMEOUT_MS) return false;
  // A busy shard looks at nothing else.
  if (ctx.slots.free <= batch.granted) return false;
  if (batch.waitsIn.has(target) || ctx.lanes.isReady(target, ctx.now())) return false;
  const calls = batch.grantedIn.get(target) ?? 0;
  const leavesRoom = ctx.flights.inLane(target) + calls < ctx.slots.mostOfOneLane;
  if (!leavesRoom && (batch.waitsIn.size > 0 || othersWait(ctx, target))) return false;
  // A slot that was freed in this very group belongs to who has waited for one, which the turn finds out.
  if (ctx.slots.wereFull && othersWait(ctx, target)) return false;
  const barred = barIn(ctx, target, {
    taken: batch.granted,
    gate: () => gateOf(ctx, target, { calls, retries: 0 }),
    fits: () => ctx.weights.mayGo(weightOf(request.call.body?.length ?? 0), batch.weight),
  });
  if (barred !== null) return false;
  // Below the watermark a restarted shard would not find this lease again.
  return request.id > ctx.own.watermark;
}

function isDue(ctx: ShardContext, { runAt, delayMs }: NewTask): boolean {
  return runAt === null ? delayMs === 0 : runAt <= ctx.now();
}

function newTask(ctx: ShardContext, request: NewTask): Task {
  const { maxAgeMs } = ctx.terms.policyOf(request);
  const callback = boundCallback(request.call.callback, ctx.queue.settings.callback);
  const isBound = callback === request.call.callback;
  const call = isBound ? request.call : { ...request.call, callback };
  return taskFrom({ ...request, call }, maxAgeMs, ctx.now());
}

function keyOf(request: NewTask): TaskKey | null {
  const { idempotencyKey, requestHash } = request;
  return idempotencyKey === null ? null : { idempotencyKey, requestHash };
}

function accepted(ctx: ShardContext, task: Task, duplicate: boolean): TaskAccepted {
  const idle = isFinal(task.state) || task.state === "running";
  return {
    id: task.id,
    state: task.state,
    queue: ctx.queue.name,
    waiting_on: waitingOn(task, situationOf(ctx, task)),
    due_at: idle ? null : new Date(task.dueAt).toISOString(),
    duplicate,
  };
}

function closed(ctx: ShardContext): Refusal {
  return { ok: false, code: "queue_not_found", detail: `queue ${ctx.queue.name} is being deleted` };
}

function conflict(request: NewTask, firstId: string): Refusal {
  return {
    ok: false,
    code: "idempotency_conflict",
    detail: `idempotency key ${JSON.stringify(request.idempotencyKey)} belongs to ${firstId}, which is another request`,
  };
}
