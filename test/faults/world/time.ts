import { MinHeap } from "../../../src/core/min-heap.ts";

/** Taken before anything replaces it: one turn of the real event loop, in which every microtask runs to its end. */
const nextTurn = setImmediate;

/** The simulated time, and everything that is still to happen in it. */
export class SimTime {
  /** Epoch milliseconds. */
  now: number;
  #events = new MinHeap<() => void>();

  constructor(now: number) {
    this.now = now;
  }

  /** Runs `event` at this instant, or as soon as others of the same instant are done. */
  at(at: number, event: () => void): void {
    this.#events.push(Math.max(at, this.now), event);
  }

  /** Runs `event` so many milliseconds from now. */
  after(ms: number, event: () => void): void {
    this.at(this.now + ms, event);
  }

  /** Runs the next event, and all that follows from it without waiting. False: there is none. */
  async step(): Promise<boolean> {
    const event = this.#events.pop();
    if (event === undefined) return false;
    this.now = event.at;
    event.value();
    await new Promise((resolve) => nextTurn(resolve));
    return true;
  }
}
