import { letPollsGo } from "../probe/polls.ts";
import type { ShardContext } from "../state/context.ts";
import type { Tx } from "../storage/group-commit.ts";

/**
 * An operator says that what a target asked for is over: its hold, and what answers asked of the URLs of it that are
 * polled. Until when the last call would have waited, epoch ms; null: none did.
 */
export function releaseTarget(ctx: ShardContext, tx: Tx, key: string): number | null {
  const heldUntil = ctx.targets.release(tx, key);
  const pollsUntil = letPollsGo(ctx, tx, key, 0);
  return heldUntil === null && pollsUntil === null ? null : Math.max(heldUntil ?? 0, pollsUntil ?? 0);
}
