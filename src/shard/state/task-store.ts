import type { Task } from "../../core/task/task.ts";
import type { Grant } from "../../protocol/grant.ts";
import type { TaskState } from "../../schema/task.ts";
import type { Lanes } from "../lanes/lanes.ts";
import type { Flights } from "../storage/flights.ts";
import type { Tx } from "../storage/group-commit.ts";
import type { Rows, TaskKey } from "../storage/task-rows.ts";
import type { Retention } from "./retention.ts";
import type { Spares } from "./spares.ts";
import type { TaskCounts } from "./task-counts.ts";

/** What the tasks of a shard are kept in: their rows, and what memory knows of these. */
export interface TaskStorePorts {
  now(): number;
  rows: Rows;
  flights: Flights;
  lanes: Lanes;
  counts: TaskCounts;
  retention: Retention;
  spares: Spares;
}

/** Writes tasks, and keeps what memory knows of their rows in step. */
export class TaskStore {
  readonly #in: TaskStorePorts;

  constructor(ports: TaskStorePorts) {
    this.#in = ports;
  }

  /** Inserts a new task, in the place of one whose retention is over if there is any; else as `Rows.insert`. */
  insert(tx: Tx, task: Task, key: TaskKey | null): boolean {
    const { spares, rows, counts } = this.#in;
    const spare = spares.take();
    if (spare !== null && rows.insertOver(spare, task, key)) {
      tx.after(() => counts.note(spare.id, spare.state, null));
      return true;
    }
    return rows.insert(task, key);
  }

  /** Writes a transition's result, and takes note of it once it is written. */
  write(tx: Tx, task: Task, before: Task): void {
    this.#in.rows.update(task, before);
    tx.after(() => this.noteChange(task, before.state));
  }

  /** Writes a task with another target, if it is another one. */
  move(tx: Tx, moved: Task, before: Task): void {
    if (moved === before) return;
    this.#in.rows.move(moved);
    tx.after(() => this.noteChange(moved, before.state));
  }

  /** Takes note of a row that was written: its lane, its end, its state. */
  noteChange(task: Task, stateBefore: TaskState | null): void {
    const { flights, lanes, retention, counts } = this.#in;
    flights.noteTask(task);
    if (task.lane !== null) lanes.note(task.lane, task.dueAt, task.expiresAt);
    if (task.finalizedAt !== null) retention.noteEnd(task.state, task.finalizedAt);
    counts.note(task.id, stateBefore, task.state);
  }

  /** A row whose work threw waits for so long, so that it neither spins nor stands in others' way. */
  putOff(id: string, lane: string, byMs: number): void {
    const dueAt = this.#in.now() + byMs;
    if (this.#in.rows.putOff(id, lane, dueAt)) this.#in.lanes.note(lane, dueAt);
  }

  /** The task that a grant is about: from memory while its lease is in flight, else from its row; null: gone. */
  ofGrant(grant: Pick<Grant, "kind" | "id" | "round">): Task | null {
    const known = this.#in.flights.get(grant.id)?.task;
    if (known !== undefined && (grant.kind !== "callback" || known.round === grant.round)) return known;
    return this.#in.rows.ofGrant(grant);
  }
}
