import type { HoldView } from "../../schema/breaker.ts";

/** A queue's hold of a target, as a shard or a Breaker object tells it. */
export interface QueueHold {
  queue: string;
  /** Epoch ms. */
  until: number;
}

/** Holds as a view shows them: one for each queue, those that last longest first. */
export function shownHolds(holds: readonly QueueHold[]): HoldView[] {
  const byQueue = new Map<string, number>();
  for (const { queue, until } of holds) byQueue.set(queue, Math.max(until, byQueue.get(queue) ?? 0));
  return [...byQueue]
    .sort(([, a], [, b]) => b - a)
    .map(([queue, until]) => ({ queue, until: new Date(until).toISOString() }));
}
