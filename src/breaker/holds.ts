import { cutHold, type Hold, NO_HOLD } from "../core/policy/hold.ts";
import type { BreakerSync, HoldNews, KnownHold } from "../protocol/breaker-api.ts";
import { MAX_INTERVAL_MS } from "../schema/limits.ts";

/** More queues than this are not held at once: those whose hold ends first go, and their shards hold alone. */
const MOST_HOLDS = 1_000;

/** What a target has asked each queue for, by its ref, and what an operator has released of that. */
export interface Holds {
  byQueue: ReadonlyMap<number, Hold>;
  /** Holds that were asked for at this instant or earlier are over; 0: none has been released. */
  endedAt: number;
}

export const NO_HOLDS: Holds = { byQueue: new Map(), endedAt: 0 };

/**
 * The holds with what a shard says of its queue's, without those that are past; the same ones where that is no news.
 * A queue that lets a target ask for less than before has a shorter one from then on.
 */
export function noteHold(holds: Holds, message: BreakerSync, now: number): Holds {
  const { queueRef, holdFrom = now, holdUntil = 0, maxHoldMs = MAX_INTERVAL_MS } = message;
  const known = holds.byQueue.get(queueRef) ?? NO_HOLD;
  const kept = cutHold(known, maxHoldMs);
  const told = cutHold({ heldFrom: holdFrom, heldUntil: holdUntil }, Math.min(maxHoldMs, MAX_INTERVAL_MS));
  const isNews = told.heldUntil > Math.max(now, kept.heldUntil) && holdFrom > holds.endedAt;
  const hold = isNews ? told : kept;
  if (hold === known) return holds;
  const others = [...holds.byQueue].filter(([ref, { heldUntil }]) => ref !== queueRef && heldUntil > now);
  const longest = others.sort(([, a], [, b]) => b.heldUntil - a.heldUntil).slice(0, MOST_HOLDS - 1);
  return { ...holds, byQueue: new Map([...longest, [queueRef, hold]]) };
}

/** All holds are over; those too that were asked for in what is still to come by this object's clock. */
export function releaseHolds({ byQueue }: Holds, now: number): Holds {
  const askedAt = [...byQueue.values()].map(({ heldFrom }) => heldFrom);
  return { ...NO_HOLDS, endedAt: Math.max(now, ...askedAt) };
}

/** What a shard of the queue is told. */
export function holdNews({ byQueue, endedAt }: Holds, queueRef: number, now: number): HoldNews {
  const held = byQueue.get(queueRef);
  return {
    ...(held !== undefined && held.heldUntil > now && { holdUntil: held.heldUntil, holdFrom: held.heldFrom }),
    ...(endedAt > 0 && { holdsEndedAt: endedAt }),
  };
}

/** The holds in force, for the view. */
export function knownHolds({ byQueue }: Holds, now: number): KnownHold[] {
  return [...byQueue]
    .map(([queueRef, { heldFrom, heldUntil }]) => ({ queueRef, from: heldFrom, until: heldUntil }))
    .filter(({ until }) => until > now);
}
