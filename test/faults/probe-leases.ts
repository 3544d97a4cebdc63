import type { Breaker, ProbeLease } from "../../src/core/breaker/breaker.ts";
import type { BreakerSync } from "../../src/protocol/breaker-api.ts";
import type { Watcher } from "./world/host.ts";
import type { SimStorage } from "./world/storage.ts";

/** What the leases are held against. */
interface Watch {
  violate(invariant: string, detail: string, ...about: string[]): void;
}

/** The probes that one Breaker object leases: a second one only after the first has ended, lapsed, or reached nobody. */
export class ProbeLeases implements Watcher {
  readonly #name: string;
  readonly #storage: SimStorage;
  readonly #watch: Watch;
  readonly #ended = new Set<number>();
  readonly #unreached = new Set<string>();
  /** By the part of the breaker that leases them: each queue probes for itself. */
  readonly #held = new Map<number, ProbeLease>();
  #wroteAt = 0;

  constructor(name: string, storage: SimStorage, watch: Watch) {
    this.#name = name;
    this.#storage = storage;
    this.#watch = watch;
  }

  /** A shard's message arrives. */
  heard({ probed }: Pick<BreakerSync, "probed">): void {
    if (probed !== null) this.#ended.add(probed.lease);
  }

  /** A shard could not be told of a change. */
  notTold(shard: string): void {
    this.#unreached.add(shard);
  }

  wrote(_: unknown, at: number): void {
    this.#wroteAt = at;
  }

  committed(): void {
    const rows = this.#storage.read(
      "SELECT 0 AS part, state FROM breaker UNION ALL SELECT part, state FROM parts",
    );
    for (const { part, state } of rows) this.#look(Number(part), JSON.parse(String(state)));
  }

  #look(part: number, breaker: Breaker): void {
    const probe = breaker.state === "half_open" ? breaker.probe : null;
    const held = this.#held.get(part);
    if (held !== undefined && probe !== null && probe.lease !== held.lease && !this.#isOver(held))
      this.#watch.violate(
        "no call to an open target but leased probes",
        `${this.#name} leases a probe to ${probe.shard} while ${held.shard} has one until ${held.until}`,
        this.#name,
      );
    const now = breaker.state === "half_open" ? (probe ?? held) : undefined;
    if (now === undefined) this.#held.delete(part);
    else this.#held.set(part, now);
  }

  lost(): void {
    // What was leased was heard of by nobody; what is on disk is looked at with the next commit.
  }

  #isOver({ lease, until, shard }: ProbeLease): boolean {
    return until <= this.#wroteAt || this.#ended.has(lease) || this.#unreached.has(shard);
  }
}
