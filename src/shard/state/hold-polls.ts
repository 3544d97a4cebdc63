import type { Grant } from "../../protocol/grant.ts";
import { Lanes } from "../lanes/lanes.ts";
import type { PollRows } from "../storage/poll-rows.ts";

/** The polls that held tasks wait for: their rows, the lines in which they wait for their targets, and whose turn it is. */
export class HoldPolls {
  readonly rows: PollRows;
  /** Apart from the lines of tasks: what is held never stands before what is not. */
  readonly lanes = new Lanes();
  #attemptsSince = 0;

  constructor(rows: PollRows) {
    this.rows = rows;
  }

  /** Attempts let go since the last poll. */
  get attemptsSince(): number {
    return this.#attemptsSince;
  }

  /** A call was let go. */
  noteLetGo(kind: Grant["kind"]): void {
    if (kind === "attempt") this.#attemptsSince++;
    if (kind === "probe") this.#attemptsSince = 0;
  }

  /** Something waits in these lanes, by what the rows say. */
  noteLanes(): void {
    for (const lane of this.rows.lanes()) this.lanes.note(lane, 0);
  }
}
