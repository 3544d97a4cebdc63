import { MAX_INTERVAL_MS } from "../schema/limits.ts";

/** More queues than this are not held at once: those whose hold ends first go, and their shards hold alone. */
const MOST_HOLDS = 1_000;

/** Until when (epoch ms) a target has asked each queue, by its ref, for no calls. */
export type Holds = ReadonlyMap<number, number>;

export const NO_HOLDS: Holds = new Map();

/** The holds with what a shard says of its queue's, without those that are past; the same map where that is no news. */
export function noteHold(holds: Holds, queueRef: number, until: number | undefined, now: number): Holds {
  const heldUntil = Math.min(until ?? 0, now + MAX_INTERVAL_MS);
  if (heldUntil <= now || heldUntil <= (holds.get(queueRef) ?? 0)) return holds;
  const others = [...holds].filter(([ref, end]) => ref !== queueRef && end > now);
  const longest = others.sort(([, a], [, b]) => b - a).slice(0, MOST_HOLDS - 1);
  return new Map([...longest, [queueRef, heldUntil]]);
}

/** The queue's hold, as a message has it: nothing where there is none any more. */
export function holdOf(holds: Holds, queueRef: number, now: number): { holdUntil?: number } {
  const until = holds.get(queueRef) ?? 0;
  return until > now ? { holdUntil: until } : {};
}
