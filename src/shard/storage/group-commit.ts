/** How long a busy shard gathers operations before it commits them together. */
const GATHER_MS = 8;

/** A shard is busy while operations come closer together than this, on average: some 250 a second. */
const BUSY_GAP_MS = 4;

/** The average follows the last ten gaps or so; a pause counts as no more than this. */
const GAP_WEIGHT = 0.1;

const LONGEST_GAP_MS = 100;

/** What an operation is handed: a place for changes to memory, which are made only once it has succeeded. */
export interface Tx {
  after(change: () => void): void;
}

interface Waiting {
  /** Runs the operation; answers only when the whole group is ready to commit. */
  run: () => { answer: () => void; reject: (error: unknown) => void };
}

/** What the group needs of its object. */
export interface GroupPorts {
  /** Runs in a transaction of its own: a throw rolls it back, and it alone. */
  transaction<T>(run: () => T): T;
  now(): number;
  wait(ms: number): Promise<void>;
  /** Called after the operations of a group, before the commit: claims, flights, the alarm. */
  beforeCommit(): void;
}

/**
 * Runs operations in groups that share one commit: all run without an await between them, so the runtime
 * commits them together, and output gates make every answer wait for that commit. Operations run in the order
 * in which they were given. One that throws rolls back and rejects alone. A quiet shard runs a group at once; a
 * busy one gathers for 8 ms, since a commit costs more than all the operations in it.
 */
export class GroupCommit {
  readonly #ports: GroupPorts;
  #queue: Waiting[] = [];
  #scheduled = false;
  #lastAt = 0;
  #gapMs = LONGEST_GAP_MS;
  /** Groups committed since the object started; for measurements. */
  commits = 0;

  constructor(ports: GroupPorts) {
    this.#ports = ports;
  }

  /** Runs `operation` in the next group; resolves with what it returns, rejects with what it throws. */
  run<T>(operation: (tx: Tx) => T): Promise<T> {
    const result = new Promise<T>((resolve, reject) => {
      this.#queue.push({ run: () => this.#runOne(operation, resolve, reject) });
    });
    this.#schedule();
    return result;
  }

  #schedule(): void {
    this.#noteGap();
    if (this.#scheduled) return;
    this.#scheduled = true;
    const gathered = this.#gapMs < BUSY_GAP_MS ? this.#ports.wait(GATHER_MS) : Promise.resolve();
    void gathered.then(() => this.#flush());
  }

  #noteGap(): void {
    const now = this.#ports.now();
    const gapMs = Math.min(LONGEST_GAP_MS, Math.max(0, now - this.#lastAt));
    this.#lastAt = now;
    this.#gapMs += GAP_WEIGHT * (gapMs - this.#gapMs);
  }

  #flush(): void {
    const group = this.#queue;
    this.#queue = [];
    this.#scheduled = false;
    this.commits++;
    const ran = group.map((waiting) => waiting.run());
    try {
      this.#ports.beforeCommit();
    } catch (error) {
      // Storage that cannot take the alarm cannot be trusted with the rest: callers ask again.
      for (const { reject } of ran) reject(error);
      return;
    }
    for (const { answer } of ran) answer();
  }

  #runOne<T>(operation: (tx: Tx) => T, resolve: (value: T) => void, reject: (error: unknown) => void) {
    const changes: (() => void)[] = [];
    try {
      const value = this.#ports.transaction(() => operation({ after: (change) => changes.push(change) }));
      for (const change of changes) change();
      return { answer: () => resolve(value), reject };
    } catch (error) {
      return { answer: () => reject(error), reject };
    }
  }
}
