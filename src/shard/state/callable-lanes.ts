import { barApplies, type Gate, kindOfLane } from "../../core/pressure/admission.ts";
import { HELD_LANE, targetOfLane } from "../../core/task/lane.ts";
import type { Lanes } from "../lanes/lanes.ts";
import type { ShardContext } from "./context.ts";
import { gateOf } from "./gate.ts";

/** A lane whose target may be called, with its gate, nothing being pending. */
export interface CallableLane {
  lane: string;
  gate: Gate;
}

/** True for a lane whose rows are called, as far as the queue is concerned. */
export function goes(ctx: ShardContext, lane: string): boolean {
  return lane !== HELD_LANE && (!ctx.queue.paused || !barApplies(kindOfLane(lane), "pause"));
}

/** True where a task or a poll may be due now. */
export function hasDue(ctx: ShardContext, now: number): boolean {
  return ctx.lanes.hasDue(now) || ctx.polls.lanes.hasDue(now);
}

/** True where a row of another lane may be due that nothing but slots keeps from being called. */
export function othersWait(ctx: ShardContext, lane: string): boolean {
  const target = targetOfLane(lane);
  return callableLanes(ctx, 4).some((other) => targetOfLane(other.lane) !== target);
}

/**
 * Lanes with rows that may be due and that nothing but slots keeps from being called, in turn; at most `limit`. Those
 * whose target may not be called lose their turns until it may.
 */
export function callableLanes(ctx: ShardContext, limit: number): CallableLane[] {
  return inTurn(ctx, ctx.lanes, limit, (lane) => goes(ctx, lane));
}

/** Lanes with polls that may be due and whose targets may be called, in turn; the others lose their turns. */
export function callablePollLanes(ctx: ShardContext, limit: number): CallableLane[] {
  return ctx.queue.paused ? [] : inTurn(ctx, ctx.polls.lanes, limit, () => true);
}

/** True where a lane is due, and nothing but weight keeps its rows from being called: no room is kept for others. */
export function couldGo(ctx: ShardContext, lane: string): boolean {
  return ctx.lanes.isReady(lane, ctx.now()) && goes(ctx, lane) && gateOf(ctx, lane).why === null;
}

function inTurn(
  ctx: ShardContext,
  lanes: Lanes,
  limit: number,
  goes: (lane: string) => boolean,
): CallableLane[] {
  const found: CallableLane[] = [];
  for (const lane of lanes.ready(ctx.now())) {
    if (found.length === limit) break;
    if (!goes(lane)) continue;
    const gate = gateOf(ctx, lane);
    if (gate.room > 0) found.push({ lane, gate });
    else if (gate.parks) park(ctx, lanes, lane, gate);
  }
  return found;
}

/** Takes a lane whose target may not be called out of turn until it may. */
function park(ctx: ShardContext, lanes: Lanes, lane: string, { why, until }: Gate): void {
  // A breaker opens by what its shard hears, a Retry-After by time alone.
  lanes.park(lane, why === "breaker" ? null : until);
  ctx.targets.news.noteChanged(targetOfLane(lane));
}
