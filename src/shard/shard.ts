import type {
  CatalogPort,
  ListAnswer,
  ListMessage,
  OperateAction,
  QueueConfig,
  Refusal,
  RunnerPort,
  SettleAnswer,
  SettleMessage,
  ShardApi,
  ShardStats,
  SubmitMessage,
  SubmitResult,
  TaskAnswer,
} from "../core/messages.ts";
import type { SqlPort } from "../core/sql-port.ts";
import type { Task } from "../core/task.ts";
import { taskSummary, taskView, type ViewContext } from "../core/view.ts";
import { DAY_MS, MINUTE_MS } from "../schema/limits.ts";
import { buryPoisoned, claimDue, type EachRow, moreIsDue, takeBack } from "./claim.ts";
import { ShardContext } from "./context.ts";
import { GroupCommit, type Tx } from "./group-commit.ts";
import { assign, type Batch, handOver, type Taker } from "./hand-over.ts";
import { operate } from "./operate.ts";
import { isPlatformError } from "./platform-error.ts";
import { admitProbes, nextProbeAt, settleProbe } from "./probes.ts";
import { PoisonedRowError } from "./rows.ts";
import { settle } from "./settle.ts";
import { submitOne } from "./submit.ts";
import { EXPIRE_EVERY_MS, expireParked, lapseLeases, moveWatermark, pruneSlice } from "./sweep.ts";

/** A grant that no runner took is offered again after this long, so that a refusal makes no busy loop. */
const TAKE_BACK_MS = 250;
/** Settings older than this are asked for again when the alarm runs anyway. */
const CONFIG_FRESH_MS = MINUTE_MS;
const FURTHEST_ALARM_MS = 7 * DAY_MS;

/** What a shard needs of the world: its object's storage, its alarm, the runners, the catalog. */
export interface ShardPorts {
  sql: SqlPort;
  transaction<T>(run: () => T): T;
  now(): number;
  random(): number;
  wait(ms: number): Promise<void>;
  /** Arms the object's one alarm, in the commit that is being made. */
  setAlarm(at: number): void;
  /** Keeps the object up until the promise has settled. */
  keepAlive(promise: Promise<unknown>): void;
  runner(index: number): RunnerPort;
  catalog(): CatalogPort;
  log(line: Record<string, unknown>): void;
  deleteAll(): Promise<void>;
}

/**
 * One shard of a queue: many tasks, one alarm. It decides and writes; it never calls a target. Every change goes
 * through the group commit, which then claims what is due and arms the alarm in the same commit.
 */
export class Shard implements ShardApi {
  readonly ctx: ShardContext;
  readonly group: GroupCommit;
  readonly #ports: ShardPorts;
  readonly #ref: number;
  #takers: Taker[] = [];
  /** When the alarm is armed for, as far as is known; null: not known, or not armed. */
  #armedAt: number | null = null;
  #configAt = 0;
  /** When parked tasks were last looked through; null: not since the object started. */
  #sweptAt: number | null = null;

  constructor(name: string, ports: ShardPorts) {
    this.#ports = ports;
    this.#ref = Number(name.slice(1, name.indexOf("-")));
    this.ctx = new ShardContext(name, ports.sql, ports);
    this.group = new GroupCommit({
      transaction: ports.transaction,
      now: ports.now,
      wait: ports.wait,
      beforeCommit: () => this.#beforeCommit(),
    });
    this.#load();
  }

  async submit(message: SubmitMessage): Promise<SubmitResult[]> {
    await this.#learnSettings(message.queueVersion);
    if (this.ctx.config === null) {
      return message.tasks.map(() => ({ ok: false, code: "queue_not_found", detail: "the queue is gone" }));
    }
    return this.group.run((tx) => message.tasks.map((task) => submitOne(this.ctx, tx, task)));
  }

  async settle(message: SettleMessage): Promise<SettleAnswer> {
    return this.#onRow(message.id, (tx) => {
      if (message.kind === "probe") return this.#withNext(tx, message, settleProbe(this.ctx, tx, message));
      return this.#withNext(tx, message, settle(this.ctx, tx, message));
    });
  }

  async get(id: string): Promise<TaskAnswer> {
    return this.#onRow(id, () => {
      const task = id.includes("~") ? null : this.ctx.rows.read(id);
      return task === null ? notFound(id) : { ok: true, task: taskView(task, this.#viewContext(task)) };
    });
  }

  async operate(id: string, action: OperateAction, force: boolean): Promise<TaskAnswer> {
    return this.#onRow(id, (tx) => {
      const result = operate(this.ctx, tx, id, action, force);
      return result.ok ? { ok: true, task: taskView(result.task, this.#viewContext(result.task)) } : result;
    });
  }

  async list(message: ListMessage): Promise<ListAnswer> {
    return this.group.run(() => {
      const { rows, examinedTo } = this.ctx.rows.list(message);
      const tasks = rows.flatMap((row) => {
        try {
          const task = this.ctx.rows.toTask(row);
          return [taskSummary(task, this.#viewContext(task))];
        } catch (error) {
          if (!buryPoisoned(this.ctx, error)) throw error;
          return [];
        }
      });
      return { tasks, examinedTo };
    });
  }

  async stats(): Promise<ShardStats> {
    return this.group.run(() => ({
      counts: this.ctx.counts(),
      callbacksWaiting: this.ctx.rows.callbacksWaiting(),
      oldestDueAt: this.ctx.lanes.oldestDueAt(this.#ports.now()),
      inFlight: this.ctx.flights.size,
    }));
  }

  async configure(config: QueueConfig): Promise<void> {
    await this.group.run((tx) => this.#takeSettings(tx, config));
  }

  async close(): Promise<boolean> {
    return this.group.run((tx) => {
      const counts = this.ctx.counts();
      const open = counts.pending + counts.running + counts.retrying + counts.held;
      if (open > 0 || this.ctx.flights.size > 0 || this.ctx.rows.callbacksWaiting() > 0) return false;
      this.#setClosed(tx, true);
      return true;
    });
  }

  async reopen(): Promise<void> {
    await this.group.run((tx) => this.#setClosed(tx, false));
  }

  async destroy(): Promise<void> {
    await this.#ports.deleteAll();
  }

  /** The alarm: lapsed leases, due tasks and probes, sweeps. Ends with the alarm armed for what comes next. */
  async alarm(): Promise<void> {
    this.#armedAt = null;
    if (this.ctx.config === null) return;
    await this.#refreshSettings();
    await this.group.run((tx) => {
      moveWatermark(this.ctx, tx);
      if (this.#sweptAt === null) this.#sweptAt = 0;
    });
    await this.#prune();
  }

  #withNext(tx: Tx, message: SettleMessage, answer: SettleAnswer): SettleAnswer {
    const runner = this.ctx.flights.get(message.id)?.runner ?? null;
    if (message.want === 0 || runner === null || answer.callback !== null) return answer;
    tx.after(() =>
      this.#takers.push({ runner, want: message.want, take: (grant) => answer.next.push(grant) }),
    );
    return answer;
  }

  /** Runs what concerns one row; where the row cannot be read, buries it and runs it once more. */
  async #onRow<T>(id: string, operation: (tx: Tx) => T): Promise<T> {
    if (this.ctx.config === null) await this.#learnSettings(0);
    if (this.ctx.config === null) return notFound(id) as T;
    try {
      return await this.group.run(operation);
    } catch (error) {
      if (!(error instanceof PoisonedRowError)) throw error;
      await this.group.run(() => buryPoisoned(this.ctx, error));
      return this.group.run(operation);
    }
  }

  /** Runs after the operations of each group, in its commit: sweeps, claims, hand-over, the alarm. */
  #beforeCommit(): void {
    const batches = this.ctx.config === null ? [] : this.#claim();
    this.#takers = [];
    this.#arm();
    for (const batch of batches) this.#ports.keepAlive(this.#handOver(batch));
    for (const line of this.ctx.logLines.splice(0)) this.#ports.log(line);
  }

  #claim(): Batch[] {
    const now = this.#ports.now();
    const lapsesAt = this.ctx.flights.nextLapseAt();
    if (lapsesAt !== null && lapsesAt <= now) lapseLeases(this.ctx, this.#eachRow);
    if (this.#sweptAt !== null && now - this.#sweptAt >= EXPIRE_EVERY_MS) this.#sweepParked();
    const probes = this.#claimProbes(now);
    return assign(this.ctx, [...claimDue(this.ctx, this.#eachRow), ...probes], this.#takers);
  }

  #claimProbes(now: number) {
    if (this.ctx.probeAt === null || this.ctx.probeAt > now) return [];
    const admitted = this.#eachRow("probes", (tx) => admitProbes(this.ctx, tx, RUNNER_PROBES));
    return admitted === "failed" ? [] : admitted;
  }

  #sweepParked(): void {
    this.#sweptAt = this.#ports.now();
    expireParked(this.ctx, this.#eachRow);
  }

  readonly #eachRow: EachRow = (id, work) => {
    const changes: (() => void)[] = [];
    try {
      const value = this.#ports.transaction(() => work({ after: (change) => changes.push(change) }));
      for (const change of changes) change();
      return value;
    } catch (error) {
      if (isPlatformError(error)) throw error;
      if (buryPoisoned(this.ctx, error)) return "failed";
      this.ctx.log("row.failed", { task: id, error: String(error) });
      return "failed";
    }
  };

  async #handOver(batch: Batch): Promise<void> {
    const refused = await handOver(batch, () => this.#ports.runner(batch.runner));
    if (refused.length === 0) return;
    await this.group.run((tx) => {
      const dueAt = this.#ports.now() + TAKE_BACK_MS;
      for (const grant of refused) takeBack(this.ctx, tx, grant, dueAt);
    });
  }

  /** Arms the alarm for the next thing that can act, if that is sooner than what it is armed for. */
  #arm(): void {
    const next = this.#nextWake();
    if (next === null || (this.#armedAt !== null && this.#armedAt <= next)) return;
    // An alarm set for the running alarm's own millisecond is lost (workerd#6866).
    const now = this.#ports.now();
    this.#armedAt = Math.min(Math.max(next, now + 1), now + FURTHEST_ALARM_MS);
    this.#ports.setAlarm(this.#armedAt);
  }

  #nextWake(): number | null {
    if (this.ctx.config === null) return null;
    const now = this.#ports.now();
    const blocked = this.ctx.lanes.ready(now).size > 0;
    const times = [
      this.ctx.flights.nextLapseAt(),
      this.ctx.freeSlots > 0 ? this.ctx.lanes.nextAt() : null,
      this.ctx.probeAt,
      this.ctx.pruneAt,
      blocked ? Math.max(now, this.#sweptAt ?? now) + EXPIRE_EVERY_MS : null,
      moreIsDue(this.ctx) ? now + 1 : null,
    ].filter((at) => at !== null);
    return times.length === 0 ? null : Math.min(...times);
  }

  async #prune(): Promise<void> {
    const pass = { nextAt: null };
    let from: string | null = this.ctx.pruneAt !== null && this.ctx.pruneAt <= this.#ports.now() ? "" : null;
    while (from !== null) {
      const afterId: string = from;
      from = await this.group.run((tx) => pruneSlice(this.ctx, tx, afterId, pass));
    }
  }

  async #refreshSettings(): Promise<void> {
    if (this.#ports.now() - this.#configAt < CONFIG_FRESH_MS) return;
    this.#configAt = this.#ports.now();
    try {
      const config = await this.#ports.catalog().queueByRef(this.#ref);
      if (config !== null) await this.configure(config);
    } catch (error) {
      // What is known goes on; the next alarm asks again.
      this.#ports.log({ event: "settings.stale", shard: this.ctx.name, error: String(error) });
    }
  }

  /** Asks the catalog where the settings are older than `version`; goes on with what is known if it is away. */
  async #learnSettings(version: number): Promise<void> {
    if (this.ctx.config !== null && this.ctx.config.version >= version) return;
    try {
      const config = await this.#ports.catalog().queueByRef(this.#ref);
      this.#configAt = this.#ports.now();
      if (config !== null) await this.configure(config);
    } catch (error) {
      if (this.ctx.config === null) throw error;
    }
  }

  #takeSettings(tx: Tx, config: QueueConfig): void {
    if (this.ctx.config !== null && this.ctx.config.version >= config.version) return;
    this.ctx.sql.exec("UPDATE shard SET config = ? WHERE id = 1", JSON.stringify(config));
    tx.after(() => {
      const { pruneAt } = this.ctx;
      this.ctx.config = config;
      // A shorter retention may have made rows ripe.
      if (pruneAt !== null) this.ctx.notePrune(this.#ports.now() + MINUTE_MS);
    });
  }

  #setClosed(tx: Tx, closed: boolean): void {
    this.ctx.sql.exec("UPDATE shard SET closed = ? WHERE id = 1", closed ? 1 : 0);
    tx.after(() => {
      this.ctx.closed = closed;
    });
  }

  #viewContext(task: Task): ViewContext {
    return {
      now: this.#ports.now(),
      paused: this.ctx.queue.paused,
      slotFree: this.ctx.freeSlots > 0,
      queue: this.ctx.queue.name,
      maxAttempts: this.ctx.policyOf(task).maxAttempts,
    };
  }

  /** Reads back what memory has to know: settings, lanes, and the leases in flight. */
  #load(): void {
    const { ctx } = this;
    const row = ctx.sql
      .exec("SELECT config, watermark, closed, prune_at FROM shard WHERE id = 1")
      .toArray()[0];
    if (row === undefined) throw new Error(`shard ${ctx.name} has no row of its own`);
    ctx.config = row.config === null ? null : (JSON.parse(String(row.config)) as QueueConfig);
    ctx.watermark = String(row.watermark);
    ctx.closed = row.closed === 1;
    for (const lane of ctx.rows.lanes()) ctx.lanes.note(lane, 0);
    ctx.probeAt = nextProbeAt(ctx);
    this.#loadFlights();
    const any = ctx.rows.oldest("", 1).length > 0;
    ctx.pruneAt = (row.prune_at as number | null) ?? (any ? this.#ports.now() + MINUTE_MS : null);
  }

  #loadFlights(): void {
    const { ctx } = this;
    for (const { seq, ids } of ctx.flights.stored()) {
      const inFlight = ids.filter((id) => this.#loadFlight(id, seq));
      if (inFlight.length === 0) ctx.flights.dropRow(seq);
    }
    for (const id of ctx.rows.leasedFrom(ctx.watermark)) this.#loadFlight(id, null);
  }

  /** Takes a lease that was in flight when the object stopped back into memory; false where it has ended. */
  #loadFlight(id: string, seq: number | null): boolean {
    const { ctx } = this;
    if (ctx.flights.get(id) !== undefined) return true;
    const lease = ctx.rows.leaseOf(id);
    if (lease === null) return false;
    ctx.flights.add({ id, ...lease, runner: null, seq });
    return true;
  }
}

/** Probes that one commit admits. */
const RUNNER_PROBES = 50;

function notFound(id: string): Refusal {
  return { ok: false, code: "task_not_found", detail: `there is no task ${id}` };
}
