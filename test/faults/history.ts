import { createHash } from "node:crypto";

/** Lines that are kept for a failing seed. */
const KEPT_LINES = 60_000;
const SHOWN_ABOUT = 60;
const SHOWN_LAST = 40;

/** What must always hold did not. */
export class Violation extends Error {
  override name = "Violation";
  readonly invariant: string;
  /** What it is about (a task's id, a shard, a target): the history is searched for these. */
  readonly about: readonly string[];

  constructor(invariant: string, detail: string, about: readonly string[]) {
    super(`${invariant}: ${detail}`);
    this.invariant = invariant;
    this.about = about;
  }
}

/** All that happened in a run, as lines: a hash of them all, and the last ones to read. */
export class History {
  readonly #hash = createHash("sha256");
  #lines: string[] = [];
  readonly #startedAt: number;
  /** Lines written so far. */
  count = 0;

  /** `startedAt`: the instant that lines count from, epoch ms. */
  constructor(startedAt: number) {
    this.#startedAt = startedAt;
  }

  /** Notes what happened at an instant (epoch ms), and where. */
  note(at: number, where: string, what: string): void {
    const line = `${((at - this.#startedAt) / 1_000).toFixed(3).padStart(11)} ${where.padEnd(12)} ${what}`;
    this.#hash.update(line);
    this.count++;
    this.#lines.push(line);
    if (this.#lines.length > 2 * KEPT_LINES) this.#lines = this.#lines.slice(-KEPT_LINES);
  }

  /** The hash of every line so far, in hex. */
  digest(): string {
    return this.#hash.copy().digest("hex");
  }

  /** The last lines about these names, then the last of all. Seconds since the start come first. */
  show(about: readonly string[]): string {
    const found = this.#lines.filter((line) => about.some((name) => line.includes(name)));
    const last = this.#lines.slice(-SHOWN_LAST);
    return [
      `--- the last ${SHOWN_ABOUT} lines about ${about.join(", ")}`,
      ...found.slice(-SHOWN_ABOUT),
      `--- the last ${SHOWN_LAST} lines of all`,
      ...last,
    ].join("\n");
  }
}
