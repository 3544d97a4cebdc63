import { targetOfLane } from "../../core/task/lane.ts";
import { readdressed, rekeyed } from "../../core/task/rekey.ts";
import { isFinal, type Task } from "../../core/task/task.ts";
import { transition } from "../../core/task/transition.ts";
import type { SqlRow } from "../../platform/sql-port.ts";
import type { Grant } from "../../protocol/grant.ts";
import type { ShardContext } from "../state/context.ts";
import type { Flight } from "../storage/flights.ts";
import type { Tx } from "../storage/group-commit.ts";
import { type Admission, admitAttempt, admitDelivery } from "./grants.ts";

/** A row whose work threw is tried again after this long, so that it neither spins nor stands in others' way. */
export const FAILED_ROW_MS = 5_000;

/** A grant made by a claim, not yet given to a runner. */
export interface Claimed {
  grant: Grant;
  flight: Flight;
}

/** Runs one row's work in a transaction of its own; `failed` where it threw, which is logged. */
export type EachRow = <T>(id: string, work: (tx: Tx) => T) => T | "failed";

/**
 * Admits one row as what it waits for; null where it was ended instead, `moved` where its path has been split off its
 * target, and it waits there now.
 */
export function claimRow(
  ctx: ShardContext,
  row: SqlRow,
  eachRow: EachRow,
): Claimed | null | "failed" | "moved" {
  return eachRow(String(row.id), (tx) => {
    const ends = isOver(ctx, row);
    // Only the call itself needs its body.
    const task =
      ends || isFinal(row.state as Task["state"]) ? ctx.rows.toTaskWithoutRequest(row) : ctx.rows.toTask(row);
    if (!ends && toPart(ctx, tx, task)) return "moved";
    const admitted = isFinal(task.state) ? claimDelivery(ctx, tx, task) : claimAttempt(ctx, tx, task);
    return admitted && { grant: admitted.grant, flight: admitted.flight };
  });
}

/** Lets a row wait for the path that has been split off its target and that it calls. False: there is none. */
function toPart(ctx: ShardContext, tx: Tx, task: Task): boolean {
  const { callback } = task;
  const delivers = isFinal(task.state);
  const url = delivers ? (callback?.url ?? "") : task.call.url;
  const part = ctx.scoped.partOf(delivers ? targetOfLane(callback?.lane ?? "") : task.target, url);
  if (part === null) return false;
  const moved = delivers ? readdressed(task, part) : rekeyed(task, part);
  if (moved === null || moved === task) return false;
  if (delivers) ctx.tasks.write(tx, moved, task);
  else ctx.tasks.move(tx, moved, task);
  return true;
}

/** True for a waiting task that ends instead of being called. */
export function isOver(ctx: ShardContext, row: SqlRow): boolean {
  return !isFinal(row.state as Task["state"]) && Number(row.expires_at) <= ctx.now();
}

function claimAttempt(ctx: ShardContext, tx: Tx, task: Task): Admission | null {
  if (task.expiresAt <= ctx.now()) {
    expireTask(ctx, tx, task);
    return null;
  }
  const admitted = admitAttempt(ctx, task);
  ctx.tasks.write(tx, admitted.task, task);
  return admitted;
}

function claimDelivery(ctx: ShardContext, tx: Tx, task: Task): Admission | null {
  const admitted = admitDelivery(ctx, task, task.callback?.handedWith ?? null);
  ctx.tasks.write(tx, admitted.task, task);
  return admitted;
}

/** Ends a waiting task whose max_age is over. */
export function expireTask(ctx: ShardContext, tx: Tx, task: Task): void {
  const result = transition(task, { type: "expire" }, ctx.terms.transitionContext(task));
  if (!result.ok) return;
  ctx.tasks.write(tx, result.task, task);
  tx.after(() => ctx.log("task.expired", { task: task.id, target: task.target, attempts: task.attempt }));
}
