import { lanesOf } from "../../core/task/lane.ts";
import type { SqlPort } from "../../platform/sql-port.ts";
import type { QueueConfig } from "../../protocol/queue-config.ts";
import { QueueRate, rateOf } from "../bounds/queue-rate.ts";
import { Slots } from "../bounds/slots.ts";
import { Weights } from "../bounds/weights.ts";
import { LaneTurns } from "../lanes/lane-turns.ts";
import { Lanes } from "../lanes/lanes.ts";
import { Flights } from "../storage/flights.ts";
import { LaneRows } from "../storage/lane-rows.ts";
import { PollRows } from "../storage/poll-rows.ts";
import { ShardRow } from "../storage/shard-row.ts";
import { readKept, writeKept } from "../storage/target-rows.ts";
import { Rows } from "../storage/task-rows.ts";
import { ScopedTargets } from "../targets/scoped-targets.ts";
import { TargetTerms } from "../targets/target-terms.ts";
import { Targets } from "../targets/targets.ts";
import { HoldPolls } from "./hold-polls.ts";
import { OwnRow } from "./own-row.ts";
import type { ShardPorts } from "./ports.ts";
import { Retention } from "./retention.ts";
import { Spares } from "./spares.ts";
import { TaskCounts } from "./task-counts.ts";
import { TaskStore } from "./task-store.ts";
import { Terms } from "./terms.ts";

/** What the operations of a shard share: the owners of its rows, of what is cached of them, and of what bounds calls. */
export interface ShardContext {
  readonly name: string;
  readonly index: number;
  readonly sql: SqlPort;
  readonly own: OwnRow;
  /** The queue's settings. Throws as `OwnRow.queue`. */
  readonly queue: QueueConfig;
  readonly terms: Terms;
  readonly rows: Rows;
  readonly tasks: TaskStore;
  readonly laneRows: LaneRows;
  readonly lanes: Lanes;
  readonly laneTurns: LaneTurns;
  readonly polls: HoldPolls;
  readonly flights: Flights;
  readonly targets: Targets;
  readonly scoped: ScopedTargets;
  readonly slots: Slots;
  readonly rate: QueueRate;
  readonly weights: Weights;
  readonly counts: TaskCounts;
  readonly retention: Retention;
  readonly spares: Spares;
  /** Lines for the log, written after the commit. */
  readonly logLines: Record<string, unknown>[];
  now(): number;
  random(): number;
  log(event: string, fields: Record<string, unknown>): void;
}

/** What a shard's memory needs of the world. */
type World = Pick<ShardPorts, "sql" | "now" | "random" | "evidenceFloorMs" | "places">;

/** A shard's memory, with nothing in it yet but its targets. */
export function shardContext(name: string, world: World): ShardContext {
  const { sql, now, random } = world;
  const index = Number(name.split("-").at(-1) ?? 0);
  const row = new ShardRow(sql);
  const own = new OwnRow(name, row);
  const queue = () => own.queue;
  const rows = new Rows(sql);
  const laneRows = new LaneRows(sql);
  const lanes = new Lanes();
  const polls = new HoldPolls(new PollRows(sql));
  const flights = new Flights(sql);
  const slots = new Slots({ name, index, queue, inFlight: () => flights.size }, world.places ?? null);
  const logLines: Record<string, unknown>[] = [];
  const log = (event: string, fields: Record<string, unknown>) => {
    logLines.push({ event, queue: own.config?.name, shard: name, ...fields });
  };
  const targets = new Targets({
    name,
    terms: new TargetTerms(queue, world.evidenceFloorMs),
    now,
    random,
    readKept: () => readKept(sql, now()),
    writeKept: (target) => writeKept(sql, target, now()),
    capacity: () => slots.capacity,
    callsTo: (key) => flights.callsTo(key),
    waitingIn: (some, limit) => laneRows.countWaiting(some, limit),
    log,
    wake: (key) => {
      for (const lane of lanesOf(key)) lanes.wake(lane);
      polls.lanes.wake(key);
    },
    wakeAll: () => {
      lanes.wakeAll();
      polls.lanes.wakeAll();
    },
  });
  const scoped = new ScopedTargets({
    now,
    scopes: () => (own.config === null ? [] : targets.policy.scopes),
    splitsOf: (key) => {
      const splits = targets.splitsOf(key);
      return splits.length === 0 || own.config === null || !targets.policy.split ? [] : splits;
    },
    isInUse: (key, since) =>
      targets.isInUse(key, since) || flights.callsTo(key) > 0 || laneRows.countWaiting(lanesOf(key), 1) > 0,
  });
  const rate = new QueueRate({
    now,
    rate: () => rateOf(own.queue),
    write: (freeAt) => row.write("rate_free_at", freeAt),
  });
  const weights = new Weights({
    now,
    inFlight: () => flights.weight,
    wake: (lane) => lanes.wake(lane),
    write: (heavy) => row.write("heavy", heavy),
  });
  const counts = new TaskCounts(rows);
  const retention = new Retention({
    now,
    retentions: () => own.queue.settings.retention,
    write: (pruneAt) => row.write("prune_at", pruneAt),
  });
  const spares = new Spares({ now, rows, retention });
  return {
    name,
    index,
    sql,
    own,
    get queue() {
      return own.queue;
    },
    terms: new Terms({ now, queue, targetOfUrl: (url) => scoped.targetOfUrl(url) }),
    rows,
    tasks: new TaskStore({ now, rows, flights, lanes, counts, retention, spares }),
    laneRows,
    lanes,
    laneTurns: new LaneTurns(),
    polls,
    flights,
    targets,
    scoped,
    slots,
    rate,
    weights,
    counts,
    retention,
    spares,
    logLines,
    now,
    random,
    log,
  };
}
