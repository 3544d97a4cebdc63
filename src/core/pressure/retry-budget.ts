import { addCount, type SlidingCounts, slidingCounts, sumOf } from "./sliding-counts.ts";

/** Settings of a queue's retry budget, for each target. */
export interface RetryBudgetSettings {
  enabled: boolean;
  /** Retries may be this share of first attempts over a minute. */
  ratio: number;
  /** And so many a minute besides, over all shards; but ten in each, or all of them where they are fewer. */
  perMinute: number;
}

/** First attempts, retries, and what came of the calls, over the last minute; of one target in one shard, in memory. */
export interface RetryBudget {
  firsts: SlidingCounts;
  retries: SlidingCounts;
  calls: SlidingCounts;
  successes: SlidingCounts;
}

const BUCKET_MS = 10_000;
const BUCKETS = 6;
/**
 * What a shard has of the fixed part at least: a queue that few tasks come to is no storm, and its tasks would else wait
 * for most of a minute for their third try.
 */
const LEAST_A_SHARD = 10;
/** The budget binds only while fewer calls than this succeed, or the target's limit is falling. */
const BINDS_BELOW = 0.25;

/** A budget before the first attempt. */
export function startBudget(): RetryBudget {
  const empty = slidingCounts(BUCKET_MS, BUCKETS);
  return { firsts: empty, retries: empty, calls: empty, successes: empty };
}

/** An attempt was let go; counted then, not when it comes back, or a burst would be free. */
export function noteAttempt(budget: RetryBudget, isRetry: boolean, now: number): RetryBudget {
  if (isRetry) return { ...budget, retries: addCount(budget.retries, now, 1) };
  return { ...budget, firsts: addCount(budget.firsts, now, 1) };
}

/** An attempt came back. */
export function noteResult(budget: RetryBudget, ok: boolean, now: number): RetryBudget {
  const calls = addCount(budget.calls, now, 1);
  return ok ? { ...budget, calls, successes: addCount(budget.successes, now, 1) } : { ...budget, calls };
}

/**
 * Retries that may go now: whole, not below 0, and Infinity where the budget does not bind. `shards` share the
 * fixed part; `falling` is whether the target's limit is.
 */
export function budgetLeft(
  budget: RetryBudget,
  settings: RetryBudgetSettings,
  shards: number,
  falling: boolean,
  now: number,
): number {
  if (!settings.enabled) return Number.POSITIVE_INFINITY;
  const calls = sumOf(budget.calls, now);
  const failing = calls > 0 && sumOf(budget.successes, now) / calls < BINDS_BELOW;
  if (!failing && !falling) return Number.POSITIVE_INFINITY;
  const { ratio, perMinute } = settings;
  const fixed = Math.max(perMinute / shards, Math.min(perMinute, LEAST_A_SHARD));
  const allowed = ratio * sumOf(budget.firsts, now) + fixed;
  return Math.max(0, Math.floor(allowed - sumOf(budget.retries, now)));
}

/** When a budget that is used up may have something left again: the window slides by one bucket. After `now`. */
export function budgetRefillsAt(now: number): number {
  return (Math.floor(now / BUCKET_MS) + 1) * BUCKET_MS;
}
