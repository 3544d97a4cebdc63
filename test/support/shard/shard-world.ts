import type { Breaker } from "../../../src/core/breaker/breaker.ts";
import type { CallResult } from "../../../src/core/call/call.ts";
import { LONGEST_LIST_MS } from "../../../src/core/pressure/page-work.ts";
import type { NewTask } from "../../../src/core/task/new-task.ts";
import { UnderWay } from "../../../src/core/under-way.ts";
import { migrate } from "../../../src/platform/migrate.ts";
import type { SqlRow, SqlValue } from "../../../src/platform/sql-port.ts";
import type { BreakerSync } from "../../../src/protocol/breaker-api.ts";
import type { Grant, SettleAnswer, SettleMessage } from "../../../src/protocol/grant.ts";
import type { QueueConfig } from "../../../src/protocol/queue-config.ts";
import type { OperateAction, SubmitResult } from "../../../src/protocol/shard-api.ts";
import type { QueueSettingsInput } from "../../../src/schema/queue.ts";
import type { Places } from "../../../src/shard/bounds/places.ts";
import { Shard } from "../../../src/shard/shard.ts";
import { migrationsIn } from "../migrations.ts";
import { buildConfig, buildNewTask, settleMessage, type TaskOverrides } from "./shard-messages.ts";
import { type MemorySql, memorySql } from "./sqlite.ts";

/** A shard's migrations, the oldest first. */
export const SHARD_MIGRATIONS = migrationsIn("shard");
/** What tests of other things leave out: a target that fails is called as often as its tasks say. */
const NO_PROTECTION = {
  breaker: { enabled: false },
  retry_budget: { enabled: false },
  adaptive_concurrency: false,
};
export const START = Date.parse("2026-11-23T10:00:00Z");

/** A shard on a real SQLite, with a clock, an alarm and runners that the test holds in its hands. */
export class ShardWorld {
  readonly name: string;
  readonly #clock: { now: number };
  /** When the alarm is armed for; null: it is not. */
  alarmAt: number | null = null;
  alarmsSet = 0;
  alarmsRun = 0;
  /** Grants handed to Runner objects and not yet settled, oldest first. */
  handed: { runner: number; grant: Grant }[] = [];
  /** What a Runner answers: how many of the grants it starts, or what it throws. By default it starts all. */
  onRun: (grants: Grant[], runner: number) => number | Error = (grants) => grants.length;
  /** What the catalog answers; by default the settings as they are. */
  onCatalog: () => QueueConfig | null = () => this.config;
  /** What a Breaker object answers a shard; by default it cannot be reached. */
  onBreaker: (message: BreakerSync, name: string) => Breaker | Promise<Breaker> = () => {
    throw new Error("no breaker can be reached");
  };
  /** What the queue's first shard answers to one that asks whether to tell that the queue is stalled; by default it is away. */
  onMayTellStalled: (name: string) => Promise<boolean> = async () => {
    throw new Error("no other shard can be reached");
  };
  /** What a wait of the shard is; by default no time passes in it. */
  onWait: (ms: number) => Promise<void> = () => Promise.resolve();
  /** The lists under way in its process. */
  lists = new UnderWay(LONGEST_LIST_MS);
  /** A shard that waits for a place is woken; by default it is away. */
  onWake: (name: string) => Promise<void> = async () => {
    throw new Error("no other shard can be reached");
  };
  /** The places for calls that the shards of one process share; null: nothing bounds them. From the next start on. */
  places: Places | null = null;
  /** Messages that the shard sent to Breaker objects, lost ones too. */
  syncs: BreakerSync[] = [];
  /** Throws, to make the storage fail to take an alarm. */
  onSetAlarm: () => void = () => undefined;
  /** Throws, to make a statement fail. */
  onSql: (query: string, bindings: SqlValue[]) => void = () => undefined;
  random: () => number = () => 0.5;
  lines: Record<string, unknown>[] = [];
  config: QueueConfig;
  storage: MemorySql = memorySql();
  shard: Shard;
  #background: Promise<unknown>[] = [];

  /** `of`: the shard's name and its clock, where it is one of several. */
  constructor(
    settings: QueueSettingsInput = {},
    overrides: Partial<QueueConfig> = {},
    of: { name: string; clock: { now: number } } = { name: "q1-0", clock: { now: START } },
  ) {
    this.name = of.name;
    this.#clock = of.clock;
    this.config = buildConfig({ ...NO_PROTECTION, ...settings }, overrides);
    this.shard = this.#start();
  }

  get now(): number {
    return this.#clock.now;
  }

  set now(at: number) {
    this.#clock.now = at;
  }

  /** Loses the object's memory, as an eviction or a crash between two commits does. */
  restart(): void {
    this.shard = this.#start();
  }

  /** Changes the queue's settings, and tells the shard. */
  async configure(overrides: Partial<QueueConfig>, settings: Partial<QueueConfig["settings"]> = {}) {
    const version = this.config.version + 1;
    const merged = { ...this.config.settings, ...settings };
    this.config = { ...this.config, version, settings: merged, ...overrides };
    await this.shard.configure(this.config);
    await this.settled();
  }

  /** A task with only what matters to the test. Ids of one millisecond are in the order in which they were made. */
  task(overrides: TaskOverrides = {}): NewTask {
    return buildNewTask(this.now, overrides);
  }

  /** A task whose target is `https://<host>.example.com`, for a runner: its submitter does not call it. */
  taskTo(host: string, overrides: TaskOverrides = {}): NewTask {
    const call = { url: `https://${host}.example.com/`, ...overrides.call };
    return this.task({ edge: false, ...overrides, call });
  }

  async submitAll(tasks: NewTask[]): Promise<SubmitResult[]> {
    const results = await this.shard.submit({ queueVersion: this.config.version, tasks });
    await this.settled();
    return results;
  }

  /** Submits one task; throws where it is refused. */
  async submit(task: NewTask): Promise<{ id: string; grant: Grant | null }> {
    const [result] = await this.submitAll([task]);
    if (result === undefined || !result.ok) throw new Error(`refused: ${JSON.stringify(result)}`);
    return { id: result.task.id, grant: result.grant };
  }

  /** Submits one task, whose submitter makes the first attempt; throws where it may not. */
  async submitGranted(overrides: TaskOverrides = {}): Promise<Grant> {
    const { grant } = await this.submit(this.task(overrides));
    if (grant === null) throw new Error("the submitter got no grant");
    return grant;
  }

  async settle(
    grant: Grant,
    result: Partial<CallResult> = {},
    more: Partial<SettleMessage> = {},
  ): Promise<SettleAnswer> {
    this.handed = this.handed.filter(
      ({ grant: other }) => other.id !== grant.id || other.lease !== grant.lease,
    );
    const settleAnswer = await this.shard.settle(settleMessage(grant, result, more));
    await this.settled();
    return settleAnswer;
  }

  /** Moves the clock, running the alarm each time it is due on the way. */
  async advance(byMs: number): Promise<void> {
    const until = this.now + byMs;
    for (let runs = 0; this.alarmAt !== null && this.alarmAt <= until; runs++) {
      if (runs > 10_000) throw new Error("the alarm runs in a loop");
      this.now = Math.max(this.now, this.alarmAt);
      await this.alarm();
    }
    this.now = until;
  }

  async alarm(): Promise<void> {
    this.alarmAt = null;
    this.alarmsRun++;
    await this.shard.alarm();
    await this.settled();
  }

  /** The oldest grant that a Runner has. */
  nextHanded(): Grant {
    const first = this.handed[0];
    if (first === undefined) throw new Error("no grant was handed to a runner");
    return first.grant;
  }

  /** Settles what Runners have with success, and what follows from it, until they have nothing. */
  async serveRunners(result: (grant: Grant) => Partial<CallResult> = () => ({})): Promise<Grant[]> {
    const served: Grant[] = [];
    for (let grant = this.handed[0]?.grant; grant !== undefined; grant = this.handed[0]?.grant) {
      for (let next: Grant | null = grant; next !== null; ) {
        served.push(next);
        next = (await this.settle(next, result(next))).callback;
      }
    }
    return served;
  }

  async view(id: string) {
    const result = await this.shard.get(id);
    if (!result.ok) throw new Error(`refused: ${JSON.stringify(result)}`);
    return result.task;
  }

  async operate(id: string, action: OperateAction, force = false) {
    const result = await this.shard.operate(id, action, force);
    await this.settled();
    return result;
  }

  async counts() {
    return (await this.shard.stats()).counts;
  }

  /** Rows straight from the storage. */
  rows(query: string, ...bindings: SqlValue[]): SqlRow[] {
    return this.storage.sql.exec(query, ...bindings).toArray();
  }

  /** Lines of the log about an event. */
  logged(event: string): Record<string, unknown>[] {
    return this.lines.filter((line) => line.event === event);
  }

  /** Waits until hand-overs and what follows from them are done. */
  async settled(): Promise<void> {
    while (this.isBusy) await Promise.all(this.#background.splice(0));
  }

  /** True while hand-overs, or what follows from them, are under way. */
  get isBusy(): boolean {
    return this.#background.length > 0;
  }

  #start(): Shard {
    const { sql, transaction } = this.storage;
    migrate(sql, (run) => transaction(run), SHARD_MIGRATIONS, this.now);
    const watched = {
      exec: (query: string, ...bindings: SqlValue[]) => {
        this.onSql(query, bindings);
        return sql.exec(query, ...bindings);
      },
    };
    return new Shard(this.name, {
      sql: watched,
      transaction,
      now: () => this.now,
      random: () => this.random(),
      evidenceFloorMs: 5_000,
      lists: this.lists,
      wait: (ms) => this.onWait(ms),
      setAlarm: (at) => this.#setAlarm(at),
      keepAlive: (promise) => this.#background.push(promise),
      runner: (runner) => ({ run: async ({ grants }) => this.#run(runner, grants) }),
      catalog: () => ({ queueByRef: async () => this.onCatalog() }),
      breaker: (name) => ({
        sync: async (message) => {
          this.syncs.push(message);
          return this.onBreaker(message, name);
        },
        view: async () => null,
        isolate: async () => Promise.reject(new Error("not asked of a shard's breaker")),
        reset: async () => Promise.reject(new Error("not asked of a shard's breaker")),
      }),
      places: this.places,
      shard: (name) => ({
        mayTellStalled: () => this.onMayTellStalled(name),
        wake: () => this.onWake(name),
      }),
      log: (line) => this.lines.push(line),
      deleteAll: async () => {
        this.storage = memorySql();
      },
    });
  }

  #setAlarm(at: number): void {
    this.onSetAlarm();
    // On the platform such an alarm may be lost for good.
    if (at <= this.now) throw new Error(`the alarm is set for ${at - this.now} ms from now`);
    this.alarmsSet++;
    this.alarmAt = at;
  }

  #run(runner: number, grants: Grant[]): { started: number } {
    const started = this.onRun(grants, runner);
    if (started instanceof Error) throw started;
    this.handed.push(...grants.slice(0, started).map((grant) => ({ runner, grant })));
    return { started };
  }
}

/** The error with which the platform refuses a call before its object sees it. */
export function overloaded(): Error {
  return Object.assign(new Error("Durable Object is overloaded. Too many requests queued."), {
    overloaded: true,
  });
}
