/** How the target treats the tasks of one run, and what it takes for the run to be complete. */
export interface RunPlan {
  tasks: number;
  /** The first so many calls of each task are answered 503. */
  failures: number;
  delayMs: number;
  /** Whether each task ends with a callback; else the run is complete with the last successful call. */
  callbacks: boolean;
}

/** What has reached the target in a run. Instants are monotonic milliseconds of the machine. */
export interface RunCounts {
  calls: number;
  /** Tasks with a call that was answered 200. */
  succeeded: number;
  /** Tasks whose callback has arrived. */
  callbacks: number;
  /** Callbacks beyond the first of a task: at least once, not exactly once. */
  repeated: number;
  /** Tasks that have nothing left to come. */
  finished: number;
  /** When the last of them finished. */
  finishedAt: number;
}

/** The calls and callbacks of one run, counted by task. */
export class Run {
  readonly plan: RunPlan;
  /** Arrival of each task's first callback; 0: none yet. */
  readonly callbackAt: Float64Array;
  readonly #callsOf: Uint32Array;
  readonly #counts: RunCounts = {
    calls: 0,
    succeeded: 0,
    callbacks: 0,
    repeated: 0,
    finished: 0,
    finishedAt: 0,
  };
  readonly #waiters = new Set<Waiter>();

  constructor(plan: RunPlan) {
    this.plan = plan;
    this.callbackAt = new Float64Array(plan.tasks);
    this.#callsOf = new Uint32Array(plan.tasks);
  }

  /** Counts a task's call; returns the status to answer it with. */
  receiveCall(n: number, at: number): 200 | 503 {
    const counts = this.#counts;
    counts.calls++;
    const number = (this.#callsOf[n] ?? 0) + 1;
    this.#callsOf[n] = number;
    if (number <= this.plan.failures) return 503;
    if (number === this.plan.failures + 1) {
      counts.succeeded++;
      if (!this.plan.callbacks) this.#finishOne(at);
    }
    return 200;
  }

  /** Counts a task's callback. */
  receiveCallback(n: number, at: number): void {
    if (this.callbackAt[n] !== 0) {
      this.#counts.repeated++;
      return;
    }
    this.callbackAt[n] = at;
    this.#counts.callbacks++;
    this.#finishOne(at);
  }

  /** Tells the counts once so many tasks have finished, or as they are after `withinMs`. */
  whenFinished(count: number, withinMs: number, tell: (counts: RunCounts) => void): void {
    const waiter: Waiter = {
      count,
      done: () => {
        clearTimeout(timer);
        this.#waiters.delete(waiter);
        tell(this.#counts);
      },
    };
    const timer = setTimeout(waiter.done, withinMs);
    this.#waiters.add(waiter);
    if (this.#counts.finished >= count) waiter.done();
  }

  #finishOne(at: number): void {
    const finished = ++this.#counts.finished;
    this.#counts.finishedAt = at;
    for (const waiter of [...this.#waiters]) if (finished >= waiter.count) waiter.done();
  }
}

interface Waiter {
  count: number;
  done(): void;
}
