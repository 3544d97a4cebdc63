/** What a limit starts at for each target and queue, over all shards. */
export const START_LIMIT = 20;
/** At so many times its usual latency a target has a queue of its own: more calls at a time would only lengthen it. */
export const HOLD_AT_SLOWNESS = 1.5;
/** And at so many times, fewer calls get as much done. */
export const LOWER_AT_SLOWNESS = 2;
const CUT = 0.7;
/** A limit is cut at most once in so long: one burst of refusals is one signal. */
const CUT_EVERY_MS = 1_000;
/** A limit is falling from so many cuts without a rise between them on: one alone is how it finds its place. */
const FALLING_CUTS = 2;
/** Without a cut for so long it falls no more. */
const FALLING_FOR_MS = 5_000;

/**
 * How many calls of one target a shard may have in flight: additive increase, multiplicative decrease, with a
 * slow start until the first sign of overload. Lives in memory; a restart begins anew.
 */
export interface Limit {
  /** At least 1; its whole part counts. */
  value: number;
  /** What it began with; latency alone never takes it lower. */
  start: number;
  /** Doubles by window until the first cut or hold. */
  slowStart: boolean;
  /** Successes still missing for a window: as many as the limit was when it began. */
  windowLeft: number;
  /** Whether the limit was reached in this window: one that nobody needs does not grow. */
  used: boolean;
  lastCutAt: number;
  /** Cuts since it rose last. */
  cuts: number;
}

/** A limit at its start; the queue's `shards` (1 or more) share it. */
export function startLimit(shards: number): Limit {
  const value = Math.max(1, Math.floor(START_LIMIT / shards));
  const lastCutAt = Number.NEGATIVE_INFINITY;
  return { value, start: value, slowStart: true, windowLeft: value, used: false, lastCutAt, cuts: 0 };
}

/** Calls at a time that are allowed now; whole, at least 1, and at most `cap` where that is 1 or more. */
export function limitInForce(limit: Limit, cap: number): number {
  return Math.max(1, Math.floor(Math.min(cap, limit.value)));
}

/** A call was let go and `inFlight` are under way, itself included; `cap` as in limitInForce. */
export function noteUse(limit: Limit, inFlight: number, cap: number): Limit {
  return limit.used || inFlight < limitInForce(limit, cap) ? limit : { ...limit, used: true };
}

/**
 * A call came back well. At the end of a window that was used the limit rises, by one, or doubles in the slow
 * start; it holds, or falls by one, where the target is slow by then (`slowness`, see load.ts).
 */
export function noteSuccess(limit: Limit, cap: number, slowness: number): Limit {
  if (limit.windowLeft > 1) return { ...limit, windowLeft: limit.windowLeft - 1 };
  const held = slowness >= HOLD_AT_SLOWNESS;
  const value = Math.max(1, Math.min(cap, limit.used ? afterWindow(limit, slowness) : limit.value));
  const slowStart = limit.slowStart && !(limit.used && held);
  const cuts = value > limit.value ? 0 : limit.cuts;
  return { ...limit, value, slowStart, windowLeft: Math.floor(value), used: false, cuts };
}

/**
 * A sign of overload (429, 503, a timeout, no connection) of a call that began at `startedAt`: the limit is cut,
 * at most once a second, and not by calls that were under way when it was cut: these were let go by the old
 * limit. A sign that does not cut begins the window anew, so the limit rises only over a window without any.
 */
export function noteOverload(limit: Limit, startedAt: number, now: number): Limit {
  if (startedAt < limit.lastCutAt || now - limit.lastCutAt < CUT_EVERY_MS) {
    return { ...limit, windowLeft: Math.floor(limit.value), used: false };
  }
  const value = Math.max(1, limit.value * CUT);
  const cuts = limit.cuts + 1;
  return {
    ...limit,
    value,
    slowStart: false,
    windowLeft: Math.floor(value),
    used: false,
    lastCutAt: now,
    cuts,
  };
}

/** True while a limit is cut again and again and does not rise: what its target takes gets less and less. */
export function isFalling(limit: Limit, now: number): boolean {
  return limit.cuts >= FALLING_CUTS && now - limit.lastCutAt < FALLING_FOR_MS;
}

function afterWindow({ value, start, slowStart }: Limit, slowness: number): number {
  if (slowness >= LOWER_AT_SLOWNESS) return Math.max(Math.min(value, start), value - 1);
  if (slowness >= HOLD_AT_SLOWNESS) return value;
  return slowStart ? value * 2 : value + 1;
}
