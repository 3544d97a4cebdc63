import { type Policy, resolveCallbackPolicy, resolvePolicy } from "../../core/policy/policy.ts";
import { mostPolls } from "../../core/pressure/poll.ts";
import { type EffectiveCallback, effectiveCallback } from "../../core/task/callback-settings.ts";
import { deliveryLane, HELD_LANE, isCallbackLane, lanesOf, targetOfLane } from "../../core/task/lane.ts";
import type { Task } from "../../core/task/task.ts";
import type { TransitionContext } from "../../core/task/transition.ts";
import type { SqlPort } from "../../platform/sql-port.ts";
import type { Grant } from "../../protocol/grant.ts";
import { shareOf } from "../../protocol/names.ts";
import type { QueueConfig } from "../../protocol/queue-config.ts";
import type { TaskState } from "../../schema/task.ts";
import type { Places } from "../bounds/places.ts";
import { QueueRate, rateOf } from "../bounds/queue-rate.ts";
import { Weights } from "../bounds/weights.ts";
import { LaneTurns } from "../lanes/lane-turns.ts";
import { Lanes } from "../lanes/lanes.ts";
import { Flights } from "../storage/flights.ts";
import type { Tx } from "../storage/group-commit.ts";
import { LaneRows } from "../storage/lane-rows.ts";
import { PollRows } from "../storage/poll-rows.ts";
import { ShardRow } from "../storage/shard-row.ts";
import { Rows, type TaskKey } from "../storage/task-rows.ts";
import { ScopedTargets } from "../targets/scoped-targets.ts";
import { Targets } from "../targets/targets.ts";
import type { ShardPorts } from "./ports.ts";
import { Retention } from "./retention.ts";
import { Spares } from "./spares.ts";
import { TaskCounts } from "./task-counts.ts";

/** What the operations of a shard share: its rows, what is cached of them, and its queue's settings. */
export class ShardContext {
  readonly name: string;
  readonly index: number;
  readonly sql: SqlPort;
  readonly row: ShardRow;
  readonly rows: Rows;
  readonly laneRows: LaneRows;
  readonly flights: Flights;
  readonly lanes = new Lanes();
  readonly polls: PollRows;
  /** The lines in which polls wait for their targets, apart from those of tasks: what is held never stands before what is not. */
  readonly pollLanes = new Lanes();
  readonly laneTurns = new LaneTurns();
  readonly targets: Targets;
  readonly scoped: ScopedTargets;
  readonly rate: QueueRate;
  readonly counts: TaskCounts;
  readonly retention: Retention;
  readonly spares: Spares;
  readonly weights: Weights;
  readonly now: () => number;
  readonly random: () => number;
  /** The places for calls of the whole process; null: nothing bounds them. */
  readonly places: Places | null;
  /** The shortest timeout that is evidence for other queues. */
  readonly evidenceFloorMs: number;
  /** Null until the first submit or configure. */
  config: QueueConfig | null = null;
  closed = false;
  /** No lease that `flights` does not list is held by a task with a lower id. */
  watermark = "";
  /** Attempts let go since the last poll. */
  attemptsSincePoll = 0;
  /** True where the last turn left no slot free: those that were freed since are for who waited for one. */
  slotsWereFull = false;
  /** When the queue's operators were told last that it is stalled; 0: never. */
  stalledToldAt = 0;
  /** Lines for the log, written after the commit. */
  logLines: Record<string, unknown>[] = [];

  constructor(
    name: string,
    sql: SqlPort,
    world: Pick<ShardPorts, "now" | "random" | "evidenceFloorMs" | "places">,
  ) {
    this.name = name;
    this.index = Number(name.split("-").at(-1) ?? 0);
    this.sql = sql;
    this.row = new ShardRow(sql);
    this.rows = new Rows(sql);
    this.counts = new TaskCounts(this.rows);
    this.laneRows = new LaneRows(sql);
    this.polls = new PollRows(sql);
    this.flights = new Flights(sql);
    this.now = world.now;
    this.random = world.random;
    this.places = world.places ?? null;
    this.evidenceFloorMs = world.evidenceFloorMs;
    this.targets = new Targets({
      name,
      sql,
      now: world.now,
      random: world.random,
      evidenceFloorMs: world.evidenceFloorMs,
      queue: () => this.queue,
      capacity: () => this.capacity,
      callsTo: (key) => this.flights.callsTo(key),
      waitingIn: (lanes, limit) => this.laneRows.countWaiting(lanes, limit),
      wake: (key) => this.#wake(key),
      wakeAll: () => this.wakeAll(),
    });
    this.scoped = new ScopedTargets({
      now: world.now,
      scopes: () => (this.config === null ? [] : this.targets.policy.scopes),
      isInUse: (key, since) => this.#isInUse(key, since),
    });
    this.rate = new QueueRate({
      now: world.now,
      rate: () => rateOf(this.queue),
      write: (freeAt) => this.row.write("rate_free_at", freeAt),
    });
    this.retention = new Retention({
      now: world.now,
      retentions: () => this.queue.settings.retention,
      write: (pruneAt) => this.row.write("prune_at", pruneAt),
    });
    this.spares = new Spares({ now: world.now, rows: this.rows, retention: this.retention });
    this.weights = new Weights({
      now: world.now,
      inFlight: () => this.flights.weight,
      wake: (lane) => this.lanes.wake(lane),
      write: (heavy) => this.row.write("heavy", heavy),
    });
  }

  /** The queue's settings. Throws where the shard was never told any: no task can be in it then. */
  get queue(): QueueConfig {
    if (this.config === null) throw new Error(`shard ${this.name} has no settings`);
    return this.config;
  }

  /** How many grants may be in flight in this shard. */
  get capacity(): number {
    return shareOf(this.queue.settings.concurrency, this.queue.shards, this.index);
  }

  /** Slots that are free now, as far as the process has places for calls. */
  get freeSlots(): number {
    return Math.min(this.ownFreeSlots, this.placesLeft);
  }

  /** How many polls may be in flight in this shard: a part of its slots, and of the places of the process. */
  get mostPolls(): number {
    return mostPolls(Math.min(this.capacity, this.places?.total ?? this.capacity));
  }

  /** Slots that are free now by the queue's `concurrency` alone. */
  get ownFreeSlots(): number {
    return Math.max(0, this.capacity - this.flights.size);
  }

  /** Calls that the process has places for, as far as they are this queue's; Infinity where nothing bounds them. */
  get placesLeft(): number {
    if (this.places === null) return Number.POSITIVE_INFINITY;
    const { name } = this.queue;
    this.places.has(this.name, name, this.flights.size);
    return this.places.left(name);
  }

  /** The most slots that one lane may hold while another waits. */
  get mostOfOneLane(): number {
    return Math.max(1, Math.floor(this.capacity / 2));
  }

  /** True for a lane whose rows are called, as far as the queue is concerned. */
  goes(lane: string): boolean {
    return lane !== HELD_LANE && (!this.queue.paused || isCallbackLane(lane));
  }

  /** True where a task or a poll may be due now. */
  hasDue(now: number): boolean {
    return this.lanes.hasDue(now) || this.pollLanes.hasDue(now);
  }

  policyOf(task: Pick<Task, "call">): Policy {
    return resolvePolicy(task.call.retry, this.queue.settings.retry);
  }

  timeoutOf(task: Pick<Task, "call">): number {
    return task.call.timeoutMs ?? this.queue.settings.timeout;
  }

  callbackOf(task: Task): EffectiveCallback | null {
    return effectiveCallback(task.call.callback, this.queue.settings.callback);
  }

  /** By what policy the task's callback is delivered. */
  deliveryPolicyOf(task: Task): Policy {
    return this.callbackOf(task)?.policy ?? resolveCallbackPolicy(undefined, undefined);
  }

  /** What the state machine asks when this task ends. */
  transitionContext(task: Task): TransitionContext {
    return {
      now: this.now(),
      callbackFor: (state) => {
        const callback = this.callbackOf(task);
        if (callback === null || !callback.on.includes(state)) return null;
        return { url: callback.url, lane: deliveryLane(this.scoped.targetOfUrl(callback.url)) };
      },
    };
  }

  /** Inserts a new task, in the place of one whose retention is over where there is any; else as `Rows.insert`. */
  insert(tx: Tx, task: Task, key: TaskKey | null): boolean {
    const spare = this.spares.take();
    if (spare !== null && this.rows.insertOver(spare, task, key)) {
      tx.after(() => this.counts.note(spare.id, spare.state, null));
      return true;
    }
    return this.rows.insert(task, key);
  }

  /** Writes a transition's result, and keeps what memory knows of the row in step once it is written. */
  write(tx: Tx, task: Task, before: Task): void {
    this.rows.update(task, before);
    tx.after(() => this.noteChange(task, before.state));
  }

  /** Takes note of a row that was written: its lane, its end, its state. */
  noteChange(task: Task, stateBefore: TaskState | null): void {
    this.flights.noteTask(task);
    if (task.lane !== null) this.lanes.note(task.lane, task.dueAt, task.expiresAt);
    if (task.finalizedAt !== null) this.retention.noteEnd(task.state, task.finalizedAt);
    this.counts.note(task.id, stateBefore, task.state);
  }

  /** A row whose work threw waits for so long, so that it neither spins nor stands in others' way. */
  putOff(id: string, lane: string, byMs: number): void {
    const dueAt = this.now() + byMs;
    if (this.rows.putOff(id, lane, dueAt)) this.lanes.note(lane, dueAt);
  }

  /** The task that a grant is about: from memory while its lease is in flight, else from its row; null: gone. */
  taskOfGrant(grant: Pick<Grant, "kind" | "id" | "round">): Task | null {
    const known = this.flights.get(grant.id)?.task;
    if (known !== undefined && (grant.kind !== "callback" || known.round === grant.round)) return known;
    return this.rows.ofGrant(grant);
  }

  /** Claims were rolled back: what memory took note of for them is read again. */
  forgetClaims(): void {
    this.noteLanes();
    this.counts.forget();
  }

  /** Something waits in these lanes, by what the rows say. */
  noteLanes(): void {
    for (const lane of this.laneRows.lanes()) {
      this.lanes.note(lane, 0);
      this.scoped.note(targetOfLane(lane));
    }
    for (const lane of this.polls.lanes()) this.pollLanes.note(lane, 0);
  }

  /** Whatever is parked has its turns again. */
  wakeAll(): void {
    this.lanes.wakeAll();
    this.pollLanes.wakeAll();
  }

  /** What waits for a target has its turns again. */
  #wake(key: string): void {
    for (const lane of lanesOf(key)) this.lanes.wake(lane);
    this.pollLanes.wake(key);
  }

  #isInUse(key: string, since: number): boolean {
    if (this.targets.isInUse(key, since) || this.flights.callsTo(key) > 0) return true;
    return this.laneRows.countWaiting(lanesOf(key), 1) > 0;
  }

  log(event: string, fields: Record<string, unknown>): void {
    this.logLines.push({ event, queue: this.config?.name, shard: this.name, ...fields });
  }
}
