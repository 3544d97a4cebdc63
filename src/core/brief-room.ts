/**
 * Room for a few things at a time, each of which is over after `longestMs` whether its end was told or not: the
 * object that began it may be gone, and whoever counts in memory of the isolate would count it for ever.
 */
export class BriefRoom {
  readonly #ends = new Set<{ at: number }>();
  readonly #most: number;
  readonly #longestMs: number;

  constructor(most: number, longestMs: number) {
    this.#most = most;
    this.#longestMs = longestMs;
  }

  /** Takes a place; gives what frees it, or null where there is no room. */
  take(now: number): (() => void) | null {
    for (const end of this.#ends) if (end.at <= now) this.#ends.delete(end);
    if (this.#ends.size >= this.#most) return null;
    const mine = { at: now + this.#longestMs };
    this.#ends.add(mine);
    return () => {
      this.#ends.delete(mine);
    };
  }
}
