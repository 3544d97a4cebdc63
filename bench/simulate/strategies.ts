import type { BackoffPolicy } from "../../src/core/policy/policy.ts";
import type { AdaptiveMode } from "../../src/core/policy/stretch.ts";

/** A way to retry: which waits, and which of Redrive's knowledge of the target is used. */
export interface Strategy {
  name: string;
  backoff: Pick<BackoffPolicy, "strategy" | "jitter">;
  adaptive: AdaptiveMode;
  limit: boolean;
  budget: boolean;
  breaker: boolean;
  /** Between how many shards tasks are divided; each knows its own calls only. */
  shards: number;
}

const FIXED_WAITS = { strategy: "fixed", jitter: "none" } as const;
/** The others know all calls: the best case for them. */
const PLAIN = { adaptive: "off", limit: false, budget: false, breaker: false, shards: 1 } as const;

/** What all are compared with. */
export const FIXED: Strategy = { ...PLAIN, name: "fixed interval", backoff: FIXED_WAITS };

/** Redrive as it is by default. */
export const OURS: Strategy = {
  name: "Redrive",
  backoff: { strategy: "exponential", jitter: "full" },
  adaptive: "load",
  limit: true,
  budget: true,
  breaker: true,
  shards: 4,
};

/** Redrive's waits alone. */
export const FULL_JITTER: Strategy = { ...PLAIN, name: "full jitter", backoff: OURS.backoff };

/** The contest, fixed interval first. */
export const STRATEGIES: readonly Strategy[] = [
  FIXED,
  { ...PLAIN, name: "plain exponential", backoff: { strategy: "exponential", jitter: "none" } },
  FULL_JITTER,
  { ...PLAIN, name: "doubled over 100 queued", backoff: FIXED_WAITS, adaptive: "queue" },
  { ...PLAIN, name: "interval * (1 + load)", backoff: FIXED_WAITS, adaptive: "load" },
  OURS,
];

/** Redrive with one part taken out: what each brings. */
export const WITHOUT: readonly Strategy[] = [
  { ...OURS, name: "without limit and ramp", limit: false },
  { ...OURS, name: "without the budget", budget: false },
  { ...OURS, name: "without the breaker", breaker: false },
  { ...OURS, name: "without the stretch", adaptive: "off" },
];
