import { rekeyed } from "../../core/task/rekey.ts";
import { isTaskRow } from "../../core/task/row-id.ts";
import type { Task } from "../../core/task/task.ts";
import type { Refusal } from "../../protocol/refusal.ts";
import type { RekeyAnswer, RekeyMessage } from "../../protocol/shard-api.ts";
import type { ShardContext } from "../state/context.ts";
import type { Tx } from "../storage/group-commit.ts";
import { listPage } from "../storage/list-page.ts";

/** Moves a task to the target of a `breaker_key`; null: to the one that its URL belongs to. */
export function rekeyTask(
  ctx: ShardContext,
  tx: Tx,
  id: string,
  breakerKey: string | null,
): { ok: true; task: Task } | Refusal {
  const task = isTaskRow(id) ? ctx.rows.readWithoutRequest(id) : null;
  if (task === null) return { ok: false, code: "task_not_found", detail: `there is no task ${id}` };
  const moved = rekeyed(task, targetFor(ctx, task, breakerKey));
  if (moved === null) {
    const detail = `expected a task that is not final, got one that has ${task.state}`;
    return { ok: false, code: "invalid_state", detail };
  }
  ctx.tasks.move(tx, moved, task);
  return { ok: true, task: moved };
}

/** Moves those tasks of one page that the filter lets through, as `rekeyTask` does. */
export function rekeyPage(ctx: ShardContext, tx: Tx, message: RekeyMessage): RekeyAnswer {
  const { breakerKey, dryRun, ...filter } = message;
  const { rows, examinedTo } = listPage(ctx.sql, { ...filter, createdAfter: null, isOpen: true });
  let changed = 0;
  for (const row of rows) {
    const task = ctx.rows.toTaskWithoutBodies(row);
    const moved = rekeyed(task, targetFor(ctx, task, breakerKey));
    if (moved === null || moved === task) continue;
    changed++;
    if (!dryRun) ctx.tasks.move(tx, moved, task);
  }
  return { matched: rows.length, changed, examinedTo };
}

function targetFor(ctx: ShardContext, { call }: Task, breakerKey: string | null): string {
  return breakerKey === null ? ctx.scoped.targetOfUrl(call.url) : `key:${ctx.queue.name}/${breakerKey}`;
}
