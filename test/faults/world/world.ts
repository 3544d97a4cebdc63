import { keyOfBreaker } from "../../../src/breaker/breaker-key.ts";
import type { SharedBreaker } from "../../../src/breaker/shared-breaker.ts";
import type { Breaker, BreakerAudit } from "../../../src/core/breaker/breaker.ts";
import type { BreakerSync } from "../../../src/protocol/breaker-api.ts";
import type { RunMessage, SettleAnswer, SettleMessage } from "../../../src/protocol/grant.ts";
import { breakerName, shardName } from "../../../src/protocol/names.ts";
import type { QueueConfig } from "../../../src/protocol/queue-config.ts";
import type { Shard } from "../../../src/shard/shard.ts";
import { History } from "../history.ts";
import { Ledger } from "../ledger.ts";
import { breakerHost, SimRunner, shardHost } from "./actors.ts";
import { Host, type HostedObject, type Life, type Surroundings } from "./host.ts";
import { Network } from "./network.ts";
import { QUEUES, type Queue } from "./queues.ts";
import { Chance } from "./random.ts";
import { Targets } from "./targets.ts";
import { SimTime } from "./time.ts";
import { CALM, type Weather } from "./weather.ts";

/** The instant at which every run begins. */
export const START = Date.parse("2026-11-23T10:00:00Z");

/** Of so many seeds one has shards that make their short calls themselves. */
const CALLS_IN_SHARDS_EVERY = 3;

/** Of so many seeds one has a queue that makes its calls fail, beside the others. */
const HOSTILE_EVERY = 2;
/** Of so many seeds one has queues that trust each other. */
const TRUSTING_EVERY = 5;

/** Events of one millisecond; more are a loop. */
const MOST_AT_ONCE = 50_000;

/** Everything that there is: objects, the network between them, targets, and who watches. */
export class World implements Surroundings {
  readonly time = new SimTime(START);
  readonly history = new History(START);
  readonly chance: Chance;
  /** Shards make their short calls themselves, as on plain workerd; else edges and Runner objects make all, as on Cloudflare. */
  readonly callsInShards: boolean;
  weather: Weather = CALM;
  readonly targets: Targets;
  readonly ledger: Ledger;
  readonly queues: Queue[];
  readonly shards = new Map<string, Host<Shard>>();
  readonly breakers = new Map<string, Host<SharedBreaker>>();
  /** When an operator heard last that a Breaker object is reset, by its name. */
  readonly resetAt = new Map<string, number>();
  readonly #runners = new Map<string, Host<SimRunner>>();
  readonly #catalog: Host<{ queueByRef(ref: number): QueueConfig | null }>;
  readonly #network: Network;
  readonly #touched = new Set<HostedObject>();
  #edges = 0;
  #sameInstant = 0;

  constructor(seed: number) {
    this.chance = new Chance(seed);
    this.callsInShards = seed % CALLS_IN_SHARDS_EVERY === 0;
    this.targets = new Targets(this);
    this.#network = new Network(this);
    this.queues = QUEUES({
      hostile: seed % HOSTILE_EVERY === 0,
      trusting: seed % TRUSTING_EVERY === 0,
    });
    this.ledger = new Ledger(this);
    this.#catalog = new Host("catalog", this, {
      storage: null,
      alarm: () => undefined,
      watcher: null,
      start: () => ({
        queueByRef: (ref) => this.queues.find(({ config }) => config.ref === ref)?.config ?? null,
      }),
    });
    for (const { config } of this.queues)
      for (let i = 0; i < config.shards; i++) {
        const name = `q${config.ref}-${i}`;
        this.shards.set(name, shardHost(this, this.ledger, name));
      }
    const { answers } = this.ledger;
    this.targets.onCalled = (attempt) => answers.called(attempt);
    this.targets.onAnswered = (attempt, status) => answers.answered(attempt, status);
    this.targets.onDelivered = (messageId, body) => this.ledger.delivered(messageId, body);
  }

  /** Whether a shard that starts now makes its short calls itself: one in ten has another setting, or is of an older release. */
  drawCallsInShard(): boolean {
    return this.callsInShards && this.chance.is(0.9);
  }

  /** The most that a task says for its timeout: some are too long for a shard's object. */
  get longestTimeoutMs(): number {
    return this.callsInShards ? 45_000 : 25_000;
  }

  /** Runs one event, then ends the turn of each object that did something. False: nothing is left to happen. */
  async step(): Promise<boolean> {
    const { now } = this.time;
    const ran = await this.time.step();
    this.#sameInstant = now === this.time.now ? this.#sameInstant + 1 : 0;
    if (this.#sameInstant > MOST_AT_ONCE)
      this.ledger.violate("time goes on", "too much happens at one instant");
    for (const host of this.#touched) host.endTurn();
    this.#touched.clear();
    this.ledger.raise();
    return ran;
  }

  note(where: string, what: string): void {
    this.history.note(this.time.now, where, what);
  }

  touched(host: HostedObject): void {
    this.#touched.add(host);
  }

  /** A life may end between two events: one of them, by chance. */
  endSomebody(): void {
    const all = [...this.shards.values(), ...this.breakers.values(), ...this.#runners.values()];
    const host = this.chance.pick<Host<unknown>>(all);
    if (!host.mustLive) host.end(this.chance.is(0.3) ? "a deploy" : "evicted");
  }

  /** Everything restarts, as on a deploy. */
  deploy(): void {
    this.note("platform", "a deploy");
    for (const host of [...this.shards.values(), ...this.breakers.values(), ...this.#runners.values()])
      if (!host.mustLive) host.end("a deploy");
  }

  /** The invocation of a Worker, on a clock of its own. */
  edge(): Life {
    const skewMs = this.chance.between(-2_000, 2_000);
    const life: Life = {
      name: `edge-${++this.#edges}`,
      alive: true,
      now: () => this.time.now + skewMs,
      send: (message) => {
        if (life.alive) message();
      },
    };
    return life;
  }

  shard(name: string): Host<Shard> {
    const host = this.shards.get(name);
    if (host === undefined) throw new Error(`there is no shard ${name}`);
    return host;
  }

  breaker(name: string): Host<SharedBreaker> {
    const known = this.breakers.get(name);
    if (known !== undefined) return known;
    const host = breakerHost(this, this.ledger, name);
    this.breakers.set(name, host);
    return host;
  }

  /** Resolves after so long, unless whoever waits has ended. */
  wait(life: Life, ms: number): Promise<void> {
    return new Promise((resolve) =>
      this.time.after(ms, () => {
        if (life.alive) resolve();
      }),
    );
  }

  keepAlive(life: Life, promise: Promise<unknown>): void {
    promise.catch((error) => this.note(life.name, `what it did beside failed: ${String(error)}`));
  }

  callShard<A>(from: Life, name: string, what: string, run: (shard: Shard) => Promise<A>): Promise<A> {
    return this.#network.call(from, this.shard(name), what, null, run);
  }

  async settle(from: Life, name: string, message: SettleMessage): Promise<SettleAnswer> {
    const { kind, id, round, lease } = message;
    const what = `settle ${kind} ${id}, round ${round}, lease ${lease}: ${message.result.status}`;
    return this.#network.call(from, this.shard(name), what, this.#aged(message), (shard, message) => {
      this.ledger.settling(message);
      return shard.settle(message);
    });
  }

  async settleAll(from: Life, name: string, messages: SettleMessage[]): Promise<(SettleAnswer | null)[]> {
    const what = `settle ${messages.map(({ kind, id, lease }) => `${kind} ${id}, lease ${lease}`).join("; ")}`;
    const aged = messages.map((message) => this.#aged(message));
    return this.#network.call(from, this.shard(name), what, aged, (shard, messages) => {
      for (const message of messages) this.ledger.settling(message);
      return shard.settleAll(messages);
    });
  }

  run(from: Life, name: string, message: RunMessage) {
    const what = `run ${message.grants.map(({ id, lease }) => `${id}, lease ${lease}`).join("; ")}`;
    return this.#network.call(from, this.#runner(name), what, message, (runner, message) =>
      runner.run(message),
    );
  }

  queueByRef(from: Life, ref: number): Promise<QueueConfig | null> {
    return this.#network.call(from, this.#catalog, "queueByRef", ref, async (catalog, ref) =>
      catalog.queueByRef(ref),
    );
  }

  async sync(from: Life, name: string, message: BreakerSync): Promise<Breaker> {
    const host = this.breaker(name);
    const sends = message.report !== null ? ", a report" : "";
    const answer = await this.#network.call(from, host, `sync${sends}`, message, async (breaker, message) => {
      this.ledger.probes.get(name)?.heard(message);
      const told =
        this.ledger.parts.get(name)?.synced(breaker, message, () => breaker.sync(message)) ??
        breaker.sync(message);
      this.ledger.ends.check(name, breaker.view());
      return told;
    });
    this.ledger.breakers.answered(from.name, message.key, answer);
    return answer;
  }

  push(from: Life, shard: string, message: { key: string; breaker: Breaker; announce: BreakerAudit | null }) {
    const what = `told that ${message.key} is ${message.breaker.state}`;
    return this.#network.call(from, this.shard(shard), what, message, (inner, { key, breaker, announce }) => {
      this.ledger.breakers.arrived(shard, key, breaker);
      return inner.breakerChanged(key, breaker, announce);
    });
  }

  /** A call of an operator to a Breaker object. */
  async operateBreaker(from: Life, name: string, what: "isolate" | "reset"): Promise<void> {
    await this.#network.call(from, this.breaker(name), what, null, async (breaker) => {
      this.ledger.parts.get(name)?.operated();
      if (what === "reset")
        for (const rows of this.ledger.rows.values()) rows.noteReleased(keyOfBreaker(name));
      return breaker[what]("an operator said so", "key-1");
    });
    if (what === "reset") this.resetAt.set(name, this.time.now);
  }

  /** As the API does after a reset, or where no Breaker object has heard of the target: it asks every shard. */
  async releaseInShards(from: Life, name: string): Promise<void> {
    const key = keyOfBreaker(name);
    for (const { config } of this.queues) {
      if (breakerName(key, config.settings.breaker.share, config.ref) !== name) continue;
      for (let i = 0; i < config.shards; i++) await this.#release(from, shardName(config.ref, i), key);
    }
  }

  async #release(from: Life, shard: string, key: string): Promise<void> {
    const releasing = this.callShard(from, shard, `release ${key}`, async (inner) => {
      this.ledger.rows.get(shard)?.noteReleased(key);
      return inner.hold(key, true);
    });
    // One that gives no answer hears of it when it asks the Breaker object next.
    await releasing.catch(() => undefined);
  }

  #runner(name: string): Host<SimRunner> {
    const known = this.#runners.get(name);
    if (known !== undefined) return known;
    const host = new Host<SimRunner>(name, this, {
      storage: null,
      alarm: () => undefined,
      watcher: null,
      start: (life) => new SimRunner(life, this, this.ledger),
    });
    this.#runners.set(name, host);
    return host;
  }

  /** Some messages are of another release: without what is optional, with what is not known here. */
  #aged(message: SettleMessage): SettleMessage {
    if (!this.chance.is(0.05)) return message;
    const { want: _, ...older } = message;
    return { ...older, of_another_release: true } as unknown as SettleMessage;
  }
}
