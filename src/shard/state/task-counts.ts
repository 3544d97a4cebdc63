import { isTaskRow } from "../../core/task/row-id.ts";
import type { TaskState } from "../../schema/task.ts";
import type { Rows } from "../storage/task-rows.ts";

/** Rows that one slice reads: some milliseconds, in which the shard does nothing else. */
const SLICE = 5_000;

/**
 * How many tasks of a shard are in each state: counted from the rows once somebody asks, in slices between which the
 * shard goes on, and from then on kept in memory with each change.
 */
export class TaskCounts {
  readonly #rows: Rows;
  #counts = none();
  /** The last id that is counted; null: all are. */
  #upTo: string | null = "";

  constructor(rows: Rows) {
    this.#rows = rows;
  }

  /** Counts one more slice where any is left. Returns the counts once they are whole, null before. */
  next(): Record<TaskState, number> | null {
    if (this.#upTo !== null) this.#countSlice(this.#upTo);
    return this.#upTo === null ? { ...this.#counts } : null;
  }

  /** A task's row was written: with `before` null it is new, with `after` null it is gone. */
  note(id: string, before: TaskState | null, after: TaskState | null): void {
    // What is beyond will be counted as it is by then.
    if (!isTaskRow(id) || (this.#upTo !== null && id > this.#upTo)) return;
    if (before !== null) this.#counts[before]--;
    if (after !== null) this.#counts[after]++;
  }

  /** Rows changed in a way that was not noted: all are counted anew. */
  forget(): void {
    this.#counts = none();
    this.#upTo = "";
  }

  #countSlice(after: string): void {
    const { counts, examinedTo } = this.#rows.count(after, SLICE);
    for (const [state, number] of counts) this.#counts[state] += number;
    this.#upTo = examinedTo;
  }
}

function none(): Record<TaskState, number> {
  return { pending: 0, running: 0, retrying: 0, held: 0, succeeded: 0, failed: 0, cancelled: 0 };
}
