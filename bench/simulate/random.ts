/** Numbers in [0, 1) that depend on the seed alone. */
export type Random = () => number;

/** A generator (mulberry32); each use of chance in a run has one of its own, so that strategies meet the same luck. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** An exponentially distributed time. */
export function exponentialMs(random: Random, meanMs: number): number {
  return -Math.log(1 - random()) * meanMs;
}
