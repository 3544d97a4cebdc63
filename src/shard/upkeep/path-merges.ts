import { lanesOf } from "../../core/task/lane.ts";
import { MINUTE_MS } from "../../schema/limits.ts";
import type { EachRow } from "../lease/claim-row.ts";
import type { ShardContext } from "../state/context.ts";
import type { SplitPath } from "../storage/target-rows.ts";

/** A path that has been split off for so long, and has not failed meanwhile, goes by its origin again. */
const MERGE_AFTER_MS = 10 * MINUTE_MS;
/** Split paths are looked through for those that are well again so often. */
const LOOK_EVERY_MS = MINUTE_MS;

/** Lets split paths that are well again, or are not in use, go by their origin again. */
export class PathMerges {
  #lookAt = 0;

  /** Looks, where that is due. A task that waits for such a path is called as it waits. */
  run(ctx: ShardContext, eachRow: EachRow): void {
    const now = ctx.now();
    if (now < this.#lookAt) return;
    this.#lookAt = now + LOOK_EVERY_MS;
    for (const { key, splits } of ctx.targets.withSplits()) {
      const over = splits.filter((split) => mayMerge(ctx, split));
      if (over.length > 0) eachRow(key, (tx) => ctx.targets.merge(tx, key, over));
    }
  }
}

function mayMerge(ctx: ShardContext, { key, since }: SplitPath): boolean {
  if (!ctx.targets.policy.split) return true;
  const now = ctx.now();
  const { local, heldUntil, failedAt } = ctx.targets.get(key);
  const { state } = local.breaker;
  const changedAt = Math.max(since, failedAt, local.breaker.since);
  if (state === "isolated" || heldUntil > now || now - changedAt < MERGE_AFTER_MS) return false;
  return state === "closed" || !isWaitedFor(ctx, key);
}

function isWaitedFor(ctx: ShardContext, key: string): boolean {
  return ctx.flights.callsTo(key) > 0 || ctx.laneRows.countWaiting(lanesOf(key), 1) > 0;
}
