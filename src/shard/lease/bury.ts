import { isTaskRow } from "../../core/task/row-id.ts";
import { isFinal, type Task } from "../../core/task/task.ts";
import { loggedError } from "../../core/text/logged-error.ts";
import type { ShardContext } from "../state/context.ts";
import { PoisonedRowError } from "../storage/task-rows.ts";

/**
 * Makes a row harmless whose stored form cannot be read: it ends as failed (`corrupt`), so that it is seen, stops
 * nobody, and tells its callback as far as that can still be known. False where the error is another one.
 */
export function buryPoisoned(ctx: ShardContext, error: unknown): boolean {
  if (!(error instanceof PoisonedRowError)) return false;
  const now = ctx.now();
  const { id } = error;
  const before = ctx.rows.stateOf(id);
  ctx.rows.bury(id, now);
  if (before !== null && !isFinal(before) && isTaskRow(id))
    wantCallback(ctx, ctx.rows.readWithoutRequest(id));
  ctx.flights.remove(id);
  ctx.counts.forget();
  if (ctx.own.config !== null) ctx.retention.noteEnd("failed", now);
  ctx.log("row.poisoned", { task: id, error: loggedError(error.cause) });
  return true;
}

function wantCallback(ctx: ShardContext, task: Task | null): void {
  if (task === null || ctx.own.config === null) return;
  const wanted = ctx.terms.transitionContext(task).callbackFor("failed");
  if (wanted === null) return;
  const { url, lane } = wanted;
  const startedAt = ctx.now();
  const callback = {
    url,
    lane,
    state: "pending" as const,
    handedWith: null,
    attempt: 0,
    startedAt,
    attempts: [],
  };
  ctx.rows.update({ ...task, lane, dueAt: startedAt, callback }, task);
  ctx.lanes.note(lane, startedAt);
}
