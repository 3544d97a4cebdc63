/** A rate: `limit` calls in `perMs`, and `burst` (1 or more) at once. */
export interface Rate {
  limit: number;
  perMs: number;
  burst: number;
}

/** Instants are counted in whole parts of a millisecond this fine: sums of them are exact to the year 2109. */
const PARTS_OF_A_MS = 2_048;
/**
 * A clock in whole milliseconds shows an instant up to this much late. A burst that makes up for less would lose a
 * part of the interval with every call: of 300 a second with a burst of 1, 250 would be left.
 */
const CLOCK_LATE_MS = 1 - 1 / PARTS_OF_A_MS;

/**
 * The generic cell rate algorithm: one number is all its state. `freeAt` (0 to begin with) is the theoretical
 * arrival time of the next call, fractions of a millisecond included; a call may go while that is less than the
 * burst's time ahead of now. In no span of t go more than burst + limit * t / perMs calls, where the burst is what
 * was asked for, and at least 1 and what comes in one millisecond of the clock: who always asks gets the whole rate.
 * @see ITU-T I.371, annex A
 */
export function rateAllows(rate: Rate, freeAt: number, now: number): boolean {
  return known(rate, freeAt, now) - now <= burstMs(rate);
}

/** The next `freeAt` once a call has gone. */
export function rateTake(rate: Rate, freeAt: number, now: number): number {
  return known(rate, freeAt, now) + intervalMs(rate);
}

/** When the next call may go: `now`, or a whole millisecond after it. */
export function rateNextAt(rate: Rate, freeAt: number, now: number): number {
  return rateAllows(rate, freeAt, now) ? now : Math.ceil(known(rate, freeAt, now) - burstMs(rate));
}

/** A shard's part of a queue's rate; where the burst is less than the `shards`, each still has one call. */
export function shareOfRate(rate: Rate, shards: number): Rate {
  return { limit: rate.limit / shards, perMs: rate.perMs, burst: Math.max(1, rate.burst / shards) };
}

/** `freeAt` as it can be by this rate: it may have been written under a slower one, or by a clock since put back. */
function known(rate: Rate, freeAt: number, now: number): number {
  return Math.max(now, Math.min(freeAt, now + burstMs(rate) + intervalMs(rate)));
}

function burstMs(rate: Rate): number {
  const askedMs = Math.floor((rate.burst - 1) * intervalMs(rate) * PARTS_OF_A_MS) / PARTS_OF_A_MS;
  return Math.max(CLOCK_LATE_MS, askedMs);
}

function intervalMs(rate: Rate): number {
  return Math.ceil((rate.perMs / rate.limit) * PARTS_OF_A_MS) / PARTS_OF_A_MS;
}
