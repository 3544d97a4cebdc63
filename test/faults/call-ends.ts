import type { ToldBreaker } from "../../src/protocol/breaker-api.ts";

/** A Breaker object counts what began in a window of 60 s; clocks differ by up to 6 s, and its slices are 10 s long. */
const COUNTED_MS = 80_000;
/** The queue of the simulation whose breakers are its own. */
const OWN = "q3";

/** What the counts of Breaker objects are held against. */
interface Watch {
  readonly now: number;
  violate(invariant: string, detail: string, ...about: string[]): void;
}

/** The calls that have ended lately: no breaker may count more than there were. */
export class CallEnds {
  readonly #watch: Watch;
  readonly #endsByBreaker = new Map<string, number[]>();

  constructor(watch: Watch) {
    this.#watch = watch;
  }

  /** A call of a shard to a target has ended, however. */
  note(shard: string, target: string): void {
    const name = shard.startsWith(`${OWN}-`) ? `${OWN} ${target}` : target;
    const { now } = this.#watch;
    const recent = (this.#endsByBreaker.get(name) ?? []).filter((at) => at > now - COUNTED_MS);
    recent.push(now);
    this.#endsByBreaker.set(name, recent);
  }

  /** What a Breaker object has counted. */
  check(name: string, view: ToldBreaker | null): void {
    if (view === null) return;
    const { now } = this.#watch;
    const counted = view.windows.ok + view.windows.failed;
    const made = (this.#endsByBreaker.get(name) ?? []).filter((at) => at > now - COUNTED_MS).length;
    if (counted > made)
      this.#watch.violate("counts add up", `the breaker of ${name} counts ${counted} calls of ${made}`, name);
  }
}
