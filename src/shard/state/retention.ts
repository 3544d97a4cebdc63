import {
  type EndedRow,
  passPauseMs,
  type Retentions,
  retentionEndsAt,
  retentionOf,
  shortestRetention,
} from "../../core/task/retention.ts";
import { DAY_MS, MINUTE_MS } from "../../schema/limits.ts";
import type { TaskState } from "../../schema/task.ts";

/** A pass that broke off begins again after this long. */
const BROKEN_PASS_MS = MINUTE_MS;
const FURTHEST_PASS_MS = 7 * DAY_MS;

/** What the retention of final tasks needs of its shard. */
export interface RetentionPort {
  now(): number;
  /** As the queue sets them now. */
  retentions(): Retentions;
  /** Writes when pruning is due. */
  write(pruneAt: number | null): void;
}

/** How long this shard keeps final tasks, and when it prunes next. */
export class Retention {
  readonly #port: RetentionPort;
  #pruneAt: number | null = null;
  /** What is on disk of it: the same, or earlier. */
  #storedAt: number | null = null;
  /** When the next pass may begin: one reads every row. */
  #notBefore = 0;

  constructor(port: RetentionPort) {
    this.#port = port;
  }

  /** What a start has found on disk. */
  found(pruneAt: number | null): void {
    this.#pruneAt = this.#storedAt = pruneAt;
  }

  /** When the first row may be pruned, at the earliest; null: none is final. */
  get pruneAt(): number | null {
    return this.#pruneAt;
  }

  /** The shorter of the queue's retentions, in milliseconds: no row is over sooner. */
  get shortestMs(): number {
    return shortestRetention(this.#port.retentions());
  }

  /** How far apart passes are, in milliseconds. */
  get passPauseMs(): number {
    return passPauseMs(this.#port.retentions());
  }

  /** When the retention of a row is over; null: it is not final, or something is in flight or waits for it. */
  endsAt(row: EndedRow): number | null {
    return retentionEndsAt(row, this.#port.retentions());
  }

  /** True where nothing is in flight or waits for this row any more, and its retention is over. */
  isOver(row: EndedRow): boolean {
    const endsAt = this.endsAt(row);
    return endsAt !== null && endsAt <= this.#port.now();
  }

  /** A task has ended in this state. */
  noteEnd(state: TaskState, finalizedAt: number): void {
    this.#note(finalizedAt + retentionOf(state, this.#port.retentions()));
  }

  /** The queue keeps tasks for a shorter time now, which may have made rows ripe. */
  noteShorter(): void {
    if (this.#pruneAt !== null) this.#note(this.#port.now() + MINUTE_MS);
  }

  /** A pass begins. What ends meanwhile is noted from nothing, since the pass may be past its row. */
  beginPass(): void {
    this.#pruneAt = null;
    this.#notBefore = this.#port.now() + this.passPauseMs;
  }

  /** The pass broke off. */
  breakPass(): void {
    this.#pruneAt = this.#port.now() + BROKEN_PASS_MS;
  }

  /** The pass is over; the first rows that it left may be over at one of these times. Writes, and returns, when the next begins. */
  endPass(times: readonly (number | null)[]): number | null {
    const now = this.#port.now();
    const known = [...times, this.#pruneAt].filter((at) => at !== null);
    const next = Math.max(Math.min(...known), now + this.passPauseMs);
    const pruneAt = known.length === 0 ? null : Math.min(next, now + FURTHEST_PASS_MS);
    this.#port.write(pruneAt);
    return pruneAt;
  }

  /** Keeps on disk when pruning is due, where that has become sooner: an object without memory has to know. */
  store(): void {
    const pruneAt = this.#pruneAt;
    if (pruneAt === null || (this.#storedAt !== null && this.#storedAt <= pruneAt)) return;
    this.#port.write(pruneAt);
    this.#storedAt = pruneAt;
  }

  #note(at: number): void {
    const pruneAt = Math.max(at, this.#notBefore);
    if (this.#pruneAt === null || pruneAt < this.#pruneAt) this.#pruneAt = pruneAt;
  }
}
