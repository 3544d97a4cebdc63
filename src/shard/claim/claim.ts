import { barApplies, kindOfLane } from "../../core/pressure/admission.ts";
import { lanesEnough, planClaims } from "../../core/pressure/claim-plan.ts";
import { weightOf } from "../../core/pressure/weight.ts";
import { HELD_LANE, targetOfLane } from "../../core/task/lane.ts";
import type { SqlRow } from "../../platform/sql-port.ts";
import { type Claimed, claimRow, type EachRow, FAILED_ROW_MS, isOver } from "../lease/claim-row.ts";
import { claimBreakerProbes } from "../probe/breaker-probe.ts";
import { callableLanes } from "../state/callable-lanes.ts";
import type { ShardContext } from "../state/context.ts";
import { gateOf, NONE_PENDING, type Pending } from "../state/gate.ts";

/** Rows of one lane that one pass ends because their max_age is over; the rest follow in the next pass. */
const EXPIRE_SLICE = 500;

/** Rows of one lane that one pass moves beyond what it claims, since their path was split off. */
const MOVE_SLICE = 500;

/** Lanes that one pass looks into, at most. */
const LANES_A_PASS = 1_000;

/** Rows that are read at once: some are large, though what is large in them is kept apart. */
const ROWS_A_LOOK = 64;

const ABOVE_ALL_PRIORITIES = 10;

/**
 * Claims what is due, as far as slots are free: round-robin over the lanes, within a lane by priority, then due
 * time, each eighth by due time alone. Each row is admitted in a transaction of its own, so one that cannot be read
 * stops no other. `before` is what this turn has claimed already.
 */
export function claimDue(ctx: ShardContext, eachRow: EachRow, before: readonly Claimed[]): Claimed[] {
  const claimed: Claimed[] = [];
  expireHeld(ctx, eachRow);
  claimed.push(...claimBreakerProbes(ctx, eachRow, before.length));
  // A lane's time is a lower bound, so a pass may find nothing in it; the next pass goes to other lanes.
  for (let pass = 0; pass < 4; pass++) {
    const plan = planNow(ctx, [...before, ...claimed]);
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
  const free = Math.max(0, ctx.slots.free - claimed.length);
  if (free === 0) return new Map();
  const pending = pendingOf(claimed);
  const lanes = callableLanes(ctx, Math.min(LANES_A_PASS, lanesEnough(ctx.slots.free)));
  const ready = lanes.map(({ lane, gate }) => {
    const holder = targetOfLane(lane);
    const beside = pending.get(holder);
    const { room, limit } = beside === undefined ? gate : gateOf(ctx, lane, beside);
    return { lane, holder, inFlight: ctx.flights.callsTo(holder) + (beside?.calls ?? 0), limit, room };
  });
  return withinRate(ctx, planClaims(ready, free, ctx.slots.capacity), claimed);
}

/** What is claimed for each target. */
export function pendingOf(claimed: readonly Claimed[]): Map<string, Pending> {
  const pending = new Map<string, Pending>();
  for (const { flight } of claimed) {
    const key = targetOfLane(flight.lane);
    const { calls, retries } = pending.get(key) ?? NONE_PENDING;
    pending.set(key, { calls: calls + 1, retries: retries + (flight.retry ? 1 : 0) });
  }
  return pending;
}

/** A plan cut to what the queue's rate lets go; deliveries of callbacks do not count. */
export function withinRate(
  ctx: ShardContext,
  plan: Map<string, number>,
  claimed: readonly Claimed[],
): Map<string, number> {
  const taken = claimed.filter(({ grant }) => grant.kind !== "callback").length;
  const planned = [...plan.values()].reduce((sum, count) => sum + count, 0);
  let left = Math.max(0, ctx.rate.room(taken + planned) - taken);
  for (const [lane, count] of plan) {
    if (!barApplies(kindOfLane(lane), "rate")) continue;
    const allowed = Math.min(count, left);
    left -= allowed;
    if (allowed === 0) plan.delete(lane);
    else plan.set(lane, allowed);
  }
  return plan;
}

function expireHeld(ctx: ShardContext, eachRow: EachRow): void {
  if (ctx.lanes.isReady(HELD_LANE, ctx.now())) claimLane(ctx, HELD_LANE, EXPIRE_SLICE, eachRow);
}

/** What a look at a lane has found so far. */
interface Look {
  lane: string;
  claimed: Claimed[];
  /** When the first row that is left is due; null: none is known. */
  nextDueAt: number | null;
  /** A row was too heavy to go beside what is in flight: the lane waits. */
  tooHeavy: boolean;
  /** Rows that wait elsewhere now. */
  moved: number;
}

/** Takes up to `count` due rows of a lane, and learns when its next one is due. */
function claimLane(ctx: ShardContext, lane: string, count: number, eachRow: EachRow): Claimed[] {
  const now = ctx.now();
  const look: Look = { lane, claimed: [], nextDueAt: null, tooHeavy: false, moved: 0 };
  // Held tasks are not called: all that are due end at once.
  const aged = lane === HELD_LANE ? 0 : ctx.laneTurns.agedAmong(lane, count);
  claimByPriority(ctx, look, count - aged, eachRow);
  const byPriority = look.claimed.length;
  if (aged > 0 && look.nextDueAt !== null && look.nextDueAt <= now) claimByAge(ctx, look, aged, eachRow);
  ctx.lanes.looked(lane, look.nextDueAt, now);
  if (look.tooHeavy) ctx.lanes.park(lane, null);
  if (look.nextDueAt === null || look.nextDueAt > now) ctx.laneTurns.forget(lane);
  else ctx.laneTurns.granted(lane, look.claimed.length, look.claimed.length - byPriority);
  return look.claimed;
}

function claimByPriority(ctx: ShardContext, look: Look, count: number, eachRow: EachRow): void {
  const { lane } = look;
  let left = count;
  let below = ABOVE_ALL_PRIORITIES;
  for (;;) {
    const most = look.tooHeavy ? 0 : Math.min(left, ROWS_A_LOOK);
    const rows = most > 0 ? ctx.laneRows.due(lane, below, ctx.now(), most) : [];
    const movedBefore = look.moved;
    // Before rows are taken, since those leave the lane.
    const next = ctx.laneRows.waitingAfter(lane, below, rows.length);
    claimRows(ctx, look, rows, eachRow);
    if (next !== null) noteDue(look, next.dueAt);
    const priority = next?.priority ?? rows[0]?.priority;
    if (priority === undefined) return;
    // Rows that were moved leave their slots to those behind them, but for so many: the rest follow in the next pass.
    left -= rows.length - (look.moved <= MOVE_SLICE ? look.moved - movedBefore : 0);
    // There may be more of the same priority.
    if (rows.length < most || left <= 0 || most === 0) below = Number(priority);
  }
}

function claimByAge(ctx: ShardContext, look: Look, count: number, eachRow: EachRow): void {
  for (let left = count; left > 0 && !look.tooHeavy; left--) {
    const row = ctx.laneRows.oldestDue(look.lane, ctx.now());
    if (row === null) break;
    claimRows(ctx, look, [row], eachRow);
  }
  look.nextDueAt = ctx.laneRows.firstDueAt(look.lane);
}

function claimRows(ctx: ShardContext, look: Look, rows: readonly SqlRow[], eachRow: EachRow): void {
  for (const row of rows) {
    if (!isOver(ctx, row) && !ctx.weights.mayClaim(look.lane, weightOf(ctx.rows.bytesOf(row)))) {
      look.tooHeavy = true;
      noteDue(look, Number(row.due_at));
      return;
    }
    const one = claimRow(ctx, row, eachRow);
    if (one === "moved") look.moved++;
    else if (one !== null && one !== "failed") {
      look.claimed.push(one);
      ctx.weights.claimed(one.flight.weight);
    }
    const againAt = ctx.now() + FAILED_ROW_MS;
    if (one === "failed" && ctx.rows.putOff(String(row.id), look.lane, againAt)) noteDue(look, againAt);
  }
}

function noteDue(look: Look, dueAt: number): void {
  look.nextDueAt = Math.min(look.nextDueAt ?? dueAt, dueAt);
}
