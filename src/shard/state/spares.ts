import { isTaskRow } from "../../core/task/row-id.ts";
import { taskIdFloor } from "../../core/task/task-id.ts";
import { MINUTE_MS, SECOND_MS } from "../../schema/limits.ts";
import type { TaskState } from "../../schema/task.ts";
import { endOf, type Rows, type Spare } from "../storage/task-rows.ts";
import type { Retention } from "./retention.ts";

/** Rows that one look reads. */
const SLICE = 500;

/** A look that found all there was is followed by the next after this long. */
const LOOK_PAUSE_MS = SECOND_MS;

/** Most tasks have ended so long after they were made: looks go from row to row once, and what ends later is pruned. */
const USUAL_DURATION_MS = MINUTE_MS;

/** What spare rows need of their shard. */
export interface SparesPort {
  now(): number;
  rows: Pick<Rows, "oldestToReuse">;
  retention: Pick<Retention, "isOver" | "passPauseMs" | "shortestMs">;
}

/**
 * Finds rows that new tasks may take the place of: to write a row over is one row written, to delete it and insert
 * another is two. Under steady load as many tasks come as were taken in when those that are over now were, so that
 * pruning costs nothing; what is left over is deleted by a pass of pruning.
 */
export class Spares {
  readonly #port: SparesPort;
  #found: Spare[] = [];
  /** Rows up to this id have been looked at. */
  #lookedTo = "";
  #nextLookAt = 0;

  constructor(port: SparesPort) {
    this.#port = port;
  }

  /** One that was over when it was found; its row may have changed since. Null: none is known. */
  take(): Spare | null {
    if (this.#found.length === 0 && this.#nextLookAt <= this.#port.now()) this.#look();
    return this.#found.pop() ?? null;
  }

  /** Rows were deleted, or are kept for longer: what was found may not hold. */
  forget(): void {
    this.#found = [];
  }

  #look(): void {
    const { rows: stored, retention } = this.#port;
    const now = this.#port.now();
    const overAt = now - retention.shortestMs - USUAL_DURATION_MS;
    // What is older was there for the last pass, or is for the next.
    const fromId = maxOf(this.#lookedTo, idAt(overAt - retention.passPauseMs));
    const rows = stored.oldestToReuse(fromId, idAt(overAt), SLICE);
    this.#lookedTo = maxOf(fromId, String(rows.at(-1)?.id ?? ""));
    if (rows.length < SLICE) this.#nextLookAt = now + LOOK_PAUSE_MS;
    this.#found = rows
      .filter((row) => isTaskRow(String(row.id)) && row.bodies === 0 && retention.isOver(endOf(row)))
      .map((row) => ({
        id: String(row.id),
        state: row.state as TaskState,
        finalizedAt: Number(row.finalized_at),
      }))
      .reverse();
  }
}

/** The lowest id of a task made at this instant. */
function idAt(at: number): string {
  return taskIdFloor(Math.max(0, at));
}

function maxOf(a: string, b: string): string {
  return a > b ? a : b;
}
