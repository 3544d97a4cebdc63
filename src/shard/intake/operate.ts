import { isTaskRow } from "../../core/task/row-id.ts";
import type { Task } from "../../core/task/task.ts";
import { type TaskEvent, transition } from "../../core/task/transition.ts";
import type { Refusal } from "../../protocol/refusal.ts";
import type { OperateAction } from "../../protocol/shard-api.ts";
import type { ShardContext } from "../state/context.ts";
import type { Tx } from "../storage/group-commit.ts";
import { stopCallbacks } from "./stop-callbacks.ts";

/** Cancels, retries or resumes a task, or stops its callback, as its caller asks; a refusal says what the task would have to be. */
export function operate(
  ctx: ShardContext,
  tx: Tx,
  id: string,
  action: OperateAction,
  force: boolean,
): { ok: true; task: Task } | Refusal {
  const task = isTaskRow(id) ? ctx.rows.readWithoutRequest(id) : null;
  if (task === null) return { ok: false, code: "task_not_found", detail: `there is no task ${id}` };
  if (action === "stop-callback") return stopCallbacks(ctx, tx, task);
  const result = transition(task, eventOf(ctx, task, action, force), ctx.terms.transitionContext(task));
  if (!result.ok) return { ok: false, code: "invalid_state", detail: result.detail };
  if (result.kept !== null) keepRound(ctx, tx, task.id, result.kept);
  ctx.tasks.write(tx, result.task, task);
  return { ok: true, task: result.task };
}

function eventOf(
  ctx: ShardContext,
  task: Task,
  action: Exclude<OperateAction, "stop-callback">,
  force: boolean,
): TaskEvent {
  switch (action) {
    case "cancel":
      return { type: "cancel" };
    case "resume":
      return { type: "resume", trigger: "resume" };
    case "retry":
      return { type: "redrive", force, maxAgeMs: ctx.terms.policyOf(task).maxAgeMs };
  }
}

/** The ended round's callback is still on its way: it goes on in a row of its own. */
function keepRound(ctx: ShardContext, tx: Tx, id: string, kept: Task): void {
  ctx.rows.insert(kept, null);
  tx.after(() => {
    if (kept.leaseUntil !== null) ctx.flights.rename(id, kept.id);
    ctx.tasks.noteChange(kept, null);
  });
}
