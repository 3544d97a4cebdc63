/**
 * When the max_age of a lane's first row may be over: a lower bound in memory, so that a million rows that are parked
 * are not looked through for those that are over before one of them can be.
 */
export class LaneExpiries {
  readonly #first = new Map<string, number>();

  /** A row waits in this lane from now on; `isFirst`: no other does. */
  note(lane: string, expiresAt: number, isFirst: boolean): void {
    const known = this.#first.get(lane);
    if (isFirst || (known !== undefined && expiresAt < known)) this.#first.set(lane, expiresAt);
  }

  /** The lane was looked through: its first row is over then; null: it has none. */
  looked(lane: string, firstAt: number | null): void {
    if (firstAt === null) this.forget(lane);
    else this.#first.set(lane, firstAt);
  }

  /** False where no row of the lane is over yet. */
  mayBeOver(lane: string, now: number): boolean {
    const first = this.#first.get(lane);
    return first === undefined || first <= now;
  }

  /** Nothing is known of the lane any more. */
  forget(lane: string): void {
    this.#first.delete(lane);
  }
}
