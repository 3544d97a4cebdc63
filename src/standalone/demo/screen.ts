import type { TaskView } from "../../schema/task.ts";

/** Where the demo writes: a terminal, or a file or pipe. */
export interface Output {
  write(text: string): unknown;
  isTTY?: boolean;
  /** 0 or missing: not known. */
  columns?: number;
}

/** One line of the table. */
export interface Row {
  name: string;
  task: TaskView;
}

const NAME_WIDTH = 18;
const STATE_WIDTH = 11;
const DEFAULT_COLUMNS = 110;
const COLOUR_BY_STATE = {
  pending: 36,
  running: 34,
  retrying: 33,
  held: 35,
  succeeded: 32,
  failed: 31,
  cancelled: 31,
} as const;

/**
 * Shows tasks while they change: in a terminal a table that is drawn over, elsewhere a line for each change
 * of state. `isColoured` false leaves colours out.
 */
export class Screen {
  readonly #output: Output;
  readonly #isColoured: boolean;
  #linesDrawn = 0;
  readonly #shownByName = new Map<string, string>();

  constructor(output: Output, isColoured: boolean) {
    this.#output = output;
    this.#isColoured = isColoured && output.isTTY === true;
  }

  /** `elapsedMs` since the demo's first task. */
  show(rows: readonly Row[], elapsedMs: number): void {
    if (this.#output.isTTY === true) this.#draw(rows);
    else this.#tellChanges(rows, elapsedMs);
  }

  #draw(rows: readonly Row[]): void {
    const up = this.#linesDrawn === 0 ? "" : `\x1b[${this.#linesDrawn}A`;
    const lines = rows.map((row) => `\x1b[2K${this.#line(row)}\n`);
    this.#output.write(up + lines.join(""));
    this.#linesDrawn = rows.length;
  }

  #tellChanges(rows: readonly Row[], elapsedMs: number): void {
    for (const row of rows) {
      const change = `${row.task.state} ${row.task.attempt_count}`;
      if (this.#shownByName.get(row.name) === change) continue;
      this.#shownByName.set(row.name, change);
      this.#output.write(`${(elapsedMs / 1_000).toFixed(1).padStart(5)} s  ${this.#line(row)}\n`);
    }
  }

  #line({ name, task }: Row): string {
    const left = `${name.padEnd(NAME_WIDTH)}${this.#state(task)}`;
    const room = (this.#output.columns || DEFAULT_COLUMNS) - NAME_WIDTH - STATE_WIDTH - 1;
    return left + cut(task.summary, Math.max(room, 0));
  }

  #state({ state }: TaskView): string {
    const text = state.padEnd(STATE_WIDTH);
    return this.#isColoured ? `\x1b[${COLOUR_BY_STATE[state]}m${text}\x1b[0m` : text;
  }
}

function cut(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(width - 1, 0))}…`;
}
