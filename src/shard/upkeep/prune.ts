import { ownerId } from "../../core/task/row-id.ts";
import { parseTaskId, taskIdFloor } from "../../core/task/task-id.ts";
import type { TaskState } from "../../schema/task.ts";
import type { ShardContext } from "../state/context.ts";
import type { GroupCommit, Tx } from "../storage/group-commit.ts";
import { endOf } from "../storage/task-rows.ts";

/** Rows that one slice looks at. */
const SLICE = 500;

/** One pass: what it has found, and how far it goes. */
interface Pass {
  /** Only rows below this id are old enough for any retention to be over: a pass does not read what is younger. */
  toId: string;
  /** When the first row that it left is over. */
  nextAt: number | null;
}

/** Where it is due, one pass that deletes the final tasks whose retention is over, in slices, the oldest first. */
export async function prune(ctx: ShardContext, group: GroupCommit): Promise<void> {
  const { retention } = ctx;
  if (retention.pruneAt === null || retention.pruneAt > ctx.now()) return;
  retention.beginPass();
  const pass: Pass = { toId: taskIdFloor(Math.max(0, ctx.now() - retention.shortestMs + 1)), nextAt: null };
  try {
    let from: string | null = "";
    while (from !== null) {
      const afterId: string = from;
      from = await group.run((tx) => pruneSlice(ctx, tx, afterId, pass));
    }
  } catch (error) {
    retention.breakPass();
    throw error;
  }
}

/** Deletes what is over in one slice. Returns after which id the next one begins; null at the end of the pass. */
function pruneSlice(ctx: ShardContext, tx: Tx, afterId: string, pass: Pass): string | null {
  const now = ctx.now();
  const rows = ctx.rows.oldest(afterId, pass.toId, SLICE);
  for (const row of rows) {
    const endsAt = ctx.retention.endsAt(endOf(row));
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
  if (last === null) endPass(ctx, tx, pass);
  return last;
}

/** The next pass begins when its first row may be over: one that this pass has left, or the first that it did not read. */
function endPass(ctx: ShardContext, tx: Tx, pass: Pass): void {
  const pruneAt = ctx.retention.endPass([pass.nextAt, firstBeyond(ctx, pass.toId)]);
  tx.after(() => {
    ctx.retention.found(pruneAt);
    ctx.spares.forget();
  });
}

/** When the first row that a pass did not read may be over, at the earliest; null: there is none. */
function firstBeyond(ctx: ShardContext, toId: string): number | null {
  const id = ctx.rows.firstFrom(toId);
  const made = id === null ? null : parseTaskId(ownerId(id));
  return made === null ? null : made.createdAt + ctx.retention.shortestMs;
}
