/** The longest that anything counted here may take; what is not over by then was lost with its object. */
const LOST_MS = 5_000;

/** How many of something are under way in this process. Objects come and go, so each is counted for a while only. */
export class UnderWay {
  readonly #begun = new Set<{ at: number }>();

  /** One more has begun; gives what ends it. */
  begin(now: number): () => void {
    const mine = { at: now };
    this.#begun.add(mine);
    return () => {
      this.#begun.delete(mine);
    };
  }

  count(now: number): number {
    for (const one of this.#begun) if (one.at <= now - LOST_MS) this.#begun.delete(one);
    return this.#begun.size;
  }
}
