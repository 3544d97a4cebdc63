import { parseTaskId, taskIdFloor } from "../core/id.ts";
import { HELD_LANE, isCallbackLane } from "../core/lane.ts";
import { MINUTE_MS } from "../schema/limits.ts";
import { type EachRow, expireTask, FAILED_ROW_MS } from "./claim.ts";
import type { ShardContext } from "./context.ts";
import type { Tx } from "./group-commit.ts";
import { lapseProbe } from "./probes.ts";
import { lapse } from "./settle.ts";

/** Rows that one slice of a sweep looks at. */
const SLICE = 500;
/** Lanes that one sweep for expired tasks looks into. */
const SWEPT_LANES = 1_000;
/** Ids this much older than now are no longer made: the clocks of API and shard may differ by less. */
const CLOCK_SLACK_MS = MINUTE_MS;
/** Parked tasks are looked through for those whose max_age is over once in so long. */
export const EXPIRE_EVERY_MS = 30_000;

/** Ends every lease that has lapsed: its attempt or delivery counts as interrupted. */
export function lapseLeases(ctx: ShardContext, eachRow: EachRow): void {
  const now = ctx.now();
  const lapsed = [...ctx.flights.all()].filter(({ leaseUntil }) => leaseUntil <= now);
  for (const flight of lapsed) {
    const { id, kind, lease } = flight;
    const ended = eachRow(id, (tx) =>
      kind === "probe" ? lapseProbe(ctx, tx, id) : lapse(ctx, tx, id, lease),
    );
    if (ended === "failed") flight.leaseUntil = now + FAILED_ROW_MS;
  }
}

/**
 * Fails tasks that are due, cannot be called (a pause, no free slot), and whose max_age is over. True where a slice
 * was full: more may be left.
 */
export function expireParked(ctx: ShardContext, eachRow: EachRow): boolean {
  const now = ctx.now();
  let more = false;
  for (const lane of [...ctx.lanes.ready(now)].slice(0, SWEPT_LANES)) {
    // Whose callback waits here is final, and the lane of held tasks is worked off by claims.
    if (isCallbackLane(lane) || lane === HELD_LANE) continue;
    const ids = ctx.rows.expired(lane, now, SLICE);
    for (const id of ids) {
      const ended = eachRow(id, (tx) => {
        const task = ctx.rows.read(id);
        if (task !== null) expireTask(ctx, tx, task);
        return task !== null;
      });
      if (ended === true && ids.length === SLICE) more = true;
    }
  }
  return more;
}

/**
 * Moves the watermark up to the oldest edge-first lease, or to a minute ago: a restarted shard reads only rows
 * from there on to find edge-first leases. Written only when it has moved by a good part of a minute.
 */
export function moveWatermark(ctx: ShardContext, tx: Tx): void {
  const now = ctx.now();
  const safe = taskIdFloor(now - CLOCK_SLACK_MS);
  const lowest = ctx.flights.lowestUnlisted();
  const watermark = lowest !== null && lowest < safe ? lowest : safe;
  if (timeOf(watermark) - timeOf(ctx.watermark) < CLOCK_SLACK_MS / 2) return;
  ctx.sql.exec("UPDATE shard SET watermark = ? WHERE id = 1", watermark);
  tx.after(() => {
    ctx.watermark = watermark;
  });
}

/** The time in an id, or in the beginning of one; 0: it has none. */
function timeOf(id: string): number {
  return parseTaskId(id.padEnd(29, "0"))?.createdAt ?? 0;
}
