import { AGED_EVERY, agedAmong, sinceAged } from "../../core/pressure/ageing.ts";

/** Whose turn it is in a lane, by priority or by age: counted in memory, for lanes in which something is due. */
export class LaneTurns {
  readonly #since = new Map<string, number>();

  /** How many of a lane's next `count` grants go to what has been due longest. */
  agedAmong(lane: string, count: number): number {
    return agedAmong(this.#since.get(lane) ?? 0, count);
  }

  /** A lane had so many grants, `aged` of them by age. */
  granted(lane: string, count: number, aged: number): void {
    if (count > 0) this.#since.set(lane, sinceAged(this.#since.get(lane) ?? 0, count, aged));
  }

  /** Nothing that is due waits in the lane any more. */
  forget(lane: string): void {
    this.#since.delete(lane);
  }

  /**
   * A shard has started, and nobody knows how many grants the lane had. It begins anywhere: one that always began at
   * 0 would never come to 8 where each grant takes longer than its object stays up.
   */
  startAnywhere(lane: string, random: () => number): void {
    this.#since.set(lane, Math.floor(random() * AGED_EVERY));
  }
}
