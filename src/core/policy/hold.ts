import type { RetryPolicy } from "../../schema/policy.ts";
import { DEFAULT_POLICY } from "./policy.ts";

/** How long a target is left alone since it asked for it (Retry-After); instants in epoch ms, both 0: it is not. */
export interface Hold {
  /** When it asked: who hears of the same hold from elsewhere knows it by this. */
  heldFrom: number;
  heldUntil: number;
}

export const NO_HOLD: Hold = { heldFrom: 0, heldUntil: 0 };

/**
 * The most, in milliseconds, that a target may hold a queue's calls for: the queue's own `max_retry_after`. One task's
 * value says how long that task waits, not how long others do.
 */
export function mostHoldMs(queue: RetryPolicy): number {
  return queue.max_retry_after ?? DEFAULT_POLICY.maxRetryAfterMs;
}

/** The hold that a call asks for, no longer than `mostMs`; the one there is, where that lasts longer. */
export function askedHold(hold: Hold, askedMs: number, mostMs: number, now: number): Hold {
  return longer(hold, cutHold({ heldFrom: now, heldUntil: now + askedMs }, mostMs));
}

/** A hold with what is told of another: that one counts where it lasts longer and was asked for after `endedAt`. */
export function toldHold(hold: Hold, told: Hold, mostMs: number, endedAt: number): Hold {
  return told.heldFrom <= endedAt ? hold : longer(hold, cutHold(told, mostMs));
}

/** A hold no longer than so much, counted from when it was asked for. The same one where it is not longer. */
export function cutHold<T extends Hold>(hold: T, mostMs: number): T {
  const heldUntil = Math.min(hold.heldUntil, hold.heldFrom + mostMs);
  return heldUntil === hold.heldUntil ? hold : { ...hold, heldUntil };
}

function longer(one: Hold, other: Hold): Hold {
  return other.heldUntil > one.heldUntil ? other : one;
}
