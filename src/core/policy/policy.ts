import { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS } from "../../schema/limits.ts";
import type { Backoff, CallbackRetryPolicy, RetryPolicy, Rule } from "../../schema/policy.ts";

/** How long to wait after a failed attempt, with nothing left out. */
export interface BackoffPolicy {
  strategy: NonNullable<Backoff["strategy"]>;
  initialIntervalMs: number;
  multiplier: number;
  maxIntervalMs: number;
  jitter: NonNullable<Backoff["jitter"]>;
  /** How the wait follows the target's state; see adaptive.ts. */
  adaptive: NonNullable<Backoff["adaptive"]>;
  /** The waits of strategy `schedule`, in order; the last one repeats. */
  intervalsMs: readonly number[];
}

/** A retry policy with nothing left out: what a decision is made by. */
export interface Policy {
  /** Attempts of one round, the first included. */
  maxAttempts: number;
  maxAgeMs: number;
  /** The most that a target's Retry-After may ask for. */
  maxRetryAfterMs: number;
  backoff: BackoffPolicy;
  /** Retry when any holds; null: the fault table decides. */
  conditions: readonly string[] | null;
  rules: readonly Rule[];
  /** True where neither the task nor its queue has a backoff of its own. */
  backoffIsDefault: boolean;
}

/** The policy of a call where neither it nor its queue says anything. */
export const DEFAULT_POLICY: Policy = {
  maxAttempts: 5,
  maxAgeMs: DAY_MS,
  // All attempts of the default fit into its age at this wait; a cap near the age would end a task instead.
  maxRetryAfterMs: 4 * HOUR_MS,
  backoff: {
    strategy: "exponential",
    initialIntervalMs: SECOND_MS,
    multiplier: 2,
    maxIntervalMs: 5 * MINUTE_MS,
    jitter: "full",
    adaptive: "load",
    intervalsMs: [],
  },
  conditions: null,
  rules: [],
  backoffIsDefault: true,
};

/** The policy of a callback's delivery where neither the task nor its queue says anything. */
export const DEFAULT_CALLBACK_POLICY: Policy = {
  ...DEFAULT_POLICY,
  maxAttempts: 8,
  maxAgeMs: 48 * HOUR_MS,
  backoff: {
    ...DEFAULT_POLICY.backoff,
    strategy: "schedule",
    jitter: "equal",
    intervalsMs: [
      5 * SECOND_MS,
      5 * MINUTE_MS,
      30 * MINUTE_MS,
      2 * HOUR_MS,
      5 * HOUR_MS,
      10 * HOUR_MS,
      10 * HOUR_MS,
    ],
  },
};

/** The policy of a task: its own wins over its queue's field by field (inside `backoff` too), then the defaults. */
export function resolvePolicy(own: RetryPolicy | null, queue: RetryPolicy): Policy {
  return layer(layer(DEFAULT_POLICY, queue), own ?? undefined);
}

/** The policy of a callback's delivery: the task's own wins over its queue's field by field, then the defaults. */
export function resolveCallbackPolicy(
  own: CallbackRetryPolicy | undefined,
  queue: CallbackRetryPolicy | undefined,
): Policy {
  return layer(layer(DEFAULT_CALLBACK_POLICY, queue), own);
}

/**
 * Lays the given fields over a backoff. `intervals` without a strategy mean strategy `schedule`. An initial
 * interval without a maximum of its own raises a lower maximum: it was written later, or nearer to the task.
 */
export function mergeBackoff(base: BackoffPolicy, over: Backoff | undefined): BackoffPolicy {
  if (over === undefined) return base;
  const initialIntervalMs = over.initial_interval ?? base.initialIntervalMs;
  const raisedMs = over.initial_interval === undefined ? 0 : initialIntervalMs;
  return {
    strategy: over.strategy ?? (over.intervals === undefined ? base.strategy : "schedule"),
    initialIntervalMs,
    multiplier: over.multiplier ?? base.multiplier,
    maxIntervalMs: over.max_interval ?? Math.max(base.maxIntervalMs, raisedMs),
    jitter: over.jitter ?? base.jitter,
    adaptive: over.adaptive ?? base.adaptive,
    intervalsMs: over.intervals ?? base.intervalsMs,
  };
}

function layer(base: Policy, over: RetryPolicy | undefined): Policy {
  if (over === undefined) return base;
  return {
    maxAttempts: over.max_attempts ?? base.maxAttempts,
    maxAgeMs: over.max_age ?? base.maxAgeMs,
    maxRetryAfterMs: over.max_retry_after ?? base.maxRetryAfterMs,
    backoff: mergeBackoff(base.backoff, over.backoff),
    conditions: over.conditions ?? base.conditions,
    rules: over.rules ?? base.rules,
    backoffIsDefault: base.backoffIsDefault && over.backoff === undefined,
  };
}
