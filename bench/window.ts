import type { TargetRun } from "./target-process.ts";

const WAIT_MS = 30_000;

/** Lets a task of a run begin only while fewer than `most` of them are unfinished. */
export class Window {
  readonly #most: number;
  readonly #run: TargetRun;
  #begun = 0;
  #finished = 0;
  #asking: Promise<void> | null = null;

  constructor(most: number, run: TargetRun) {
    this.#most = most;
    this.#run = run;
  }

  /** Resolves when one more task may begin. Rejects where none ends for half a minute. */
  async enter(): Promise<void> {
    while (this.#begun - this.#finished >= this.#most) {
      this.#asking ??= this.#ask();
      await this.#asking;
    }
    this.#begun++;
  }

  async #ask(): Promise<void> {
    // One question to the target lets several tasks in.
    const step = Math.ceil(this.#most / 8);
    const { finished } = await this.#run.finished(this.#finished + step, WAIT_MS);
    this.#asking = null;
    if (finished === this.#finished) throw new Error(`no task has ended for ${WAIT_MS / 1_000} s`);
    this.#finished = finished;
  }
}
