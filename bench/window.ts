import type { TargetRun } from "./target-process.ts";

const WAIT_MS = 30_000;

/** Lets a task begin only while fewer than `most` tasks of its run are unfinished. */
export class Window {
  readonly #most: number;
  readonly #step: number;
  #run: TargetRun | null = null;
  #begun = 0;
  #finished = 0;
  #asking: Promise<void> | null = null;

  constructor(most: number) {
    this.#most = most;
    // Several tasks are let in with one question to the target.
    this.#step = Math.ceil(most / 8);
  }

  /** Resolves when one more task of `run` may begin; a run begins with an empty window. */
  async enter(run: TargetRun): Promise<void> {
    if (run !== this.#run) this.#start(run);
    while (this.#begun - this.#finished >= this.#most) {
      this.#asking ??= this.#ask(run);
      await this.#asking;
    }
    this.#begun++;
  }

  #start(run: TargetRun): void {
    this.#run = run;
    this.#begun = 0;
    this.#finished = 0;
  }

  async #ask(run: TargetRun): Promise<void> {
    const { finished } = await run.finished(this.#finished + this.#step, WAIT_MS);
    this.#asking = null;
    if (finished === this.#finished) throw new Error(`nothing has finished for ${WAIT_MS} ms`);
    this.#finished = finished;
  }
}
