import { isFinal } from "../core/task.ts";
import { isTaskRow } from "../core/transition.ts";
import { DAY_MS, MINUTE_MS } from "../schema/limits.ts";
import type { TaskState } from "../schema/task.ts";
import type { ShardContext } from "./context.ts";
import type { GroupCommit, Tx } from "./group-commit.ts";

/** Rows that one slice looks at. */
const SLICE = 500;
/** Passes begin at least this far apart. */
const PRUNE_PAUSE_MS = 10 * MINUTE_MS;
/** A pass that broke off begins again after this long. */
const BROKEN_PASS_MS = MINUTE_MS;

/** Where it is due, one pass over all rows that deletes the final tasks whose retention is over, in slices. */
export async function prune(ctx: ShardContext, group: GroupCommit): Promise<void> {
  if (ctx.pruneAt === null || ctx.pruneAt > ctx.now()) return;
  // What ends while the pass is under way is noted from nothing, since the pass may be past its row.
  ctx.pruneAt = null;
  ctx.pruneNotBefore = ctx.now() + PRUNE_PAUSE_MS;
  const pass = { nextAt: null };
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
function pruneSlice(
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
      pass.nextAt = Math.min(pass.nextAt ?? endsAt, endsAt);
      continue;
    }
    ctx.rows.delete(String(row.id));
    if (isTaskRow(String(row.id))) tx.after(() => ctx.forgetCount(state));
  }
  const last = rows.length < SLICE ? null : String(rows.at(-1)?.id);
  if (last === null) endPass(ctx, tx, pass.nextAt, now);
  return last;
}

/** The next pass begins when its first row is over. */
function endPass(ctx: ShardContext, tx: Tx, foundAt: number | null, now: number): void {
  const nextAt = Math.min(foundAt ?? Number.POSITIVE_INFINITY, ctx.pruneAt ?? Number.POSITIVE_INFINITY);
  const pruneAt = Number.isFinite(nextAt)
    ? Math.min(Math.max(nextAt, now + PRUNE_PAUSE_MS), now + 7 * DAY_MS)
    : null;
  writePruneTime(ctx, pruneAt);
  tx.after(() => {
    ctx.pruneAt = pruneAt;
    ctx.storedPruneAt = pruneAt;
  });
}

function writePruneTime(ctx: ShardContext, at: number | null): void {
  ctx.sql.exec("UPDATE shard SET prune_at = ? WHERE id = 1", at);
}
