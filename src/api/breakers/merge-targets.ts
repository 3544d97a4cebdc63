import type { TargetSummary } from "../../protocol/breaker-api.ts";
import type { BreakerState } from "../../schema/breaker.ts";
import type { QueueHold } from "./queue-hold.ts";

/** A target as one shard of a queue knows it. */
export type QueueTarget = TargetSummary & { queue: string };

/** A breaker that shards know of. */
export interface KnownBreaker {
  /** The name of its Breaker object. */
  name: string;
  /** The only queue that goes by it; null: all queues. */
  queue: string | null;
  /** The holds that shards have of its target. */
  holds: QueueHold[];
}

interface Merged extends KnownBreaker {
  states: Set<BreakerState>;
  usedAt: number;
}

/**
 * The breakers that shards know of, each once: first those of which a shard says that they are in `state` (null: that
 * they are not closed, or that their target is held), then those called last.
 */
export function mergeTargets(targets: readonly QueueTarget[], state: BreakerState | null): KnownBreaker[] {
  const byName = new Map<string, Merged>();
  for (const target of targets) {
    const { breaker: name, usedAt } = target;
    const merged = byName.get(name) ?? { name, queue: queueOf(target), holds: [], states: new Set(), usedAt };
    if (target.heldUntil !== undefined) merged.holds.push({ queue: target.queue, until: target.heldUntil });
    merged.states.add(target.state);
    merged.usedAt = Math.max(merged.usedAt, usedAt);
    byName.set(name, merged);
  }
  const rank = ({ states, holds }: Merged) =>
    Number(state === null ? holds.length > 0 || states.size > 1 || !states.has("closed") : states.has(state));
  const sorted = [...byName.values()].sort((a, b) => rank(b) - rank(a) || b.usedAt - a.usedAt);
  return sorted.map(({ name, queue, holds }) => ({ name, queue, holds }));
}

/** A queue that shares with no other has Breaker objects of its own, and nobody else's tasks name its keys. */
function queueOf({ key, breaker, queue }: QueueTarget): string | null {
  return breaker !== key || key.startsWith("key:") ? queue : null;
}
