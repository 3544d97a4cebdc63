import { deliveryLane } from "../../core/task/lane.ts";
import type { Task } from "../../core/task/task.ts";
import type { SqlPort } from "../../platform/sql-port.ts";
import type { Grant } from "../../protocol/grant.ts";
import { isApart } from "./row-codec.ts";

/** A lease in flight. */
export interface Flight {
  id: string;
  kind: Grant["kind"];
  lane: string;
  lease: number;
  leaseUntil: number;
  /** Which Runner object has it; null: an edge Worker, or a runner before a restart. */
  runner: number | null;
  /** A retry: it draws on slots of its own. */
  retry: boolean;
  /** The lease of a half-open breaker's probe that this call is; null: it is none. */
  probe: number | null;
  /** Its row of `flights`; null: found again by the watermark. */
  seq: number | null;
  /** What it weighs, of the bytes that a shard may have in flight (src/core/pressure/weight.ts). */
  weight: number;
  /** The task as its row has it, so that a settle need not read it; absent: to be read. */
  task?: Task;
}

/**
 * The leases in flight. Memory is a cache of the rows' `lease_until`; how to find these rows after a restart is
 * on disk: a `flights` row for each commit that lists them, or, for young tasks, the watermark.
 */
export class Flights {
  readonly #sql: SqlPort;
  readonly #byId = new Map<string, Flight>();
  readonly #perLane = new Map<string, number>();
  readonly #retries = new Map<string, number>();
  readonly #probes = new Map<string, number>();
  #allProbes = 0;
  #weight = 0;
  readonly #perRunner = new Map<number, number>();
  /** Ids still in flight of each `flights` row. */
  readonly #perSeq = new Map<number, number>();
  /** Until when each Runner object that refused grants is taken for full: after a restart it may have calls not known here. */
  readonly #fullUntil = new Map<number, number>();
  #nextSeq = 1;

  constructor(sql: SqlPort) {
    this.#sql = sql;
  }

  get size(): number {
    return this.#byId.size;
  }

  /** What all of them weigh. */
  get weight(): number {
    return this.#weight;
  }

  get(id: string): Flight | undefined {
    return this.#byId.get(id);
  }

  inLane(lane: string): number {
    return this.#perLane.get(lane) ?? 0;
  }

  /** Calls to a target that are in flight: attempts, and deliveries of callbacks. */
  callsTo(target: string): number {
    return this.inLane(target) + this.inLane(deliveryLane(target));
  }

  /** Retries of a target that are in flight. */
  retriesOf(target: string): number {
    return this.#retries.get(target) ?? 0;
  }

  /** Polls and readiness calls of a target that are in flight. */
  probesOf(target: string): number {
    return this.#probes.get(target) ?? 0;
  }

  /** All of them. */
  get probes(): number {
    return this.#allProbes;
  }

  #onRunner(runner: number): number {
    return this.#perRunner.get(runner) ?? 0;
  }

  /** The first Runner object that has room for one more call, out of `room`. */
  runnerWithRoom(room: number, now: number): number {
    let runner = 0;
    while (this.#onRunner(runner) >= room || (this.#fullUntil.get(runner) ?? 0) > now) runner++;
    return runner;
  }

  /** This Runner object refused grants: others are asked until then. */
  noteFull(runner: number, until: number): void {
    this.#fullUntil.set(runner, until);
  }

  /** A lease is in flight from now on; one of the same id is replaced, and its `flights` row goes on unless the new one has its own. */
  add(flight: Flight): void {
    const before = this.#byId.get(flight.id);
    if (before !== undefined) {
      this.#count(before, -1);
      flight.seq ??= before.seq;
    }
    this.#byId.set(flight.id, flight);
    this.#count(flight, 1);
    if (before?.seq === flight.seq) return;
    if (flight.seq !== null) this.#hold(flight.seq);
    if (before !== undefined && before.seq !== null) this.#letGo(before.seq);
  }

  /** The lease has ended. */
  remove(id: string): void {
    const flight = this.#byId.get(id);
    if (flight === undefined) return;
    this.#byId.delete(id);
    this.#count(flight, -1);
    if (flight.seq !== null) this.#letGo(flight.seq);
  }

  /** The row was written while its lease is in flight. */
  noteTask(task: Task): void {
    const flight = this.#byId.get(task.id);
    if (flight !== undefined) keepTask(flight, task);
  }

  /** Moves a flight to another id: an ended round that is kept as a row of its own takes its delivery along. */
  rename(id: string, newId: string): void {
    const flight = this.#byId.get(id);
    if (flight === undefined) return;
    this.remove(id);
    this.add({ ...flight, id: newId, seq: this.writeRow([newId]) });
  }

  /** Writes the row that finds these ids again after a restart; returns its number. */
  writeRow(ids: readonly string[]): number {
    const seq = this.#nextSeq++;
    this.#sql.exec("INSERT INTO flights (seq, ids) VALUES (?, ?)", seq, JSON.stringify(ids));
    return seq;
  }

  /** The `flights` rows on disk, for a start: their ids may have ended since. `ids` is null where the row cannot be read. */
  stored(): { seq: number; ids: string[] | null }[] {
    const rows = this.#sql.exec("SELECT seq, ids FROM flights ORDER BY seq").toArray();
    this.#nextSeq = Number(rows.at(-1)?.seq ?? 0) + 1;
    return rows.map((row) => ({ seq: Number(row.seq), ids: parseIds(String(row.ids)) }));
  }

  /** Deletes a `flights` row none of whose ids is in flight. */
  dropRow(seq: number): void {
    this.#sql.exec("DELETE FROM flights WHERE seq = ?", seq);
  }

  all(): IterableIterator<Flight> {
    return this.#byId.values();
  }

  /** When the first lease lapses; null where none is in flight. */
  nextLapseAt(): number | null {
    let earliest: number | null = null;
    for (const { leaseUntil } of this.#byId.values()) {
      if (earliest === null || leaseUntil < earliest) earliest = leaseUntil;
    }
    return earliest;
  }

  /** The lowest id of a lease that no `flights` row lists; null where there is none. */
  lowestUnlisted(): string | null {
    let lowest: string | null = null;
    for (const { id, seq } of this.#byId.values()) {
      if (seq === null && (lowest === null || id < lowest)) lowest = id;
    }
    return lowest;
  }

  #count(flight: Flight, by: 1 | -1): void {
    add(this.#perLane, flight.lane, by);
    this.#weight += by * flight.weight;
    if (flight.retry) add(this.#retries, flight.lane, by);
    if (flight.kind === "probe") {
      add(this.#probes, flight.lane, by);
      this.#allProbes += by;
    }
    if (flight.runner !== null) add(this.#perRunner, flight.runner, by);
  }

  #hold(seq: number): void {
    this.#perSeq.set(seq, (this.#perSeq.get(seq) ?? 0) + 1);
  }

  #letGo(seq: number): void {
    const left = (this.#perSeq.get(seq) ?? 1) - 1;
    if (left > 0) {
      this.#perSeq.set(seq, left);
      return;
    }
    this.#perSeq.delete(seq);
    this.dropRow(seq);
  }
}

/** Keeps a task with its flight, unless its bodies are too large to hold many of in memory. */
export function keepTask(flight: Flight, task: Task): Flight {
  if (isApart(task.call.body) || isApart(task.response?.body ?? null)) delete flight.task;
  else flight.task = task;
  return flight;
}

function parseIds(text: string): string[] | null {
  try {
    const ids: unknown = JSON.parse(text);
    return Array.isArray(ids) ? ids.map(String) : null;
  } catch {
    return null;
  }
}

/** Adds to a counter in a map; a counter at zero is left out, so that the map stays small. */
function add<K>(counters: Map<K, number>, key: K, by: 1 | -1): void {
  const value = (counters.get(key) ?? 0) + by;
  if (value > 0) counters.set(key, value);
  else counters.delete(key);
}
