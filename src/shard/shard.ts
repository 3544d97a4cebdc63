import type {
  ListAnswer,
  ListMessage,
  OperateAction,
  QueueConfig,
  Refusal,
  SettleAnswer,
  SettleMessage,
  ShardApi,
  ShardStats,
  SubmitMessage,
  SubmitResult,
  TaskAnswer,
} from "../core/messages.ts";
import type { Task } from "../core/task.ts";
import { taskSummary, taskView, type ViewContext } from "../core/view.ts";
import { SECOND_MS } from "../schema/limits.ts";
import { buryPoisoned } from "./bury.ts";
import { claimDue, type EachRow } from "./claim.ts";
import { ShardContext } from "./context.ts";
import { GroupCommit, type Tx } from "./group-commit.ts";
import { assign, type Batch, handOver, type Taker } from "./hand-over.ts";
import { loadShard } from "./load.ts";
import { operate } from "./operate.ts";
import { isPlatformError } from "./platform-error.ts";
import type { ShardPorts } from "./ports.ts";
import { claimProbes, settleProbe } from "./probes.ts";
import { prune, storePruneTime } from "./prune.ts";
import { PoisonedRowError } from "./rows.ts";
import { ShardSettings } from "./settings.ts";
import { settle, stale } from "./settle.ts";
import { ShardAlarm } from "./shard-alarm.ts";
import { submitAll } from "./submit.ts";
import { EXPIRE_EVERY_MS, expireParked, lapseLeases, moveWatermark } from "./sweep.ts";
import { takeBack } from "./take-back.ts";

/** A grant that no runner took is offered again after this long, so that a refusal makes no busy loop. */
const TAKE_BACK_MS = 250;
/** A Runner object that refused grants is not asked for this long. */
const FULL_MS = SECOND_MS;
/** An alarm that failed runs again after this long. */
const ALARM_RETRY_MS = 5 * SECOND_MS;

/**
 * One shard of a queue: many tasks, one alarm. It decides and writes; it never calls a target. Every change goes
 * through the group commit, which then claims what is due and arms the alarm in the same commit.
 */
export class Shard implements ShardApi {
  readonly ctx: ShardContext;
  readonly group: GroupCommit;
  readonly #ports: ShardPorts;
  readonly #settings: ShardSettings;
  readonly #alarm: ShardAlarm;
  #takers: Taker[] = [];
  /** When parked tasks are looked through next. */
  #sweepAt = 0;

  constructor(name: string, ports: ShardPorts) {
    this.#ports = ports;
    this.ctx = new ShardContext(name, ports.sql, ports);
    this.group = new GroupCommit({
      transaction: ports.transaction,
      now: ports.now,
      wait: ports.wait,
      beforeCommit: () => this.#beforeCommit(),
    });
    this.#settings = new ShardSettings(this.ctx, this.group, ports);
    this.#alarm = new ShardAlarm(this.ctx, ports.setAlarm);
    loadShard(this.ctx);
  }

  async submit(message: SubmitMessage): Promise<SubmitResult[]> {
    await this.#settings.learn(message.queueVersion);
    if (this.ctx.config === null) {
      return message.tasks.map(() => ({ ok: false, code: "queue_not_found", detail: "the queue is gone" }));
    }
    return this.#run((tx) => submitAll(this.ctx, tx, message.tasks));
  }

  async settle(message: SettleMessage): Promise<SettleAnswer> {
    if (!(await this.#hasSettings())) return stale();
    return this.#run((tx) => {
      const probe = message.kind === "probe";
      const answer = probe ? settleProbe(this.ctx, tx, message) : settle(this.ctx, tx, message);
      this.#offerNext(tx, message, answer);
      return answer;
    });
  }

  async settleAll(messages: SettleMessage[]): Promise<(SettleAnswer | null)[]> {
    const settled = await Promise.allSettled(messages.map((message) => this.settle(message)));
    return settled.map((result) => (result.status === "fulfilled" ? result.value : null));
  }

  async get(id: string): Promise<TaskAnswer> {
    if (!(await this.#hasSettings())) return notFound(id);
    return this.#run(() => {
      const task = id.includes("~") ? null : this.ctx.rows.read(id);
      return task === null ? notFound(id) : { ok: true, task: taskView(task, this.#viewContext(task)) };
    });
  }

  async operate(id: string, action: OperateAction, force: boolean): Promise<TaskAnswer> {
    if (!(await this.#hasSettings())) return notFound(id);
    return this.#run((tx) => {
      const result = operate(this.ctx, tx, id, action, force);
      return result.ok ? { ok: true, task: taskView(result.task, this.#viewContext(result.task)) } : result;
    });
  }

  async list(message: ListMessage): Promise<ListAnswer> {
    if (!(await this.#hasSettings())) return { tasks: [], examinedTo: null };
    return this.#run(() => {
      const { rows, examinedTo } = this.ctx.rows.list(message);
      const tasks = rows.map((row) => this.ctx.rows.toTask(row));
      return { tasks: tasks.map((task) => taskSummary(task, this.#viewContext(task))), examinedTo };
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

  configure(config: QueueConfig): Promise<void> {
    return this.#settings.take(config);
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
    // Nothing is left to serve; whoever still asks hears what a shard without a queue says.
    this.ctx.config = null;
  }

  /** The alarm: lapsed leases, due tasks and probes, sweeps. Ends with the alarm armed for what comes next. */
  async alarm(): Promise<void> {
    this.#alarm.wentOff();
    try {
      await this.#settings.refresh();
      if (this.ctx.config === null) return;
      await prune(this.ctx, this.group);
      await this.group.run((tx) => moveWatermark(this.ctx, tx));
    } catch (error) {
      if (isPlatformError(error)) throw error;
      // The platform would try six times and then never again.
      this.#ports.log({ event: "alarm.failed", shard: this.ctx.name, error: String(error) });
      this.#alarm.armFor(this.ctx.now() + ALARM_RETRY_MS);
    }
  }

  async #hasSettings(): Promise<boolean> {
    if (this.ctx.config === null) await this.#settings.learn(0);
    return this.ctx.config !== null;
  }

  /** Runs an operation; where it meets a row that cannot be read, buries that row and runs it again. */
  async #run<T>(operation: (tx: Tx) => T): Promise<T> {
    const buried = new Set<string>();
    for (;;) {
      try {
        return await this.group.run(operation);
      } catch (error) {
        if (!(error instanceof PoisonedRowError) || buried.has(error.id)) throw error;
        buried.add(error.id);
        await this.group.run(() => buryPoisoned(this.ctx, error));
      }
    }
  }

  /** A runner that settles may ask for more: what is claimed before the commit goes to it with the answer. */
  #offerNext(tx: Tx, message: SettleMessage, answer: SettleAnswer): void {
    const runner = this.ctx.flights.get(message.id)?.runner ?? null;
    const { want } = message;
    // A runner of another release may not know `want`.
    if (!(want > 0) || runner === null || answer.callback !== null) return;
    tx.after(() => this.#takers.push({ runner, want, take: (grant) => answer.next.push(grant) }));
  }

  /** Runs after the operations of each group, in its commit: sweeps, claims, hand-over, the alarm. */
  #beforeCommit(): void {
    if (this.ctx.config === null) return;
    const takers = this.#takers.splice(0);
    const batches = this.#claim(takers);
    storePruneTime(this.ctx);
    try {
      this.#alarm.arm(this.#sweepAt);
    } finally {
      // Their leases are written, whatever becomes of the alarm.
      for (const batch of batches) this.#ports.keepAlive(this.#handOver(batch));
      for (const line of this.ctx.logLines.splice(0)) this.#ports.log(line);
    }
  }

  #claim(takers: readonly Taker[]): Batch[] {
    const { ctx } = this;
    const now = ctx.now();
    const lapsesAt = ctx.flights.nextLapseAt();
    if (lapsesAt !== null && lapsesAt <= now) lapseLeases(ctx, this.#eachRow);
    const batches = this.#assignDue(takers);
    if (this.#sweepAt <= now && ctx.lanes.ready(now).size > 0) {
      this.#sweepAt = now + (expireParked(ctx, this.#eachRow) ? 1 : EXPIRE_EVERY_MS);
    }
    return batches;
  }

  /** What is claimed and not assigned would be lost until a restart: where that fails, nothing is claimed. */
  #assignDue(takers: readonly Taker[]): Batch[] {
    const { ctx } = this;
    try {
      return this.#ports.transaction(() => {
        const probes = claimProbes(ctx, this.#eachRow);
        return assign(ctx, [...claimDue(ctx, this.#eachRow), ...probes], takers);
      });
    } catch (error) {
      ctx.forgetClaims();
      throw error;
    }
  }

  /** Runs one row's work in a transaction of its own, inside a group. */
  readonly #eachRow: EachRow = (id, work) => {
    const changes: (() => void)[] = [];
    try {
      const value = this.#ports.transaction(() => work({ after: (change) => changes.push(change) }));
      for (const change of changes) change();
      return value;
    } catch (error) {
      if (isPlatformError(error)) throw error;
      if (!buryPoisoned(this.ctx, error)) this.ctx.log("row.failed", { task: id, error: String(error) });
      return "failed";
    }
  };

  async #handOver(batch: Batch): Promise<void> {
    const refused = await handOver(batch, () => this.#ports.runner(batch.runner));
    if (refused.length === 0) return;
    await this.group.run(() => {
      const now = this.ctx.now();
      this.ctx.flights.noteFull(batch.runner, now + FULL_MS);
      for (const grant of refused) {
        this.#eachRow(grant.id, (tx) => takeBack(this.ctx, tx, grant, now + TAKE_BACK_MS));
      }
    });
  }

  #setClosed(tx: Tx, closed: boolean): void {
    this.ctx.sql.exec("UPDATE shard SET closed = ? WHERE id = 1", closed ? 1 : 0);
    tx.after(() => {
      this.ctx.closed = closed;
    });
  }

  #viewContext(task: Task): ViewContext {
    const { ctx } = this;
    return {
      now: ctx.now(),
      paused: ctx.queue.paused,
      slotFree: ctx.freeSlots > 0,
      queue: ctx.queue.name,
      maxAttempts: ctx.policyOf(task).maxAttempts,
    };
  }
}

function notFound(id: string): Refusal {
  return { ok: false, code: "task_not_found", detail: `there is no task ${id}` };
}
