/** How a retry's wait follows the target's state: not, by how many tasks wait for it, or by its load factor. */
export type AdaptiveMode = "off" | "queue" | "load";

/** By how much waits are stretched by the number of tasks that wait; of one target in one shard, in memory. */
export interface QueueStretch {
  /** 1 to 64. */
  factor: number;
  /** When it was looked at last. */
  lookedAt: number;
}

/** What of a target a wait may depend on. */
export interface AdaptiveSituation {
  /** 0 to 1; see load.ts. */
  loadFactor: number;
  stretch: QueueStretch;
}

/** Nothing is stretched. */
export const NO_STRETCH: QueueStretch = { factor: 1, lookedAt: Number.NEGATIVE_INFINITY };

/** Over so many tasks of a target, waits for it are doubled. */
const MANY_WAITING = 100;
const MAX_FACTOR = 64;
/** One step in so long: a hundred failures at the same instant are one reason to double, not a hundred. */
const STEP_MS = 1_000;

/** Whether `stretchAt` would look at how many tasks wait: once a second, so that they need not be counted oftener. */
export function isStretchDue(before: QueueStretch, now: number): boolean {
  return now - before.lookedAt >= STEP_MS;
}

/**
 * The stretch as it is with `waiting` tasks (of the target, in the queue) at `now`: doubled while these are over
 * 100, at most once a second; else halved for each second since it was looked at last.
 */
export function stretchAt(before: QueueStretch, waiting: number, now: number): QueueStretch {
  if (!isStretchDue(before, now)) return before;
  if (waiting > MANY_WAITING) return { factor: Math.min(MAX_FACTOR, before.factor * 2), lookedAt: now };
  const steps = Math.floor((now - before.lookedAt) / STEP_MS);
  return { factor: Math.max(1, before.factor / 2 ** steps), lookedAt: now };
}

/**
 * A wait (whole milliseconds, jitter included) stretched by the state of its target: `load` makes it up to twice
 * as long, `queue` up to 64 times. Never shorter than it was, so what a target asked for by Retry-After is laid
 * over it afterwards (withRetryAfter). A policy's max_interval bounds the wait before it is stretched.
 */
export function stretchedDelayMs(
  delayMs: number,
  mode: AdaptiveMode,
  { loadFactor, stretch }: AdaptiveSituation,
): number {
  switch (mode) {
    case "off":
      return delayMs;
    case "load":
      return Math.round(delayMs * (1 + loadFactor));
    case "queue":
      return Math.round(delayMs * stretch.factor);
  }
}
