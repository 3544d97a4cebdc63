import type { Outcome } from "../call/classify.ts";
import { FAULTS, type FaultFacts } from "../call/fault-facts.ts";
import { speaksForTarget } from "../call/retry-after.ts";

/** What the outcome of a call says about its target. */
export interface CallEffect {
  ok: boolean;
  slow: boolean;
  /**
   * How far it came: to an answer, to a connection that broke off without one, or to none. What makes and what breaks
   * the runs of calls that got no connection, or no answer.
   */
  reach: Exclude<FaultFacts["target"], "nothing" | "works">;
  /**
   * A 429, or another 4xx for a limit: the target works, and wants fewer calls. That is for the hold, the limit and the ramp; a breaker counts it
   * neither way, so that no burst of refusals opens one. Left out: it is none.
   */
  asksToWait?: true;
}

/** How long the call might have taken. */
export interface CallTimeouts {
  /** The call's own. */
  timeoutMs: number;
  /** The one its queue sets for such a call. */
  queueTimeoutMs: number;
  /** The shortest that is evidence for the others who go by this breaker; 0: there are none. */
  floorMs: number;
}

/**
 * What an outcome counts for its target; null: nothing. Any answer that is none of the target's transient faults
 * shows that it works, a 404 too. A timeout shorter than the queue's own, or than the floor where others go by the
 * same breaker, counts for nothing, and slowness is measured by the longest of the three: else a task, a callback or a
 * queue with a timeout of 1 ms could close a target for everybody.
 */
export function effectOf(
  outcome: Pick<Outcome, "errorType" | "status" | "durationMs">,
  { timeoutMs, queueTimeoutMs, floorMs }: CallTimeouts,
  slowFraction: number,
): CallEffect | null {
  const { errorType, status, durationMs } = outcome;
  const countsFromMs = Math.max(queueTimeoutMs, floorMs);
  const slow = durationMs > slowFraction * Math.max(timeoutMs, countsFromMs);
  if (errorType === null) return { ok: true, slow, reach: "answered" };
  const { target } = FAULTS[errorType];
  if (target === "nothing") return null;
  if (errorType === "timeout" && timeoutMs < countsFromMs) return null;
  // A 503 with a Retry-After is sorted alike, but is a failure of the target's own.
  if (errorType === "rate_limited" && status >= 400 && status < 500) {
    const answered = { slow, reach: "answered" } as const;
    return speaksForTarget(status) ? { ...answered, ok: false, asksToWait: true } : { ...answered, ok: true };
  }
  return target === "works" ? { ok: true, slow, reach: "answered" } : { ok: false, slow, reach: target };
}
