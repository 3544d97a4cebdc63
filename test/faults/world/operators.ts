import { callObject } from "../../../src/platform/call-object.ts";
import { breakerName, shardName } from "../../../src/protocol/names.ts";
import { HOUR_MS, MINUTE_MS } from "../../../src/schema/limits.ts";
import { LEAST_ATTEMPTS, type Queue, READY_ORIGIN } from "./queues.ts";
import type { World } from "./world.ts";

/** Those who run the deployment: queues paused and changed, targets held back and let go. */
export class Operators {
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  /** Queues go on, and nobody holds a target. */
  makeWell(): void {
    for (const queue of this.#world.queues)
      if (queue.config.paused) this.#configure(queue, { paused: false });
    for (const name of new Set([...this.#world.breakers.keys(), ...this.#polled()]))
      this.#operateBreaker(name, "reset");
  }

  /** Pauses a queue, and lets it go on later. */
  pause(): void {
    const { chance, time } = this.#world;
    const queue = chance.pick(this.#world.queues);
    this.#configure(queue, { paused: true });
    // Sometimes at once: what tells of it may come late, and in another order.
    time.after(chance.between(0, chance.is(0.4) ? 4_000 : 600_000), () =>
      this.#configure(queue, { paused: false }),
    );
  }

  /** Changes the settings of a queue. */
  change(): void {
    const { chance } = this.#world;
    const queue = chance.pick(this.#world.queues);
    const { settings } = queue.config;
    const changed = {
      ...settings,
      concurrency: chance.between(2, 12),
      timeout: chance.pick([5_000, 15_000, 25_000]),
      breaker: { ...settings.breaker, minimum: chance.between(5, 20), open: chance.pick([2_000, 10_000]) },
      retry: {
        ...settings.retry,
        max_attempts: chance.between(LEAST_ATTEMPTS, queue.mostAttempts),
        max_retry_after: chance.pick([HOUR_MS, HOUR_MS, MINUTE_MS, 0]),
      },
    };
    this.#configure(queue, { settings: changed });
  }

  /** Moves tasks of a shard from line to line. */
  rekey(): void {
    const { chance } = this.#world;
    const { config } = chance.pick(this.#world.queues);
    const message = {
      ...{ before: null, state: null, label: null, limit: chance.between(1, 200), dryRun: chance.is(0.1) },
      target: chance.pick([
        null,
        `key:${config.name}/x`,
        "https://api.example.com",
        "https://slow.example.com",
      ]),
      breakerKey: chance.pick(["x", "y", null]),
    };
    const shard = shardName(config.ref, chance.between(0, config.shards - 1));
    void this.#world
      .callShard(this.#world.edge(), shard, `rekey to ${message.breakerKey}`, (inner) => inner.rekey(message))
      .catch(() => undefined);
  }

  /** Stores new settings, and tells the shards, as the catalog does: once each. */
  #configure(queue: Queue, change: Partial<Queue["config"]>): void {
    queue.config = { ...queue.config, ...change, version: queue.config.version + 1 };
    const { config } = queue;
    this.#world.note(
      "operator",
      `${config.name}: version ${config.version}, ${config.paused ? "paused" : "goes on"}`,
    );
    for (let i = 0; i < config.shards; i++)
      void this.#world
        .callShard(this.#world.edge(), shardName(config.ref, i), `configure ${config.version}`, (shard) =>
          shard.configure(structuredClone(config)),
        )
        .catch(() => undefined);
  }

  /** Holds a target back for a while. */
  holdTarget(): void {
    const { chance, time } = this.#world;
    const names = [...this.#world.breakers.keys()];
    if (names.length === 0) return;
    const name = chance.pick(names);
    this.#operateBreaker(name, "isolate");
    time.after(chance.between(5_000, 300_000), () => this.#operateBreaker(name, "reset"));
  }

  /** Targets that may be known by polls alone, of which no Breaker object hears. */
  #polled(): string[] {
    const shares = this.#world.queues.map(
      ({ config }) => [config.settings.breaker.share, config.ref] as const,
    );
    return shares.map(([share, ref]) => breakerName(READY_ORIGIN, share, ref));
  }

  #operateBreaker(name: string, what: "isolate" | "reset"): void {
    void this.#operated(name, what).catch(() => undefined);
  }

  async #operated(name: string, what: "isolate" | "reset"): Promise<void> {
    const edge = this.#world.edge();
    if (what === "isolate" || this.#world.breakers.has(name))
      await callObject(() => this.#world.operateBreaker(edge, name, what));
    if (what === "reset") await this.#world.releaseInShards(edge, name);
  }
}
