import { HELD_LANE } from "../core/lane.ts";
import { MinHeap } from "../core/min-heap.ts";

/**
 * Which lanes have rows waiting, and when the first of each may be due: a cache in memory of what the index
 * says. A lane's time is a lower bound; a claim that finds nothing due tells the true one.
 */
export class Lanes {
  readonly #nextDue = new Map<string, number>();
  /** Lanes that may have due rows, in the order of their turns. */
  readonly #ready = new Set<string>();
  readonly #future = new MinHeap<string>();

  /** A row waits in this lane from now on. */
  note(lane: string, dueAt: number): void {
    const known = this.#nextDue.get(lane);
    if (known !== undefined && known <= dueAt) return;
    this.#nextDue.set(lane, dueAt);
    if (!this.#ready.has(lane)) this.#future.push(dueAt, lane);
  }

  /** A claim has looked at the lane: its next row is due then; null: it has none. It goes to the end of the line. */
  looked(lane: string, nextDueAt: number | null, now: number): void {
    this.#ready.delete(lane);
    if (nextDueAt === null) {
      this.#nextDue.delete(lane);
      return;
    }
    this.#nextDue.set(lane, nextDueAt);
    if (nextDueAt <= now) this.#ready.add(lane);
    else this.#future.push(nextDueAt, lane);
  }

  /** The lanes that may have rows due now, in the order of their turns. */
  ready(now: number): ReadonlySet<string> {
    for (let top = this.#future.peek(); top !== undefined && top.at <= now; top = this.#future.peek()) {
      this.#future.pop();
      if (this.#nextDue.get(top.value) === top.at) this.#ready.add(top.value);
    }
    return this.#ready;
  }

  /** True where a row of the lane may be due now. */
  isReady(lane: string, now: number): boolean {
    const dueAt = this.#nextDue.get(lane);
    return dueAt !== undefined && dueAt <= now;
  }

  /** Since when the row has been due that waits longest; null where none is due. */
  oldestDueAt(now: number): number | null {
    let oldest: number | null = null;
    for (const [lane, dueAt] of this.#nextDue) {
      if (lane !== HELD_LANE && dueAt <= now && (oldest === null || dueAt < oldest)) oldest = dueAt;
    }
    return oldest;
  }

  /** The first time after now at which a lane that is not ready may become so; null: never. */
  nextAt(): number | null {
    for (let top = this.#future.peek(); top !== undefined; top = this.#future.peek()) {
      if (this.#nextDue.get(top.value) === top.at && !this.#ready.has(top.value)) return top.at;
      this.#future.pop();
    }
    return null;
  }
}
