import { isOwn, keyOfBreaker } from "../../../src/breaker/breaker-key.ts";
import { SharedBreaker } from "../../../src/breaker/shared-breaker.ts";
import type { Breaker } from "../../../src/core/breaker/breaker.ts";
import type { CallResult } from "../../../src/core/call/call.ts";
import type { NewTask } from "../../../src/core/task/new-task.ts";
import type { BreakerSync, ToldBreaker } from "../../../src/protocol/breaker-api.ts";
import type { Grant } from "../../../src/protocol/grant.ts";
import type { QueueConfig } from "../../../src/protocol/queue-config.ts";
import type { QueueSettingsInput } from "../../../src/schema/queue.ts";
import { migrationsIn } from "../migrations.ts";
import { ShardWorld, START } from "./shard-world.ts";
import { memorySql } from "./sqlite.ts";

const SCHEMA = migrationsIn("breaker")
  .map(({ sql }) => sql)
  .join("\n");

/** What can be lost between a shard and a Breaker object: its message, the answer to it, or a push. */
export type Lost = "sync" | "answer" | "push";

/** One call that a runner or an edge Worker made to a target. */
export interface Call {
  shard: string;
  grant: Grant;
  /** The origin that was called. */
  to: string;
  startedAt: number;
  endedAt: number;
  status: number;
  /** It is the probe of a half-open breaker. */
  isProbe: boolean;
}

interface Hosted {
  breaker: SharedBreaker;
  alarmAt: number | null;
}

const UNREACHED: Partial<CallResult> = {
  status: 0,
  error: { name: "Error", message: "connect ECONNREFUSED 192.0.2.1:443" },
};

/** Several shards, the real Breaker objects of their targets, the targets themselves, and one clock for all. */
export class BreakerHost {
  readonly clock = { now: START };
  readonly shards: ShardWorld[] = [];
  readonly calls: Call[] = [];
  /** Origins that cannot be connected to. */
  readonly down = new Set<string>();
  /** What a target answers, beside how long that takes; by default 200, or no connection where it is down. */
  answer: (grant: Grant, to: string) => Partial<CallResult> = (_, to) => (this.down.has(to) ? UNREACHED : {});
  latencyMs = 20;
  /** Chance of the Breaker objects, numbers in [0, 1): how much longer than half of its time one stays open. */
  random: () => number = () => 0.5;
  /** True where a message is lost. */
  loses: (what: Lost, key: string) => boolean = () => false;
  readonly pushes: { shard: string; key: string; breaker: Breaker }[] = [];
  readonly #breakers = new Map<string, Hosted>();
  #underWay: { world: ShardWorld; call: Call; result: Partial<CallResult> }[] = [];
  #background: Promise<unknown>[] = [];

  /** Adds a shard `q<ref>-<n>`; the settings are those of its queue. */
  add(name: string, settings: QueueSettingsInput = {}, overrides: Partial<QueueConfig> = {}): ShardWorld {
    const ref = Number(/^q(\d+)-/.exec(name)?.[1]);
    const config = { name: `queue-${ref}`, ref, ...overrides };
    const protection = { breaker: {}, retry_budget: {}, adaptive_concurrency: true };
    const world = new ShardWorld({ ...protection, ...settings }, config, { name, clock: this.clock });
    world.onBreaker = (message, breaker) => this.#sync(breaker, message);
    world.onMayTellStalled = async (first) => this.#shard(first).shard.mayTellStalled();
    this.shards.push(world);
    return world;
  }

  get now(): number {
    return this.clock.now;
  }

  /** The view of a Breaker object; throws where nobody has told it anything. */
  view(name: string, queueRefs?: number[]): ToldBreaker {
    const view = this.#hosted(name).breaker.view(queueRefs);
    if (view === null) throw new Error(`nobody has told the breaker of ${name} anything`);
    return view;
  }

  async isolate(name: string, reason = "an operator said so"): Promise<void> {
    this.#hosted(name).breaker.isolate(reason, "key-1");
    for (const { shard } of this.shards) await shard.askBreaker(keyOfBreaker(name));
    await this.settled();
  }

  async reset(name: string): Promise<void> {
    this.#hosted(name).breaker.reset("an operator said so", "key-1");
    await this.settled();
  }

  /** Submits tasks for an origin to a shard; what it may call at once is called. Returns their ids. */
  async submit(world: ShardWorld, host: string, count = 1, edge = false): Promise<string[]> {
    return this.submitTasks(
      world,
      Array.from({ length: count }, () => world.taskTo(host, { edge })),
    );
  }

  /** As `submit`, for tasks that the test made. */
  async submitTasks(world: ShardWorld, tasks: NewTask[]): Promise<string[]> {
    const ids: string[] = [];
    for (const result of await world.submitAll(tasks)) {
      if (!result.ok) throw new Error(result.detail);
      ids.push(result.task.id);
      if (result.grant !== null) this.#begin(world, result.grant);
    }
    await this.settled();
    return ids;
  }

  /** Moves the clock: alarms run, calls end, each at its time. */
  async run(byMs: number): Promise<void> {
    const until = this.now + byMs;
    let sameInstant = 0;
    await this.settled();
    for (let next = this.#next(); next !== null && next.at <= until; next = this.#next()) {
      sameInstant = next.at <= this.now ? sameInstant + 1 : 0;
      if (sameInstant > 20_000) throw new Error("time stands still");
      this.clock.now = Math.max(this.now, next.at);
      await next.run();
      await this.settled();
    }
    this.clock.now = until;
  }

  /** Moves the clock until something holds; throws where it does not within the time. Returns how long it took. */
  async runUntil(holds: () => boolean | Promise<boolean>, withinMs: number, stepMs = 250): Promise<number> {
    const from = this.now;
    while (!(await holds())) {
      if (this.now - from >= withinMs) throw new Error(`does not hold within ${withinMs} ms`);
      await this.run(stepMs);
    }
    return this.now - from;
  }

  /** Waits until hand-overs, messages and what follows from them are done, and begins the calls that were granted. */
  async settled(): Promise<void> {
    do {
      await Promise.all(this.#background.splice(0));
      for (const world of this.shards) {
        await world.settled();
        for (const { grant } of world.handed.splice(0)) this.#begin(world, grant);
      }
    } while (this.#background.length > 0 || this.shards.some(({ isBusy }) => isBusy));
  }

  /** Forgets the calls that a shard's runners have under way: they died. */
  kill(world: ShardWorld): void {
    this.#underWay = this.#underWay.filter((one) => one.world !== world);
  }

  /** Calls to an origin since an instant. */
  callsTo(to: string, since = 0): Call[] {
    return this.calls.filter((call) => call.to === to && call.startedAt >= since);
  }

  #begin(world: ShardWorld, grant: Grant): void {
    const to = new URL(grant.request.url).origin;
    const { status = 200, ...rest } = this.answer(grant, to);
    const durationMs = rest.durationMs ?? this.latencyMs;
    const flight = world.shard.ctx.flights.get(grant.id);
    const call: Call = {
      shard: world.name,
      grant,
      to,
      startedAt: this.now,
      endedAt: this.now + durationMs,
      status,
      isProbe: flight !== undefined && flight.probe !== null,
    };
    this.calls.push(call);
    this.#underWay.push({ world, call, result: { ...rest, status, durationMs } });
  }

  #next(): { at: number; run: () => Promise<void> | void } | null {
    const events = [
      ...this.shards.map((world) => ({ at: world.alarmAt, run: () => world.alarm() })),
      ...[...this.#breakers.values()].map((hosted) => ({ at: hosted.alarmAt, run: () => ring(hosted) })),
      ...this.#underWay.map((one) => ({ at: one.call.endedAt, run: () => this.#end(one) })),
    ];
    let first: { at: number; run: () => Promise<void> | void } | null = null;
    for (const { at, run } of events) {
      if (at !== null && (first === null || at < first.at)) first = { at, run };
    }
    return first;
  }

  async #end(one: { world: ShardWorld; call: Call; result: Partial<CallResult> }): Promise<void> {
    this.#underWay = this.#underWay.filter((other) => other !== one);
    const { callback } = await one.world.settle(one.call.grant, one.result, { want: 0 });
    if (callback !== null) this.#begin(one.world, callback);
  }

  async #sync(name: string, message: BreakerSync): Promise<Breaker> {
    const key = keyOfBreaker(name);
    if (this.loses("sync", key)) throw new Error("Network connection lost.");
    const hosted = this.#hosted(name);
    const answer = hosted.breaker.sync(structuredClone(message));
    if (this.loses("answer", key)) throw new Error("Network connection lost.");
    return structuredClone(answer);
  }

  #hosted(name: string): Hosted {
    const known = this.#breakers.get(name);
    if (known !== undefined) return known;
    const memory = memorySql();
    memory.sql.exec(SCHEMA);
    const hosted: Hosted = { alarmAt: null, breaker: this.#breaker(name, memory) };
    this.#breakers.set(name, hosted);
    return hosted;
  }

  #shard(name: string): ShardWorld {
    const world = this.shards.find((one) => one.name === name);
    if (world === undefined) throw new Error("Network connection lost.");
    return world;
  }

  #breaker(name: string, { sql, transaction }: ReturnType<typeof memorySql>): SharedBreaker {
    return new SharedBreaker(keyOfBreaker(name), isOwn(name), {
      sql,
      transaction,
      now: () => this.now,
      random: () => this.random(),
      setAlarm: (at) => {
        this.#hosted(name).alarmAt = at;
      },
      keepAlive: (promise) => this.#background.push(promise),
      shard: (shard) => ({
        breakerChanged: async (key, breaker, announce) => {
          this.pushes.push({ shard, key, breaker });
          if (this.loses("push", key)) throw new Error("Network connection lost.");
          await this.#shard(shard).shard.breakerChanged(key, structuredClone(breaker), announce);
        },
      }),
      log: () => undefined,
    });
  }
}

function ring(hosted: Hosted): void {
  hosted.alarmAt = null;
  hosted.breaker.alarm();
}
