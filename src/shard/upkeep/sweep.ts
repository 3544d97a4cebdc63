import { HELD_LANE, isCallbackLane } from "../../core/task/lane.ts";
import { parseTaskId, taskIdFloor } from "../../core/task/task-id.ts";
import { MINUTE_MS } from "../../schema/limits.ts";
import { type EachRow, expireTask } from "../lease/claim-row.ts";
import type { ShardContext } from "../state/context.ts";
import type { Tx } from "../storage/group-commit.ts";

/** Rows that one slice of a sweep looks at. */
const SLICE = 500;

/** Lanes that one sweep for expired tasks looks into. */
const SWEPT_LANES = 1_000;

/** Ids this much older than now are no longer made: the clocks of API and shard may differ by less. */
const CLOCK_SLACK_MS = MINUTE_MS;

/** Parked tasks are looked through for those whose max_age is over once in so long. */
export const EXPIRE_EVERY_MS = 30_000;

/** Looks through the lanes of rows that are due and not called, some at a time, round and round. */
export class ParkedSweep {
  /** Lanes that are still to be looked at in this round. */
  #left: string[] = [];

  /**
   * Fails tasks that are due, cannot be called (a pause, a breaker, no free slot), and whose max_age is over. True
   * where more are left to look at.
   */
  expire(ctx: ShardContext, eachRow: EachRow): boolean {
    const now = ctx.now();
    if (this.#left.length === 0) this.#left = ctx.lanes.due(now);
    for (const lane of this.#left.splice(0, SWEPT_LANES)) {
      // Whose callback waits here is final, and the lane of held tasks is worked off by claims.
      if (isCallbackLane(lane) || lane === HELD_LANE) continue;
      if (expireLane(ctx, lane, now, eachRow)) this.#left.push(lane);
    }
    return this.#left.length > 0;
  }
}

/** Ends a slice of a lane's tasks; true where more may be left. Reads nothing where none can be over. */
function expireLane(ctx: ShardContext, lane: string, now: number, eachRow: EachRow): boolean {
  const { expiries } = ctx.lanes;
  if (!expiries.mayBeOver(lane, now)) return false;
  const ids = ctx.laneRows.expired(lane, now, SLICE);
  const ended = ids.filter((id) => {
    const done = eachRow(id, (tx) => {
      const task = ctx.rows.readWithoutRequest(id);
      if (task !== null) expireTask(ctx, tx, task);
      return task !== null;
    });
    return done === true;
  });
  if (ids.length < SLICE) expiries.looked(lane, ctx.laneRows.firstExpiresAt(lane));
  return ids.length === SLICE && ended.length > 0;
}

/**
 * Moves the watermark up to the oldest lease that no `flights` row lists, or to a minute ago: a restarted shard reads
 * only rows from there on to find these. Written only when it has moved by a good part of a minute.
 */
export function moveWatermark(ctx: ShardContext, tx: Tx): void {
  const now = ctx.now();
  const safe = taskIdFloor(now - CLOCK_SLACK_MS);
  const lowest = ctx.flights.lowestUnlisted();
  const watermark = lowest !== null && lowest < safe ? lowest : safe;
  if (timeOf(watermark) - timeOf(ctx.own.watermark) < CLOCK_SLACK_MS / 2) return;
  ctx.own.setWatermark(tx, watermark);
}

/** The time in an id, or in the beginning of one; 0: it has none. */
function timeOf(id: string): number {
  return parseTaskId(id.padEnd(29, "0"))?.createdAt ?? 0;
}
