/** How a target's load comes back after an outage: the limit begins at 1 and doubles until it is what it was. */
export interface Ramp {
  /** Calls at a time. */
  limit: number;
  /** The limit at which the ramp is over. */
  goal: number;
  /** Calls that succeeded at this limit. */
  successes: number;
}

/** A ramp up to `goal`, the limit before the outage; null where that needs none. */
export function startRamp(goal: number): Ramp | null {
  return goal > 1 ? { limit: 1, goal, successes: 0 } : null;
}

/**
 * The ramp after a call that counts for its target (see effectOf): as many successes as the limit double it, a
 * failure halves it. Null: the goal is reached.
 */
export function rampAfter(ramp: Ramp, ok: boolean): Ramp | null {
  if (!ok) return { ...ramp, limit: Math.max(1, Math.floor(ramp.limit / 2)), successes: 0 };
  const successes = ramp.successes + 1;
  if (successes < ramp.limit) return { ...ramp, successes };
  const limit = ramp.limit * 2;
  return limit < ramp.goal ? { ...ramp, limit, successes: 0 } : null;
}

/** The limit in force: the target's own, held down by a ramp that is under way. */
export function rampedLimit(limit: number, ramp: Ramp | null): number {
  return ramp === null ? limit : Math.min(limit, ramp.limit);
}
