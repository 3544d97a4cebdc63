import { planClaims } from "../core/claim-plan.ts";
import { deliver } from "../core/deliver.ts";
import { HELD_LANE, isCallbackLane } from "../core/lane.ts";
import type { Grant } from "../core/messages.ts";
import type { SqlRow } from "../core/sql-port.ts";
import { isFinal, type Task } from "../core/task.ts";
import { transition } from "../core/transition.ts";
import type { ShardContext } from "./context.ts";
import type { Flight } from "./flights.ts";
import { type Admission, admitAttempt, admitDelivery } from "./grants.ts";
import type { Tx } from "./group-commit.ts";
import { PoisonedRowError } from "./rows.ts";

/** Rows of one lane that one pass ends because their max_age is over; the rest follow in the next pass. */
const EXPIRE_SLICE = 500;
/** Lanes that one pass looks into. */
const LANES_A_PASS = 1_000;
const ABOVE_ALL_PRIORITIES = 10;
/** A row whose work threw is tried again after this long. */
const FAILED_ROW_MS = 5_000;

/** A grant made by a claim, not yet given to a runner. */
export interface Claimed {
  grant: Grant;
  flight: Flight;
}

/** Runs one row's work in a transaction of its own; `failed` where it threw, which is logged. */
export type EachRow = <T>(id: string, work: (tx: Tx) => T) => T | "failed";

/**
 * Claims what is due, as far as slots are free: round-robin over the lanes, within a lane by priority, then due
 * time. Each row is admitted in a transaction of its own, so one that cannot be read stops no other.
 */
export function claimDue(ctx: ShardContext, eachRow: EachRow): Claimed[] {
  const claimed: Claimed[] = [];
  expireHeld(ctx, eachRow);
  // A lane's time is a lower bound, so a pass may find nothing in it; the next pass goes to other lanes.
  for (let pass = 0; pass < 4; pass++) {
    const lanes = callable(ctx);
    const free = Math.max(0, ctx.freeSlots - claimed.length);
    if (lanes.length === 0 || free === 0) break;
    const claimedIn = countBy(claimed, ({ flight }) => flight.lane);
    const ready = lanes.map((lane) => ({
      lane,
      inFlight: ctx.flights.inLane(lane) + (claimedIn.get(lane) ?? 0),
    }));
    const plan = planClaims(ready, free, ctx.capacity);
    if (plan.size === 0) break;
    for (const [lane, count] of plan) claimed.push(...claimLane(ctx, lane, count, eachRow));
  }
  return claimed;
}

/** True where a lane that may be called now has rows that may be due: another pass is needed. */
export function moreIsDue(ctx: ShardContext): boolean {
  return ctx.freeSlots > 0 && callable(ctx).length > 0;
}

/** Lanes with rows that may be due and that nothing but slots keeps from being called. */
function callable(ctx: ShardContext): string[] {
  const lanes: string[] = [];
  const paused = ctx.queue.paused;
  for (const lane of ctx.lanes.ready(ctx.now())) {
    if (lane === HELD_LANE || (paused && !isCallbackLane(lane))) continue;
    lanes.push(lane);
    if (lanes.length === LANES_A_PASS) break;
  }
  return lanes;
}

function expireHeld(ctx: ShardContext, eachRow: EachRow): void {
  if (ctx.lanes.isReady(HELD_LANE, ctx.now())) claimLane(ctx, HELD_LANE, EXPIRE_SLICE, eachRow);
}

/** Takes up to `count` due rows of a lane, and learns when its next one is due. */
function claimLane(ctx: ShardContext, lane: string, count: number, eachRow: EachRow): Claimed[] {
  const now = ctx.now();
  const claimed: Claimed[] = [];
  let nextDueAt: number | null = null;
  let handled = 0;
  let below = ABOVE_ALL_PRIORITIES;
  for (;;) {
    const limit = count - handled + 1;
    const rows = ctx.rows.waiting(lane, below, limit);
    const first = rows[0];
    if (first === undefined) break;
    const stopAt =
      rows.find((row) => Number(row.due_at) > now) ?? (rows.length === limit ? rows.at(-1) : undefined);
    for (const row of rows) {
      if (row === stopAt) break;
      handled++;
      const one = claimRow(ctx, row, eachRow);
      if (one === "failed") nextDueAt = Math.min(nextDueAt ?? Number.POSITIVE_INFINITY, now + FAILED_ROW_MS);
      else if (one !== null) claimed.push(one);
    }
    if (stopAt !== undefined)
      nextDueAt = Math.min(nextDueAt ?? Number.POSITIVE_INFINITY, Number(stopAt.due_at));
    below = Number(first.priority);
  }
  ctx.lanes.looked(lane, nextDueAt, now);
  return claimed;
}

function claimRow(ctx: ShardContext, row: SqlRow, eachRow: EachRow): Claimed | null | "failed" {
  return eachRow(String(row.id), (tx) => {
    const task = ctx.rows.toTask(row);
    const admitted = isFinal(task.state) ? claimDelivery(ctx, tx, task) : claimAttempt(ctx, tx, task);
    return admitted && { grant: admitted.grant, flight: admitted.flight };
  });
}

function claimAttempt(ctx: ShardContext, tx: Tx, task: Task): Admission | null {
  if (task.expiresAt <= ctx.now()) {
    expireTask(ctx, tx, task);
    return null;
  }
  const admitted = admitAttempt(ctx, task);
  ctx.write(tx, admitted.task, task);
  return admitted;
}

function claimDelivery(ctx: ShardContext, tx: Tx, task: Task): Admission | null {
  const admitted = admitDelivery(ctx, task, task.callback?.handedWith ?? null);
  ctx.write(tx, admitted.task, task);
  return admitted;
}

/** Ends a waiting task whose max_age is over. */
export function expireTask(ctx: ShardContext, tx: Tx, task: Task): void {
  const result = transition(task, { type: "expire" }, ctx.transitionContext(task));
  if (!result.ok) return;
  ctx.write(tx, result.task, task);
  ctx.log("task.expired", { task: task.id, target: task.target, attempts: task.attempt });
}

/** Takes a grant back that no runner started: no attempt is used, and its lease number is spent. */
export function takeBack(ctx: ShardContext, tx: Tx, grant: Grant, dueAt: number): void {
  if (grant.kind === "probe") {
    ctx.sql.exec(
      "UPDATE probes SET lease_until = NULL, due_at = ? WHERE key = ? AND lease = ?",
      dueAt,
      grant.id,
      grant.lease,
    );
    tx.after(() => {
      ctx.flights.remove(grant.id);
      ctx.noteProbe(dueAt);
    });
    return;
  }
  const task = ctx.rows.read(grant.id);
  if (task === null || task.leaseUntil === null || task.lease !== grant.lease) return;
  const released =
    grant.kind === "callback"
      ? deliver(task, { type: "release", dueAt }, ctx.now())
      : releaseAttempt(ctx, task, dueAt);
  if (released === null) return;
  ctx.write(tx, released, task);
  tx.after(() => ctx.flights.remove(grant.id));
}

function releaseAttempt(ctx: ShardContext, task: Task, dueAt: number): Task | null {
  const result = transition(task, { type: "release", dueAt }, ctx.transitionContext(task));
  return result.ok ? result.task : null;
}

/** Makes a row harmless whose stored form cannot be read, so that it is seen and stops nobody. */
export function buryPoisoned(ctx: ShardContext, error: unknown): boolean {
  if (!(error instanceof PoisonedRowError)) return false;
  ctx.rows.bury(error.id, ctx.now());
  ctx.flights.remove(error.id);
  ctx.log("row.poisoned", { task: error.id, error: String(error.cause) });
  return true;
}

function countBy<T>(values: readonly T[], keyOf: (value: T) => string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const value of values) counts.set(keyOf(value), (counts.get(keyOf(value)) ?? 0) + 1);
  return counts;
}
