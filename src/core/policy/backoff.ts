import { SECOND_MS } from "../../schema/limits.ts";
import type { BackoffPolicy } from "./policy.ts";

/** What is added at random to a wait that a target asked for: at most this share of it, and never over the maximum. */
const RETRY_AFTER_SPREAD = 0.1;
const MAX_RETRY_AFTER_SPREAD_MS = 10 * SECOND_MS;

/**
 * The wait after the attempt that was the `failed`-th of its round to fail (1-based), in whole milliseconds.
 * The base is the initial interval (fixed), n times it (linear), or it times multiplier^(n-1) (exponential),
 * capped at `maxIntervalMs`; or the n-th interval of a schedule, which is not capped. Jitter `full` draws from
 * [0, base], `equal` from [base/2, base]. `decorrelated` looks at neither strategy nor n: it draws from
 * [initial, 3 * the previous wait] and caps that. `random` gives numbers in [0, 1).
 */
export function backoffDelayMs(
  policy: BackoffPolicy,
  failed: number,
  previousDelayMs: number | null,
  random: () => number,
): number {
  if (policy.jitter === "decorrelated") return decorrelatedMs(policy, previousDelayMs, random);
  const delayMs = baseMs(policy, failed);
  switch (policy.jitter) {
    case "none":
      return Math.round(delayMs);
    case "full":
      return Math.round(random() * delayMs);
    case "equal":
      return Math.round(delayMs / 2 + (random() * delayMs) / 2);
  }
}

/**
 * A wait that honours what the target asked for: never shorter than `retryAfterMs`, as far as `maxRetryAfterMs`
 * allows. To keep tasks that were told the same from coming back together, up to a tenth of it (10 s at most)
 * is added at random, never taken away. Null: the target asked for nothing.
 */
export function withRetryAfter(
  delayMs: number,
  retryAfterMs: number | null,
  maxRetryAfterMs: number,
  random: () => number,
): number {
  if (retryAfterMs === null) return delayMs;
  const askedMs = Math.ceil(Math.min(retryAfterMs, maxRetryAfterMs));
  const spreadMs = Math.min(askedMs * RETRY_AFTER_SPREAD, MAX_RETRY_AFTER_SPREAD_MS);
  return Math.max(delayMs, askedMs + Math.round(random() * spreadMs));
}

function baseMs(policy: BackoffPolicy, failed: number): number {
  const { strategy, initialIntervalMs, multiplier, maxIntervalMs, intervalsMs } = policy;
  switch (strategy) {
    case "fixed":
      return Math.min(maxIntervalMs, initialIntervalMs);
    case "linear":
      return Math.min(maxIntervalMs, initialIntervalMs * failed);
    case "exponential":
      return Math.min(maxIntervalMs, initialIntervalMs * multiplier ** (failed - 1));
    case "schedule":
      // A queue's intervals can be taken away after a task that relied on them was accepted.
      return intervalsMs[Math.min(failed, intervalsMs.length) - 1] ?? initialIntervalMs;
  }
}

function decorrelatedMs(policy: BackoffPolicy, previousDelayMs: number | null, random: () => number): number {
  const lowMs = policy.initialIntervalMs;
  const highMs = Math.max(lowMs, 3 * (previousDelayMs ?? lowMs));
  return Math.min(policy.maxIntervalMs, Math.round(lowMs + random() * (highMs - lowMs)));
}
