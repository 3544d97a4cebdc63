import { type Rate, rateAllows, rateTake } from "../../core/pressure/rate.ts";
import { AppError } from "../http/app-error.ts";

const POLL_MS = 20;
/** A load that takes longer is not waited for: the request that began it may be gone. */
const PATIENCE_MS = 1_000;
const MAX_WAIT_MS = 3_000;

/** What time and waiting come from. */
export interface SharedLoadPorts {
  now(): number;
  wait(ms: number): Promise<void>;
}

type Outcome<T> = { ok: true; value: T } | { ok: false; error: unknown };

/**
 * One load of a slower store for all who ask at the same time, and no more of them than `rate` says, however many ask. What
 * a caller gets was begun after it asked, so nothing that was there then is missed. Those who wait look again and again,
 * since the runtime lets no request wait for another's I/O.
 */
export class SharedLoad<T> {
  readonly #rate: Rate;
  readonly #ports: SharedLoadPorts;
  #freeAt = 0;
  #seenAt = 0;
  #begun = 0;
  #loadingUntil = 0;
  #last: { begun: number; outcome: Outcome<T> } | null = null;

  constructor(rate: Rate, ports: SharedLoadPorts) {
    this.#rate = rate;
    this.#ports = ports;
  }

  /** What `load` gives, or throws, for this caller or another one. Throws AppError `overloaded` where that takes over 3 s. */
  async get(load: () => Promise<T>): Promise<T> {
    const asked = this.#begun;
    for (let waitedMs = 0; waitedMs <= MAX_WAIT_MS; waitedMs += POLL_MS) {
      const last = this.#last;
      if (last !== null && last.begun > asked) return given(last.outcome);
      const now = this.#time();
      if (now >= this.#loadingUntil && rateAllows(this.#rate, this.#freeAt, now))
        return this.#load(load, now);
      await this.#ports.wait(POLL_MS);
    }
    throw new AppError("overloaded", "too many requests of this kind at once; try again in a second");
  }

  /** Now. What was noted by a clock that has been put back since would bar all loads until it is there again. */
  #time(): number {
    const now = this.#ports.now();
    if (now < this.#seenAt) {
      this.#freeAt = 0;
      this.#loadingUntil = 0;
    }
    this.#seenAt = now;
    return now;
  }

  async #load(load: () => Promise<T>, now: number): Promise<T> {
    this.#freeAt = rateTake(this.#rate, this.#freeAt, now);
    this.#loadingUntil = now + PATIENCE_MS;
    const begun = ++this.#begun;
    const outcome = await load().then(
      (value): Outcome<T> => ({ ok: true, value }),
      (error: unknown): Outcome<T> => ({ ok: false, error }),
    );
    if (begun === this.#begun) this.#loadingUntil = 0;
    if (this.#last === null || this.#last.begun < begun) this.#last = { begun, outcome };
    return given(outcome);
  }
}

function given<T>(outcome: Outcome<T>): T {
  if (outcome.ok) return outcome.value;
  throw outcome.error;
}
