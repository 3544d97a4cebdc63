import { MinHeap } from "../../src/core/min-heap.ts";

/** When each run begins: an instant like those that src/core is made for. */
export const BEGIN = 1_800_000_000_000;

/** What happens when: the clock of a run. Nothing but events moves it. */
export class Schedule {
  now = BEGIN;
  readonly #events = new MinHeap<() => void>();

  /** Has `event` happen at an instant, or now where that is past. */
  at(at: number, event: () => void): void {
    this.#events.push(Math.max(at, this.now), event);
  }

  after(delayMs: number, event: () => void): void {
    this.at(this.now + delayMs, event);
  }

  /** Runs what happens up to an instant; the rest never does. */
  runUntil(end: number): void {
    for (let next = this.#events.pop(); next !== undefined && next.at <= end; next = this.#events.pop()) {
      this.now = next.at;
      next.value();
    }
    this.now = end;
  }
}
