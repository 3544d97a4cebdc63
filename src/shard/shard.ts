import type { BreakerAudit } from "../core/breaker/breaker.ts";
import type { TargetPlace } from "../core/breaker/target-page.ts";
import { LONGEST_LIST_MS } from "../core/pressure/page-work.ts";
import { isTaskRow } from "../core/task/row-id.ts";
import type { Task } from "../core/task/task.ts";
import { loggedError } from "../core/text/logged-error.ts";
import { UnderWay } from "../core/under-way.ts";
import { taskView } from "../core/view/view.ts";
import { isPlatformError } from "../platform/platform-error.ts";
import type { BreakerNews, TargetSummary } from "../protocol/breaker-api.ts";
import type { SettleAnswer, SettleMessage } from "../protocol/grant.ts";
import type { QueueConfig } from "../protocol/queue-config.ts";
import type { Refusal } from "../protocol/refusal.ts";
import type {
  ListAnswer,
  ListMessage,
  OperateAction,
  RekeyAnswer,
  RekeyMessage,
  ShardApi,
  ShardStats,
  SubmitMessage,
  SubmitResult,
  TaskAnswer,
} from "../protocol/shard-api.ts";
import { SECOND_MS } from "../schema/limits.ts";
import { ShardAlarm } from "./alarm.ts";
import { operate } from "./intake/operate.ts";
import { rekeyPage, rekeyTask } from "./intake/rekey.ts";
import { releaseTarget } from "./intake/release.ts";
import { submitAll } from "./intake/submit.ts";
import { buryPoisoned } from "./lease/bury.ts";
import { settlePoll } from "./probe/polls.ts";
import { readinessTarget, settleReadiness } from "./probe/readiness.ts";
import { settle, stale } from "./settle/settle.ts";
import { type ShardContext, shardContext } from "./state/context.ts";
import type { ShardPorts } from "./state/ports.ts";
import { GroupCommit, type Tx } from "./storage/group-commit.ts";
import { PoisonedRowError } from "./storage/task-rows.ts";
import { announceBreaker, noteStalledTold, toldStalled } from "./tell/operator-events.ts";
import { ShardTurn } from "./turn.ts";
import { prune } from "./upkeep/prune.ts";
import { loadShard } from "./upkeep/restore.ts";
import { ShardSettings } from "./upkeep/settings.ts";
import { moveWatermark } from "./upkeep/sweep.ts";
import { listTasks } from "./view/list-tasks.ts";
import { listedTargets } from "./view/listed-targets.ts";
import { oldestDue } from "./view/oldest-due.ts";
import { viewContext } from "./view/task-situation.ts";

/** An alarm that failed runs again after this long. */
const ALARM_RETRY_MS = 5 * SECOND_MS;
/** Between two slices of counting: about as long as one takes. */
const SLICE_PAUSE_MS = 5;

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
  readonly #turn: ShardTurn;
  readonly #lists: UnderWay;

  constructor(name: string, ports: ShardPorts) {
    this.#ports = ports;
    this.#lists = ports.lists ?? new UnderWay(LONGEST_LIST_MS);
    this.ctx = shardContext(name, ports);
    this.group = new GroupCommit({
      transaction: ports.transaction,
      now: ports.now,
      wait: ports.wait,
      beforeCommit: () => this.#turn.run(),
    });
    this.#settings = new ShardSettings(this.ctx, this.group, ports);
    this.#alarm = new ShardAlarm(this.ctx, ports.setAlarm);
    this.#turn = new ShardTurn(this.ctx, this.group, this.#alarm, ports);
    loadShard(this.ctx);
  }

  async submit(message: SubmitMessage): Promise<SubmitResult[]> {
    await this.#settings.learn(message.queueVersion);
    if (this.ctx.own.config === null) {
      return message.tasks.map(() => ({ ok: false, code: "queue_not_found", detail: "the queue is gone" }));
    }
    return this.#run((tx) => submitAll(this.ctx, tx, message.tasks));
  }

  async settle(message: SettleMessage): Promise<SettleAnswer> {
    if (!(await this.#hasSettings())) return stale();
    return this.#run((tx) => {
      const answer = this.#settleOne(tx, message);
      this.#offerNext(tx, message, answer);
      return answer;
    });
  }

  async breakerChanged(key: string, news: BreakerNews, announce: BreakerAudit | null): Promise<void> {
    if (!(await this.#hasSettings())) return;
    await this.#run((tx) => {
      this.ctx.targets.told(tx, key, news);
      if (announce !== null) announceBreaker(this.ctx, tx, key, news, announce);
    });
  }

  async mayTellStalled(): Promise<boolean> {
    if (!(await this.#hasSettings())) return true;
    return this.group.run((tx) => {
      if (toldStalled(this.ctx)) return false;
      noteStalledTold(this.ctx, tx);
      return true;
    });
  }

  async wake(): Promise<void> {
    if (!(await this.#hasSettings())) return;
    await this.#run(() => undefined);
  }

  async askBreaker(key: string): Promise<void> {
    if (!(await this.#hasSettings())) return;
    await this.#run(() => this.ctx.targets.news.noteUnsure(key));
  }

  async targets(limit: number, place?: TargetPlace): Promise<TargetSummary[]> {
    if (!(await this.#hasSettings())) return [];
    return this.#run(() => listedTargets(this.ctx, limit, place));
  }

  async hold(key: string, release: boolean): Promise<number | null> {
    if (!(await this.#hasSettings())) return null;
    return this.#run((tx) => {
      if (release) return releaseTarget(this.ctx, tx, key);
      const { heldUntil } = this.ctx.targets.get(key);
      return heldUntil > this.ctx.now() ? heldUntil : null;
    });
  }

  async settleAll(messages: SettleMessage[]): Promise<(SettleAnswer | null)[]> {
    const settled = await Promise.allSettled(messages.map((message) => this.settle(message)));
    return settled.map((result) => (result.status === "fulfilled" ? result.value : null));
  }

  async get(id: string, quiet = false): Promise<TaskAnswer> {
    if (!(await this.#hasSettings())) return notFound(id);
    return this.#read(quiet, () => {
      const task = isTaskRow(id) ? this.ctx.rows.readWithoutRequest(id) : null;
      return task === null ? notFound(id) : this.#shown({ ok: true, task });
    });
  }

  async operate(id: string, action: OperateAction, force: boolean): Promise<TaskAnswer> {
    if (!(await this.#hasSettings())) return notFound(id);
    return this.#run((tx) => this.#shown(operate(this.ctx, tx, id, action, force)));
  }

  async rekeyTask(id: string, breakerKey: string | null): Promise<TaskAnswer> {
    if (!(await this.#hasSettings())) return notFound(id);
    return this.#run((tx) => this.#shown(rekeyTask(this.ctx, tx, id, breakerKey)));
  }

  async rekey(message: RekeyMessage): Promise<RekeyAnswer> {
    if (!(await this.#hasSettings())) return { matched: 0, changed: 0, examinedTo: null };
    return this.#run((tx) => rekeyPage(this.ctx, tx, message));
  }

  async list(message: ListMessage, quiet = false): Promise<ListAnswer> {
    if (!(await this.#hasSettings())) return { tasks: [], examinedTo: null };
    const { now, wait } = this.#ports;
    let isFirst = !quiet;
    const read = <T>(work: () => T): Promise<T> => {
      if (!isFirst) return this.#readAside(quiet, work);
      isFirst = false;
      return this.#run(work);
    };
    return listTasks(this.ctx, message, { now, wait, lists: this.#lists, read });
  }

  async stats(quiet = false): Promise<ShardStats> {
    return this.#untilSome(() =>
      this.#read(quiet, () => {
        const counts = this.ctx.counts.next();
        if (counts === null) return null;
        const callbacksWaiting = this.ctx.laneRows.callbacksWaiting();
        const oldestDueAt = oldestDue(this.ctx, () => true)?.dueAt ?? null;
        return { counts, callbacksWaiting, oldestDueAt, inFlight: this.ctx.flights.size };
      }),
    );
  }

  configure(config: QueueConfig): Promise<void> {
    return this.#settings.take(config);
  }

  async close(force = false): Promise<boolean> {
    return this.#untilSome(() => this.group.run((tx) => this.#closeWhereEmpty(tx, force)));
  }

  async reopen(): Promise<void> {
    await this.group.run((tx) => this.#setClosed(tx, false));
  }

  async destroy(): Promise<void> {
    await this.#ports.deleteAll();
    // Nothing is left to serve; whoever still asks hears what a shard without a queue says.
    this.ctx.own.forgetQueue();
  }

  /** The alarm: lapsed leases, due tasks and probes, sweeps. Ends with the alarm armed for what comes next. */
  async alarm(): Promise<void> {
    this.#alarm.wentOff();
    try {
      await this.#settings.refresh();
      if (this.ctx.own.config === null) return;
      await prune(this.ctx, this.group);
      await this.group.run((tx) => moveWatermark(this.ctx, tx));
    } catch (error) {
      if (isPlatformError(error)) throw error;
      // The platform would try six times and then never again.
      this.#ports.log({ event: "alarm.failed", shard: this.ctx.name, error: loggedError(error) });
      this.#alarm.armFor(this.ctx.now() + ALARM_RETRY_MS);
    }
  }

  #shown(result: { ok: true; task: Task } | Refusal): TaskAnswer {
    if (!result.ok) return result;
    const { task } = result;
    const answer = { ok: true, task: taskView(task, viewContext(this.ctx, task)) } as const;
    return task.response?.sealed ? { ...answer, sealed: true } : answer;
  }

  #settleOne(tx: Tx, message: SettleMessage): SettleAnswer {
    if (message.kind !== "probe") return settle(this.ctx, tx, message);
    const key = readinessTarget(message.id);
    return key === null ? settlePoll(this.ctx, tx, message) : settleReadiness(this.ctx, tx, key, message);
  }

  async #hasSettings(): Promise<boolean> {
    if (this.ctx.own.config === null) await this.#settings.learn(0);
    return this.ctx.own.config !== null;
  }

  /** Runs a read as any operation; `quiet`: by itself, without the turn that follows a group. */
  async #read<T>(quiet: boolean, operation: () => T): Promise<T> {
    return quiet ? operation() : this.#run(operation);
  }

  /** Reads without a turn, unless (and not `quiet`) a row cannot be read. */
  async #readAside<T>(quiet: boolean, operation: () => T): Promise<T> {
    try {
      return operation();
    } catch (error) {
      if (quiet || !(error instanceof PoisonedRowError)) throw error;
      return this.#run(operation);
    }
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

  /** Runs it again and again until it gives something: work in slices, between which all else has its turn. */
  async #untilSome<T>(run: () => Promise<T | null>): Promise<T> {
    for (;;) {
      const result = await run();
      if (result !== null) return result;
      await this.#ports.wait(SLICE_PAUSE_MS);
    }
  }

  /** A runner that settles may ask for more: what is claimed before the commit goes to it with the answer. */
  #offerNext(tx: Tx, message: SettleMessage, answer: SettleAnswer): void {
    const runner = this.ctx.flights.get(message.id)?.runner ?? null;
    const { want } = message;
    // A runner of another release may not know `want`.
    if (!(want > 0) || runner === null || answer.callback !== null) return;
    tx.after(() => this.#turn.offer({ runner, want, take: (grant) => answer.next.push(grant) }));
  }

  /** True: it is closed; false: something is in it; null: not all is counted. */
  #closeWhereEmpty(tx: Tx, force: boolean): boolean | null {
    const counts = this.ctx.counts.next();
    if (counts === null) return null;
    const open = counts.pending + counts.running + counts.retrying + counts.held;
    const delivers = this.ctx.flights.size > 0 || this.ctx.laneRows.callbacksWaiting() > 0;
    if (open > 0 || (delivers && !force)) return false;
    this.#setClosed(tx, true);
    return true;
  }

  #setClosed(tx: Tx, closed: boolean): void {
    this.ctx.own.setClosed(tx, closed);
  }
}

function notFound(id: string): Refusal {
  return { ok: false, code: "task_not_found", detail: `there is no task ${id}` };
}
