import { readFileSync } from "node:fs";
import { makeTaskId } from "../../src/core/id.ts";
import type { CallResult, Grant, NewTask, QueueConfig, SettleAnswer, SettleMessage } from "../../src/core/messages.ts";
import { migrate } from "../../src/core/migrate.ts";
import type { TaskCall } from "../../src/core/task.ts";
import { QueueSettings, type QueueSettingsInput } from "../../src/schema/queue.ts";
import { Shard } from "../../src/shard/shard.ts";
import { type MemorySql, memorySql } from "./sqlite.ts";

export const SHARD_SQL = readFileSync(new URL("../../migrations/shard/0001_init.sql", import.meta.url), "utf8");
export const START = Date.parse("2026-11-23T10:00:00Z");

/** A shard on a real SQLite, with a clock, an alarm and runners that the test holds in its hands. */
export class ShardWorld {
  now = START;
  /** When the alarm is armed for; null: it is not. */
  alarmAt: number | null = null;
  alarmsSet = 0;
  /** Grants handed to Runner objects and not yet settled, oldest first. */
  handed: { runner: number; grant: Grant }[] = [];
  /** What a Runner answers; by default it starts everything. */
  onRun: (grants: Grant[]) => number | Error = (grants) => grants.length;
  lines: Record<string, unknown>[] = [];
  config: QueueConfig;
  storage: MemorySql = memorySql();
  shard: Shard;
  #made = 0;
  #background: Promise<unknown>[] = [];

  constructor(settings: QueueSettingsInput = {}, overrides: Partial<QueueConfig> = {}) {
    const { shards = 1, ...rest } = QueueSettings.parse({ shards: 1, ...settings });
    this.config = {
      name: "default",
      ref: 1,
      shards,
      version: 1,
      paused: false,
      settings: rest,
      secrets: ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
      previousSecretUntil: null,
      createdAt: START,
      updatedAt: START,
      ...overrides,
    };
    this.shard = this.#start();
  }

  /** Loses the object's memory, as an eviction or a crash between two commits does. */
  restart(): void {
    this.shard = this.#start();
  }

  /** A task with only what matters to the test. */
  task(overrides: Partial<Omit<NewTask, "call">> & { call?: Partial<TaskCall> } = {}): NewTask {
    const { call, ...rest } = overrides;
    const url = call?.url ?? "https://api.example.com/charge";
    return {
      id: makeTaskId({ createdAt: this.now, shard: 0, queueRef: 1 }, () => (this.#made++ % 997) / 1_000),
      target: new URL(url).origin,
      priority: 5,
      delayMs: 0,
      runAt: null,
      idempotencyKey: null,
      requestHash: null,
      edge: true,
      ...rest,
      call: {
        url,
        method: "POST",
        headers: {},
        body: null,
        bodyEncoding: "utf8",
        timeoutMs: null,
        maxRedirects: 0,
        retry: null,
        labels: [],
        metadata: {},
        idempotencyKey: null,
        traceparent: null,
        ...call,
      },
    };
  }

  /** Submits one task; throws where it is refused. */
  async submit(task: NewTask): Promise<{ id: string; grant: Grant | null }> {
    const [result] = await this.shard.submit({ queueVersion: this.config.version, tasks: [task] });
    if (result === undefined || !result.ok) throw new Error(`refused: ${JSON.stringify(result)}`);
    await this.settled();
    return { id: result.task.id, grant: result.grant };
  }

  async settle(grant: Grant, result: Partial<CallResult> = {}, more: Partial<SettleMessage> = {}): Promise<SettleAnswer> {
    this.handed = this.handed.filter(({ grant: other }) => other.id !== grant.id || other.lease !== grant.lease);
    const { kind, id, round, lease } = grant;
    const message = { kind, id, round, lease, result: answer(result), edgeElapsedMs: null, want: 0, ...more };
    const settleAnswer = await this.shard.settle(message);
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
    await this.shard.alarm();
    await this.settled();
  }

  /** Takes the oldest grant that a Runner has. */
  nextHanded(): Grant {
    const first = this.handed[0];
    if (first === undefined) throw new Error("no grant was handed to a runner");
    return first.grant;
  }

  async view(id: string) {
    const result = await this.shard.get(id);
    if (!result.ok) throw new Error(`refused: ${JSON.stringify(result)}`);
    return result.task;
  }

  /** Waits until hand-overs and what follows from them are done. */
  async settled(): Promise<void> {
    while (this.#background.length > 0) await Promise.all(this.#background.splice(0));
  }

  #start(): Shard {
    const { sql, transaction } = this.storage;
    migrate(sql, (run) => transaction(run), [{ name: "0001_init", sql: SHARD_SQL }], this.now);
    return new Shard("q1-0", {
      sql,
      transaction,
      now: () => this.now,
      random: () => 0.5,
      wait: () => Promise.resolve(),
      setAlarm: (at) => {
        this.alarmsSet++;
        this.alarmAt = at;
      },
      keepAlive: (promise) => this.#background.push(promise),
      runner: (runner) => ({ run: async ({ grants }) => this.#run(runner, grants) }),
      catalog: () => ({ queueByRef: async () => this.config }),
      log: (line) => this.lines.push(line),
      deleteAll: async () => undefined,
    });
  }

  #run(runner: number, grants: Grant[]): { started: number } {
    const started = this.onRun(grants);
    if (started instanceof Error) throw started;
    this.handed.push(...grants.slice(0, started).map((grant) => ({ runner, grant })));
    return { started };
  }
}

/** What came of a call, 200 unless the test says otherwise. */
export function answer(result: Partial<CallResult> = {}): CallResult {
  return {
    status: 200,
    headers: {},
    body: "",
    bodyEncoding: "utf8",
    truncated: false,
    durationMs: 5,
    error: null,
    ...result,
  };
}
