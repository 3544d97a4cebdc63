import { BreakerSettings, type Readiness } from "../../schema/breaker.ts";
import { SECOND_MS } from "../../schema/limits.ts";

/** The breaker settings of a queue as decisions are made by them. Rates and fractions are over 0, at most 1. */
export interface BreakerPolicy {
  enabled: boolean;
  share: BreakerSettings["share"];
  failureRate: number;
  /** Calls in the window below which no rate trips. */
  minimum: number;
  windowMs: number;
  /** Connect-type failures in a row that trip. */
  connectFailures: number;
  /** Failures in a row, of any kind that counts, that trip. */
  failuresInARow: number;
  slowRate: number;
  slowFraction: number;
  openMs: number;
  /** Never under openMs. */
  maxOpenMs: number;
  halfOpenSuccesses: number;
  readiness: Readiness | null;
  /** Paths that are targets of their own; see scope.ts. */
  scopes: readonly string[];
  /** A path that alone fails is a target of its own for a time; see path-watch.ts. */
  split: boolean;
}

/** A timeout shorter than this is no evidence for other queues, where the deployment sets nothing else. */
export const DEFAULT_EVIDENCE_FLOOR_MS = 5 * SECOND_MS;

/** The policy of a queue where it says nothing. */
export const DEFAULT_BREAKER_POLICY: BreakerPolicy = policyOf(BreakerSettings.parse({}));

/** The policy of a queue; undefined: its settings were stored by a release that knew no breakers. */
export function breakerPolicy(settings: BreakerSettings | undefined): BreakerPolicy {
  return settings === undefined ? DEFAULT_BREAKER_POLICY : policyOf(settings);
}

/** Every setting has its place; one that is added has to be given one. */
function policyOf(settings: BreakerSettings): BreakerPolicy {
  const { enabled, share, failure_rate, minimum, window, slow_rate, slow_fraction, ...more } = settings;
  const { consecutive_connect_failures, consecutive_failures, half_open_successes, ...rest } = more;
  const { open, max_open, readiness = null, scopes = [], split = true, ...unplaced } = rest;
  unplaced satisfies Record<string, never>;
  return {
    enabled,
    share,
    failureRate: failure_rate,
    minimum,
    windowMs: window,
    connectFailures: consecutive_connect_failures,
    failuresInARow: consecutive_failures,
    slowRate: slow_rate,
    slowFraction: slow_fraction,
    openMs: open,
    maxOpenMs: Math.max(open, max_open),
    halfOpenSuccesses: half_open_successes,
    readiness,
    scopes,
    split,
  };
}

/** Whether other queues believe at once what this one's calls say of a target key. */
export function isTrusted(key: string, { share, enabled }: BreakerPolicy): boolean {
  return enabled && share === "trusted" && !key.startsWith("key:");
}
