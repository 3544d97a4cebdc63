import type { Breaker } from "../../src/core/breaker/breaker.ts";

type Down = Extract<Breaker, { state: "open" | "isolated" }>;

/**
 * What each shard is known to have been told of each target. One that was told that a target is open lets no call to it
 * go before the end of that, and of one that is isolated none at all, until it is told otherwise.
 */
export class Beliefs {
  readonly #violate: (invariant: string, detail: string, ...about: string[]) => void;
  readonly #toldDown = new Map<string, Down>();
  readonly #newest = new Map<string, number>();

  constructor(violate: (invariant: string, detail: string, ...about: string[]) => void) {
    this.#violate = violate;
  }

  /** A push has arrived; whether it is taken in is not known yet. */
  arrived(shard: string, key: string, breaker: Breaker): void {
    const name = `${shard} ${key}`;
    const down = this.#toldDown.get(name);
    if (down !== undefined && breaker.version >= down.version && breaker.version !== down.version)
      this.#toldDown.delete(name);
    this.#newest.set(name, Math.max(breaker.version, this.#newest.get(name) ?? 0));
  }

  /** A shard has the answer to its question. */
  answered(shard: string, key: string, breaker: Breaker): void {
    this.arrived(shard, key, breaker);
  }

  /** The shard has said that it took a push in. */
  pushed(shard: string, key: string, breaker: Breaker): void {
    const name = `${shard} ${key}`;
    if (breaker.state !== "open" && breaker.state !== "isolated") return;
    if (this.#newest.get(name) === breaker.version) this.#toldDown.set(name, breaker);
  }

  /** A shard lets a call to a target go at `at`, by its own clock. */
  admitted(shard: string, key: string, id: string, at: number): void {
    const down = this.#toldDown.get(`${shard} ${key}`);
    if (down === undefined || (down.state === "open" && at >= down.until)) return;
    const until = down.state === "open" ? ` until ${down.until}` : "";
    this.#violate(
      "no call to an open target but leased probes",
      `${shard} was told that ${key} is ${down.state}${until}, and let ${id} go at ${at}`,
      id,
      key,
    );
  }
}
