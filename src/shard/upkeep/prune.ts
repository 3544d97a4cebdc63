import { ownerId } from "../../core/task/row-id.ts";
import { isFinal } from "../../core/task/task.ts";
import { parseTaskId, taskIdFloor } from "../../core/task/task-id.ts";
import type { SqlRow } from "../../platform/sql-port.ts";
import { DAY_MS, MINUTE_MS } from "../../schema/limits.ts";
import type { TaskState } from "../../schema/task.ts";
import type { ShardContext } from "../state/context.ts";
import type { GroupCommit, Tx } from "../state/group-commit.ts";

/** Rows that one slice looks at. */
const SLICE = 500;
/** Passes begin at least this far apart, and at least a hundredth of the shortest retention. */
const PRUNE_PAUSE_MS = 10 * MINUTE_MS;
const PAUSE_OF_RETENTION = 0.01;
/** A pass that broke off begins again after this long. */
const BROKEN_PASS_MS = MINUTE_MS;

/** One pass: what it has found, and how far it goes. */
interface Pass {
  /** Only rows below this id are old enough for any retention to be over: a pass does not read what is younger. */
  toId: string;
  /** When the first row that it left is over. */
  nextAt: number | null;
}

/** Where it is due, one pass that deletes the final tasks whose retention is over, in slices, the oldest first. */
export async function prune(ctx: ShardContext, group: GroupCommit): Promise<void> {
  if (ctx.pruneAt === null || ctx.pruneAt > ctx.now()) return;
  // What ends while the pass is under way is noted from nothing, since the pass may be past its row.
  ctx.pruneAt = null;
  ctx.pruneNotBefore = ctx.now() + pauseMs(ctx);
  const pass: Pass = { toId: taskIdFloor(Math.max(0, ctx.now() - shortestRetention(ctx) + 1)), nextAt: null };
  try {
    let from: string | null = "";
    while (from !== null) {
      const afterId: string = from;
      from = await group.run((tx) => pruneSlice(ctx, tx, afterId, pass));
    }
  } catch (error) {
    ctx.pruneAt = ctx.now() + BROKEN_PASS_MS;
    throw error;
  }
}

/** Keeps on disk when pruning is due, where that has become sooner: an object without memory has to know. */
export function storePruneTime(ctx: ShardContext): void {
  const { pruneAt, storedPruneAt } = ctx;
  if (pruneAt === null || (storedPruneAt !== null && storedPruneAt <= pruneAt)) return;
  writePruneTime(ctx, pruneAt);
  ctx.storedPruneAt = pruneAt;
}

/** Deletes what is over in one slice. Returns after which id the next one begins; null at the end of the pass. */
function pruneSlice(ctx: ShardContext, tx: Tx, afterId: string, pass: Pass): string | null {
  const now = ctx.now();
  const rows = ctx.rows.oldest(afterId, pass.toId, SLICE);
  for (const row of rows) {
    const endsAt = endsAtOf(ctx, row);
    if (endsAt === null) continue;
    if (endsAt > now) {
      pass.nextAt = Math.min(pass.nextAt ?? endsAt, endsAt);
      continue;
    }
    const id = String(row.id);
    ctx.rows.delete(id);
    tx.after(() => ctx.counts.note(id, row.state as TaskState, null));
  }
  const last = rows.length < SLICE ? null : String(rows.at(-1)?.id);
  if (last === null) endPass(ctx, tx, pass, now);
  return last;
}

/** True where nothing is in flight or waits for this row any more, and its retention is over. */
export function isOver(ctx: ShardContext, row: SqlRow): boolean {
  const endsAt = endsAtOf(ctx, row);
  return endsAt !== null && endsAt <= ctx.now();
}

/** When the retention of a row is over; null: it is not final, or something is in flight or waits for it. */
function endsAtOf(ctx: ShardContext, row: SqlRow): number | null {
  const state = row.state as TaskState;
  if (!isFinal(state) || row.finalized_at === null || row.lane !== null || row.lease_until !== null)
    return null;
  return Number(row.finalized_at) + ctx.retentionOf(state);
}

/** The next pass begins when its first row may be over: one that this pass has left, or the first that it did not read. */
function endPass(ctx: ShardContext, tx: Tx, pass: Pass, now: number): void {
  const times = [pass.nextAt, firstBeyond(ctx, pass.toId), ctx.pruneAt].filter((at) => at !== null);
  const nextAt = times.length === 0 ? null : Math.min(...times);
  const pruneAt = nextAt === null ? null : Math.min(Math.max(nextAt, now + pauseMs(ctx)), now + 7 * DAY_MS);
  writePruneTime(ctx, pruneAt);
  tx.after(() => {
    ctx.pruneAt = pruneAt;
    ctx.storedPruneAt = pruneAt;
    ctx.spares.forget();
  });
}

/** When the first row that a pass did not read may be over, at the earliest; null: there is none. */
function firstBeyond(ctx: ShardContext, toId: string): number | null {
  const id = ctx.rows.firstFrom(toId);
  const made = id === null ? null : parseTaskId(ownerId(id));
  return made === null ? null : made.createdAt + shortestRetention(ctx);
}

/** The shorter of the queue's retentions, in milliseconds: no row is over sooner. */
export function shortestRetention(ctx: ShardContext): number {
  const { succeeded, failed } = ctx.queue.settings.retention;
  return Math.min(succeeded, failed);
}

/** How far apart passes are, in milliseconds. */
export function pauseMs(ctx: ShardContext): number {
  return Math.max(PRUNE_PAUSE_MS, shortestRetention(ctx) * PAUSE_OF_RETENTION);
}

function writePruneTime(ctx: ShardContext, at: number | null): void {
  ctx.sql.exec("UPDATE shard SET prune_at = ? WHERE id = 1", at);
}
