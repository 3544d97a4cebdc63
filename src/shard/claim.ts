import { planClaims } from "../core/claim-plan.ts";
import { HELD_LANE } from "../core/lane.ts";
import type { Grant } from "../core/messages.ts";
import type { SqlRow } from "../core/sql-port.ts";
import { isFinal, type Task } from "../core/task.ts";
import { transition } from "../core/transition.ts";
import type { ShardContext } from "./context.ts";
import type { Flight } from "./flights.ts";
import { type Admission, admitAttempt, admitDelivery } from "./grants.ts";
import type { Tx } from "./group-commit.ts";

/** Rows of one lane that one pass ends because their max_age is over; the rest follow in the next pass. */
const EXPIRE_SLICE = 500;
/** Lanes that one pass looks into. */
const LANES_A_PASS = 1_000;
const ABOVE_ALL_PRIORITIES = 10;
/** A row whose work threw is tried again after this long, so that it neither spins nor stands in others' way. */
export const FAILED_ROW_MS = 5_000;

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
    const plan = planNow(ctx, claimed);
    if (plan.size === 0) break;
    for (const [lane, count] of plan) claimed.push(...claimLane(ctx, lane, count, eachRow));
  }
  return claimed;
}

/** True where rows may be due that can be worked on now: another pass is needed. */
export function moreIsDue(ctx: ShardContext): boolean {
  return ctx.lanes.isReady(HELD_LANE, ctx.now()) || planNow(ctx, []).size > 0;
}

/** How many rows of which lanes may be admitted now, beside those already `claimed`. */
function planNow(ctx: ShardContext, claimed: readonly Claimed[]): Map<string, number> {
  const free = Math.max(0, ctx.freeSlots - claimed.length);
  if (free === 0) return new Map();
  const claimedIn = countBy(claimed, ({ flight }) => flight.lane);
  const ready = ctx.callableLanes(LANES_A_PASS).map((lane) => ({
    lane,
    inFlight: ctx.flights.inLane(lane) + (claimedIn.get(lane) ?? 0),
  }));
  return planClaims(ready, free, ctx.capacity);
}

function expireHeld(ctx: ShardContext, eachRow: EachRow): void {
  if (ctx.lanes.isReady(HELD_LANE, ctx.now())) claimLane(ctx, HELD_LANE, EXPIRE_SLICE, eachRow);
}

/** Takes up to `count` due rows of a lane, and learns when its next one is due. */
function claimLane(ctx: ShardContext, lane: string, count: number, eachRow: EachRow): Claimed[] {
  const now = ctx.now();
  const claimed: Claimed[] = [];
  let nextDueAt: number | null = null;
  const note = (dueAt: number) => {
    nextDueAt = Math.min(nextDueAt ?? dueAt, dueAt);
  };
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
      if (one !== null && one !== "failed") claimed.push(one);
      if (one === "failed" && ctx.rows.putOff(String(row.id), lane, now + FAILED_ROW_MS))
        note(now + FAILED_ROW_MS);
    }
    if (stopAt !== undefined) note(Number(stopAt.due_at));
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

function countBy<T>(values: readonly T[], keyOf: (value: T) => string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const value of values) counts.set(keyOf(value), (counts.get(keyOf(value)) ?? 0) + 1);
  return counts;
}
