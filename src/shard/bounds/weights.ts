import { FULL_WEIGHT, fits, PLAIN_WEIGHT, weightAllowed } from "../../core/pressure/weight.ts";

/** An object that has let so much go since its start does not end from its weight. */
const PROOF_WEIGHT = 8 * FULL_WEIGHT;

/** What the weight of calls needs of its shard. */
export interface WeightsPort {
  now(): number;
  /** What the calls in flight weigh. */
  inFlight(): number;
  /** A lane has its turns again. */
  wake(lane: string): void;
  /** Writes the mark; null: takes it off. */
  write(heavy: number | null): void;
}

/**
 * How many bytes this shard may let go, beside those in flight. More than a little is let go only once a row on disk
 * says so: an object that has run out of memory finds that row at its next start, and takes half as much at a time.
 */
export class Weights {
  readonly #port: WeightsPort;
  /** Lanes whose first row was too heavy, with its weight, in the order in which they came. */
  readonly #waiting = new Map<string, number>();
  /** What this turn has claimed that is not in flight yet. */
  #claimed = 0;
  /** How many times in a row the object had ended with a mark on disk. */
  #cutOff = 0;
  /** The mark on disk: not there, written in a commit that may not be there yet, or surely there. */
  #mark: "none" | "written" | "there" = "none";
  #isOnDisk = false;
  #wantsMark = false;
  #sinceStart = 0;

  constructor(port: WeightsPort) {
    this.#port = port;
  }

  /** What a start has found on disk: where it is a mark, what it was written for was cut off. */
  found(heavy: number | null): void {
    this.#isOnDisk = heavy !== null;
    this.#cutOff = heavy === null ? 0 : heavy + 1;
  }

  get allowed(): number {
    return this.#mark === "there" ? weightAllowed(this.#cutOff) : PLAIN_WEIGHT;
  }

  /** True where a call of this weight may go beside what is in flight, and `more`, and leaves what others wait for. */
  mayGo(weight: number, more = 0): boolean {
    const [reserved = 0] = this.#waiting.values();
    return fits(weight, { allowed: this.allowed, inFlight: this.#inFlight + more, reserved });
  }

  /** As `mayGo`, for the next row of a lane; false: the lane waits until enough has ended. */
  mayClaim(lane: string, weight: number): boolean {
    const reserved = [...this.#waiting].find(([other]) => other !== lane)?.[1] ?? 0;
    const isFirst = this.#waiting.keys().next().value === lane;
    const load = { inFlight: this.#inFlight, reserved: isFirst ? 0 : reserved };
    if (fits(weight, { ...load, allowed: this.allowed })) {
      this.#waiting.delete(lane);
      return true;
    }
    this.#waiting.set(lane, weight);
    this.#wantsMark ||= fits(weight, { ...load, allowed: weightAllowed(this.#cutOff) });
    return false;
  }

  /** True where a lane waits for heavy calls to end. */
  waits(lane: string): boolean {
    return this.#waiting.has(lane);
  }

  /** A claim was made in this turn. */
  claimed(weight: number): void {
    this.#claimed += weight;
    this.#sinceStart += weight;
  }

  /**
   * A turn begins: lanes that waited have their turns again, as far as what has ended makes room, in their order.
   * `couldGo` is true for a lane that nothing but weight is in the way of.
   */
  begin(couldGo: (lane: string) => boolean): void {
    this.#claimed = 0;
    let woken = 0;
    for (const [lane, weight] of this.#waiting) {
      const load = { allowed: this.allowed, inFlight: this.#inFlight + woken, reserved: 0 };
      const goes = couldGo(lane);
      if (goes && !fits(weight, load)) return;
      this.#port.wake(lane);
      if (goes) woken += weight;
      else this.#waiting.delete(lane);
    }
  }

  /** All is claimed. Writes the mark where more is wanted than goes without, or takes it off where nothing is heavy any more. */
  mark(): void {
    const isOver = this.#inFlight === 0 && this.#waiting.size === 0;
    if (isOver && this.#isOnDisk) this.#write(null);
    else if (this.#wantsMark && this.#mark === "none") this.#write(this.#cutOff);
    else if (this.#sinceStart > PROOF_WEIGHT && this.#cutOff > 0 && this.#isOnDisk) this.#write(0);
    this.#wantsMark = false;
    const isProven = this.#sinceStart > PROOF_WEIGHT;
    if (isOver || isProven) this.#cutOff = 0;
  }

  /** What was claimed is in flight now. */
  assigned(): void {
    this.#claimed = 0;
  }

  /** The object's alarm has gone off: what was written when it was armed is on disk. */
  alarmed(): void {
    if (this.#mark === "written") this.#mark = "there";
  }

  /** When the alarm is needed to find the mark on disk; null: it is not. */
  get wakeAt(): number | null {
    return this.#mark === "written" ? this.#port.now() + 1 : null;
  }

  get #inFlight(): number {
    return this.#port.inFlight() + this.#claimed;
  }

  #write(heavy: number | null): void {
    this.#port.write(heavy);
    this.#isOnDisk = heavy !== null;
    this.#mark = heavy === null ? "none" : "written";
  }
}
