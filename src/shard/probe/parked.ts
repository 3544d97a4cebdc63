import { lanesOf } from "../../core/task/lane.ts";
import { goes } from "../state/callable-lanes.ts";
import type { ShardContext } from "../state/context.ts";

/** True where rows that call the target may be due, and only its breaker can be in their way. */
export function hasParked(ctx: ShardContext, key: string): boolean {
  const now = ctx.now();
  return goingLanes(ctx, key).some((lane) => ctx.lanes.isReady(lane, now)) || pollsWait(ctx, key);
}

/** True where polls may be due that only the target's breaker can be in the way of. */
export function pollsWait(ctx: ShardContext, key: string): boolean {
  return !ctx.queue.paused && ctx.polls.lanes.isReady(key, ctx.now());
}

/** As `hasParked`, as the rows say: memory knows only since when a lane's first row may be due, and learns. */
export function surelyHasParked(ctx: ShardContext, key: string): boolean {
  const now = ctx.now();
  for (const lane of goingLanes(ctx, key)) {
    if (ctx.lanes.isReady(lane, now)) ctx.lanes.correct(lane, ctx.laneRows.firstDueAt(lane), now);
  }
  if (pollsWait(ctx, key)) ctx.polls.lanes.correct(key, ctx.polls.rows.firstDueAt(key), now);
  return hasParked(ctx, key);
}

/** The lanes of a target whose rows may be called, as far as the queue is concerned. */
export function goingLanes(ctx: ShardContext, key: string): string[] {
  return lanesOf(key).filter((lane) => goes(ctx, lane));
}

/** Parked rows are counted up to so many. */
export const MOST_PARKED = 10_000;
