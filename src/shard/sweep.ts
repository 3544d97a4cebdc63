import { parseTaskId, taskIdFloor } from "../core/id.ts";
import { isFinal } from "../core/task.ts";
import { DAY_MS, MINUTE_MS } from "../schema/limits.ts";
import type { TaskState } from "../schema/task.ts";
import { type EachRow, expireTask } from "./claim.ts";
import type { ShardContext } from "./context.ts";
import type { Tx } from "./group-commit.ts";
import { lapseProbe } from "./probes.ts";
import { lapse } from "./settle.ts";

/** Rows that one slice of a sweep looks at. */
const SLICE = 500;
/** Lanes that one sweep for expired tasks looks into. */
const SWEPT_LANES = 1_000;
/** A pass of pruning that finds nothing is not repeated sooner. */
const PRUNE_PAUSE_MS = 10 * MINUTE_MS;
/** Ids this much older than now are no longer made: the clocks of API and shard may differ by less. */
const CLOCK_SLACK_MS = MINUTE_MS;
/** Parked tasks are looked through for those whose max_age is over once in so long. */
export const EXPIRE_EVERY_MS = 30_000;

/** Ends every lease that has lapsed: its attempt or delivery counts as interrupted. */
export function lapseLeases(ctx: ShardContext, eachRow: EachRow): void {
  const now = ctx.now();
  const lapsed = [...ctx.flights.all()].filter(({ leaseUntil }) => leaseUntil <= now);
  for (const { id, kind, lease } of lapsed) {
    eachRow(id, (tx) => (kind === "probe" ? lapseProbe(ctx, tx, id) : lapse(ctx, tx, id, lease)));
  }
}

/** Fails tasks that are due, cannot be called (a pause, no free slot), and whose max_age is over. */
export function expireParked(ctx: ShardContext, eachRow: EachRow): void {
  const now = ctx.now();
  for (const lane of [...ctx.lanes.ready(now)].slice(0, SWEPT_LANES)) {
    for (const id of ctx.rows.expired(lane, now, SLICE).ids) {
      eachRow(id, (tx) => {
        const task = ctx.rows.read(id);
        if (task !== null && !isFinal(task.state)) expireTask(ctx, tx, task);
      });
    }
  }
}

/**
 * Deletes one slice of final tasks whose retention is over, from the oldest on. Returns where the next slice
 * begins; null at the end of the pass, when it is known from when on the next pass can find anything.
 */
export function pruneSlice(
  ctx: ShardContext,
  tx: Tx,
  afterId: string,
  pass: { nextAt: number | null },
): string | null {
  const now = ctx.now();
  const rows = ctx.rows.oldest(afterId, SLICE);
  for (const row of rows) {
    const state = row.state as TaskState;
    if (!isFinal(state) || row.finalized_at === null || row.lane !== null || row.lease_until !== null)
      continue;
    const endsAt = Number(row.finalized_at) + ctx.retentionOf(state);
    if (endsAt > now) {
      pass.nextAt = Math.min(pass.nextAt ?? Number.POSITIVE_INFINITY, endsAt);
      continue;
    }
    ctx.rows.delete(String(row.id));
    if (!String(row.id).includes("~")) tx.after(() => ctx.forgetCount(state));
  }
  const last = rows.length < SLICE ? null : String(rows.at(-1)?.id);
  if (last !== null) return last;
  endPass(ctx, tx, pass.nextAt, now);
  return null;
}

function endPass(ctx: ShardContext, tx: Tx, nextAt: number | null, now: number): void {
  const pruneAt = nextAt === null ? null : Math.min(Math.max(nextAt, now + PRUNE_PAUSE_MS), now + 7 * DAY_MS);
  ctx.sql.exec("UPDATE shard SET prune_at = ? WHERE id = 1", pruneAt);
  tx.after(() => {
    ctx.pruneAt = pruneAt;
  });
}

/**
 * Moves the watermark up to the oldest edge-first lease, or to a minute ago: a restarted shard reads only rows
 * from there on to find edge-first leases. Written only when it has moved by a good part of a minute.
 */
export function moveWatermark(ctx: ShardContext, tx: Tx): void {
  const now = ctx.now();
  const safe = taskIdFloor(now - CLOCK_SLACK_MS);
  const lowest = ctx.flights.lowestEdgeId();
  const watermark = lowest !== null && lowest < safe ? lowest : safe;
  const known = parseTaskId(ctx.watermark.padEnd(29, "0"))?.createdAt ?? 0;
  if (watermark <= ctx.watermark || now - known < 1.5 * CLOCK_SLACK_MS) return;
  ctx.sql.exec("UPDATE shard SET watermark = ? WHERE id = 1", watermark);
  tx.after(() => {
    ctx.watermark = watermark;
  });
}
