import { deliver } from "../../core/task/deliver.ts";
import type { Task } from "../../core/task/task.ts";
import type { Refusal } from "../../protocol/refusal.ts";
import type { ShardContext } from "../state/context.ts";
import type { Tx } from "../storage/group-commit.ts";

/**
 * Stops the deliveries of a task's callback, and of those of its earlier rounds that are still on their way. To stop
 * what is stopped already changes nothing; refused where there is nothing to stop.
 */
export function stopCallbacks(ctx: ShardContext, tx: Tx, task: Task): { ok: true; task: Task } | Refusal {
  const own = stopped(ctx, task);
  if (own !== null) ctx.tasks.write(tx, own, task);
  let found = own !== null || task.callback?.reason === "stopped";
  for (const round of ctx.rows.keptRounds(task.id)) {
    const after = stopped(ctx, round);
    if (after === null) continue;
    found = true;
    // A kept round is there for its callback alone.
    if (after.callback?.state === "failed") ctx.rows.delete(round.id);
    else ctx.tasks.write(tx, after, round);
  }
  return found ? { ok: true, task: own ?? task } : refused(task);
}

function stopped(ctx: ShardContext, task: Task): Task | null {
  return deliver(task, { type: "stop" }, ctx.now());
}

function refused({ id, state, callback }: Task): Refusal {
  const has =
    callback !== null ? `that of ${id} is ${callback.state}` : `${id}, which is ${state}, has none now`;
  const detail = `stopping a callback needs one that is pending, running or retrying; ${has}`;
  return { ok: false, code: "invalid_state", detail };
}
