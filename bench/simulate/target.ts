import { exponentialMs, type Random } from "./random.ts";
import { BEGIN, type Schedule } from "./schedule.ts";

/** A target of limited capacity. */
export interface TargetModel {
  /** Calls that are worked on at a time. */
  workers: number;
  /** Calls that may wait for a worker; one more is refused. */
  queue: number;
  /** Mean work for a call while none waits; exponentially distributed. */
  serviceMs: number;
  /** By how much more work a call is when the queue is full (1: twice); in between, by its share. */
  slowdown: number;
  /** Work to refuse a call, as a share of `serviceMs`. */
  refusalCost: number;
  /** One way. */
  networkMs: number;
  /** Refuses every call from so long to so long after the beginning; null: never. */
  outage: { fromMs: number; untilMs: number } | null;
  /** Share of calls that it refuses by chance, 0 to 1. */
  chanceOfFault: number;
}

/** A target under simulation. It answers 200, or 503 where its queue is full. */
export class SimTarget {
  calls = 0;
  readonly #model: TargetModel;
  readonly #schedule: Schedule;
  readonly #random: Random;
  readonly #waiting: Array<(status: 200 | 503) => void> = [];
  #busy = 0;
  /** Work of refusals that no worker has done yet. */
  #refusalMs = 0;

  constructor(model: TargetModel, schedule: Schedule, random: Random) {
    this.#model = model;
    this.#schedule = schedule;
    this.#random = random;
  }

  /** Makes a call; `answered` runs when the answer has arrived back. */
  call(answered: (status: 200 | 503) => void): void {
    const { networkMs } = this.#model;
    this.#schedule.after(networkMs, () =>
      this.#arrive((status) => this.#schedule.after(networkMs, () => answered(status))),
    );
  }

  #arrive(answer: (status: 200 | 503) => void): void {
    const { workers, queue, serviceMs, refusalCost } = this.#model;
    this.calls++;
    if (this.#fails()) {
      answer(503);
    } else if (this.#busy < workers) {
      this.#work(answer);
    } else if (this.#waiting.length < queue) {
      this.#waiting.push(answer);
    } else {
      this.#refusalMs += refusalCost * serviceMs;
      answer(503);
    }
  }

  #fails(): boolean {
    const { outage, chanceOfFault } = this.#model;
    const atMs = this.#schedule.now - BEGIN;
    const isDown = outage !== null && atMs >= outage.fromMs && atMs < outage.untilMs;
    return isDown || (chanceOfFault > 0 && this.#random() < chanceOfFault);
  }

  #work(answer: (status: 200 | 503) => void): void {
    const { queue, serviceMs, slowdown } = this.#model;
    const slower = 1 + slowdown * (this.#waiting.length / queue);
    const workMs = exponentialMs(this.#random, serviceMs * slower) + this.#refusalMs;
    this.#refusalMs = 0;
    this.#busy++;
    this.#schedule.after(workMs, () => {
      this.#busy--;
      answer(200);
      const next = this.#waiting.shift();
      if (next !== undefined) this.#work(next);
    });
  }
}
