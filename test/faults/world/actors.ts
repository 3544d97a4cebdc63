import { isOwn, keyOfBreaker } from "../../../src/breaker/breaker-key.ts";
import { SharedBreaker } from "../../../src/breaker/shared-breaker.ts";
import { DEFAULT_EVIDENCE_FLOOR_MS } from "../../../src/core/breaker/policy.ts";
import { migrate } from "../../../src/platform/migrate.ts";
import type { Grant, RunAnswer, RunMessage, SettleAnswer } from "../../../src/protocol/grant.ts";
import { type RunPorts, runChain } from "../../../src/runner/run-grant.ts";
import { SettleBatch } from "../../../src/runner/settle-batch.ts";
import { MINUTE_MS } from "../../../src/schema/limits.ts";
import { Shard } from "../../../src/shard/shard.ts";
import type { ShardPorts } from "../../../src/shard/state/ports.ts";
import { migrationsIn } from "../../support/migrations.ts";
import { SHARD_MIGRATIONS } from "../../support/shard/shard-world.ts";
import { BreakerParts } from "../breaker-parts.ts";
import type { Ledger } from "../ledger.ts";
import { ProbeLeases } from "../probe-leases.ts";
import { callPorts } from "./call-ports.ts";
import { SimCallingShard } from "./calling-shard.ts";
import { Host, type Life } from "./host.ts";
import { REPEATED } from "./network.ts";
import { SimStorage } from "./storage.ts";
import type { World } from "./world.ts";

const BREAKER_MIGRATIONS = migrationsIn("breaker");
/** As in src/runner/runner.ts. */
const ROOM = 6;
const CHAIN_MS = MINUTE_MS;

/** A shard's object. Its tables are those of the first release: it is upgraded when it starts. */
export function shardHost(world: World, ledger: Ledger, name: string): Host<Shard> {
  const storage = new SimStorage();
  storage.install((sql, transaction) => migrate(sql, transaction, SHARD_MIGRATIONS.slice(0, 1), 0));
  storage.watchTasks();
  const watcher = ledger.shardWatcher(name, storage, () => host.inner?.ctx.own.config ?? null);
  const host: Host<Shard> = new Host<Shard>(name, world, {
    storage,
    alarm: (shard) => shard.alarm(),
    watcher,
    start: (life) => {
      const { sql, transaction } = storage.of(life);
      migrate(sql, transaction, SHARD_MIGRATIONS, life.now());
      const ports: ShardPorts = {
        sql,
        transaction,
        now: () => life.now(),
        random: world.chance.next,
        evidenceFloorMs: DEFAULT_EVIDENCE_FLOOR_MS,
        wait: (ms) => world.wait(life, ms),
        setAlarm: (at) => host.setAlarm(at),
        keepAlive: (promise) => world.keepAlive(life, promise),
        runner: (index) => ({ run: (message) => world.run(life, `${name}/runner-${index}`, message) }),
        catalog: () => ({ queueByRef: (ref) => world.queueByRef(life, ref) }),
        breaker: (key) => ({
          sync: (message) => world.sync(life, key, message),
          view: () => Promise.reject(new Error("not asked by shards")),
          isolate: () => Promise.reject(new Error("not asked by shards")),
          reset: () => Promise.reject(new Error("not asked by shards")),
        }),
        shard: () => ({
          mayTellStalled: () => Promise.reject(new Error("no other shard is asked")),
          wake: () => Promise.reject(new Error("no places are shared")),
        }),
        log: (line) => ledger.logged(name, line),
        deleteAll: () => Promise.reject(new Error("no queue is deleted")),
      };
      if (!world.drawCallsInShard()) return new Shard(name, ports);
      world.note(name, "starts, and makes its short calls itself");
      return new SimCallingShard(name, ports, life, world, ledger);
    },
  });
  return host;
}

/** A target's Breaker object. */
export function breakerHost(world: World, ledger: Ledger, name: string): Host<SharedBreaker> {
  const storage = new SimStorage();
  const probes = new ProbeLeases(name, storage, ledger);
  ledger.probes.set(name, probes);
  const parts = new BreakerParts(name, ledger);
  ledger.parts.set(name, parts);
  const host: Host<SharedBreaker> = new Host<SharedBreaker>(name, world, {
    storage,
    alarm: (breaker) => breaker.alarm(),
    watcher: probes,
    start: (life) => {
      const { sql, transaction } = storage.of(life);
      migrate(sql, transaction, BREAKER_MIGRATIONS, life.now());
      return new SharedBreaker(keyOfBreaker(name), isOwn(name), {
        sql,
        transaction,
        now: () => life.now(),
        random: world.chance.next,
        setAlarm: (at) => host.setAlarm(at),
        keepAlive: (promise) => world.keepAlive(life, promise),
        shard: (shard) => ({
          breakerChanged: async (key, breaker, announce) => {
            try {
              await world.push(life, shard, { key, breaker, announce });
            } catch (error) {
              probes.notTold(shard);
              parts.notTold(shard);
              throw error;
            }
            ledger.breakers.pushed(shard, key, breaker);
          },
        }),
        log: (line) => ledger.logged(name, line),
      });
    },
  });
  return host;
}

/** As the class of src/runner/runner.ts, on the simulated platform. */
export class SimRunner {
  readonly #life: Life;
  readonly #world: World;
  readonly #ledger: Ledger;
  readonly #batch: SettleBatch;
  #inFlight = 0;

  constructor(life: Life, world: World, ledger: Ledger) {
    this.#life = life;
    this.#world = world;
    this.#ledger = ledger;
    this.#batch = new SettleBatch({
      shard: (name) => ({
        settle: (message) => world.settle(life, name, message),
        settleAll: (messages) => world.settleAll(life, name, messages),
      }),
      wait: (ms) => world.wait(life, ms),
      inFlight: () => this.#inFlight,
    });
  }

  async run(message: RunMessage): Promise<RunAnswer> {
    const chainUntil = this.#life.now() + CHAIN_MS;
    const ports: RunPorts = {
      ...callPorts(this.#world, this.#life),
      want: () => (this.#life.now() < chainUntil ? 1 : 0),
      shard: (name) => this.#taking(this.#batch.shard(name)),
    };
    const grants = message.grants.slice(0, ROOM - this.#inFlight);
    this.#inFlight += grants.length;
    for (const grant of grants) {
      // Done twice, a hand-over may begin what its first copy was refused for; its settle is stale then.
      if (!(REPEATED in message)) this.#ledger.started(grant);
      void this.#runSlot(grant, ports);
    }
    return { started: grants.length };
  }

  /** Notes the grants that answers bring: each is started at once. */
  #taking(shard: Pick<RunPortsShard, "settle">): Pick<RunPortsShard, "settle"> {
    return {
      settle: async (message) => takenWith(this.#ledger, await shard.settle(message)),
    };
  }

  async #runSlot(grant: Grant, ports: RunPorts): Promise<void> {
    await runChain(grant, ports);
    this.#inFlight -= 1;
  }
}

type RunPortsShard = ReturnType<RunPorts["shard"]>;

/** Notes the grants of a settle's answer as started. */
export function takenWith(ledger: Ledger, answer: SettleAnswer): SettleAnswer {
  if (answer.callback !== null) ledger.started(answer.callback);
  for (const grant of answer.next) ledger.started(grant);
  return answer;
}
