/**
 * How many of something are under way. Each counts for `longestMs` at most, whether its end was told or not: the object
 * that began it may be gone, and whoever counts in memory of the isolate would count it for ever.
 */
export class UnderWay {
  readonly #ends = new Set<{ at: number }>();
  readonly #longestMs: number;

  constructor(longestMs: number) {
    this.#longestMs = longestMs;
  }

  /** One more has begun; gives what ends it. */
  begin(now: number): () => void {
    const mine = { at: now + this.#longestMs };
    this.#ends.add(mine);
    return () => {
      this.#ends.delete(mine);
    };
  }

  count(now: number): number {
    for (const end of this.#ends) if (end.at <= now) this.#ends.delete(end);
    return this.#ends.size;
  }
}

/** Room for a few things at a time. */
export class BriefRoom {
  readonly #most: number;
  readonly #underWay: UnderWay;

  constructor(most: number, longestMs: number) {
    this.#most = most;
    this.#underWay = new UnderWay(longestMs);
  }

  /** Takes a place; gives what frees it, or null where there is no room. */
  take(now: number): (() => void) | null {
    return this.#underWay.count(now) < this.#most ? this.#underWay.begin(now) : null;
  }
}
