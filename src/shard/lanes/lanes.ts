import { MinHeap, pushLive } from "../../core/min-heap.ts";
import { HELD_LANE } from "../../core/task/lane.ts";
import { LaneExpiries } from "./lane-expiries.ts";

/**
 * Which lanes have rows waiting, and when the first of each may be due: a cache in memory of what the index
 * says. A lane's time is a lower bound; a claim that finds nothing due tells the true one. A lane whose target may
 * not be called is parked: a million rows, or a thousand such lanes, cost a claim nothing.
 */
export class Lanes {
  readonly expiries = new LaneExpiries();
  readonly #nextDue = new Map<string, number>();
  /** Lanes that may have due rows, in the order of their turns. */
  readonly #ready = new Set<string>();
  #future = new MinHeap<string>();
  /** Lanes that may have due rows and are out of turn: until then, or (null) until they are woken. */
  readonly #parked = new Map<string, number | null>();
  #wakes = new MinHeap<string>();

  /** A row waits in this lane from now on; `expiresAt` is left out where it may have been there before. */
  note(lane: string, dueAt: number, expiresAt?: number): void {
    const known = this.#nextDue.get(lane);
    if (expiresAt !== undefined) this.expiries.note(lane, expiresAt, known === undefined);
    if (known !== undefined && known <= dueAt) return;
    this.#nextDue.set(lane, dueAt);
    if (!this.#isDue(lane)) this.#future = pushLive(this.#future, dueAt, lane, this.#nextDue);
  }

  /** A claim has looked at the lane: its next row is due then; null: it has none. It goes to the end of the line. */
  looked(lane: string, nextDueAt: number | null, now: number): void {
    this.#ready.delete(lane);
    this.#parked.delete(lane);
    if (nextDueAt === null) {
      this.#nextDue.delete(lane);
      this.expiries.forget(lane);
      return;
    }
    this.#nextDue.set(lane, nextDueAt);
    if (nextDueAt <= now) this.#ready.add(lane);
    else this.#future = pushLive(this.#future, nextDueAt, lane, this.#nextDue);
  }

  /** Takes a lane that is ready out of turn until then; null: until it is woken. */
  park(lane: string, until: number | null): void {
    if (!this.#ready.delete(lane)) return;
    this.#parked.set(lane, until);
    if (until !== null) this.#wakes = pushLive(this.#wakes, until, lane, this.#parked);
  }

  /** A parked lane has its turns again. */
  wake(lane: string): void {
    if (this.#parked.delete(lane)) this.#ready.add(lane);
  }

  wakeAll(): void {
    for (const lane of this.#parked.keys()) this.#ready.add(lane);
    this.#parked.clear();
  }

  /** The lanes that may have rows due now and are not parked, in the order of their turns. */
  ready(now: number): ReadonlySet<string> {
    for (let top = this.#future.peek(); top !== undefined && top.at <= now; top = this.#future.peek()) {
      this.#future.pop();
      if (this.#isFuture(top)) this.#ready.add(top.value);
    }
    for (let top = this.#wakes.peek(); top !== undefined && top.at <= now; top = this.#wakes.peek()) {
      this.#wakes.pop();
      if (this.#parked.get(top.value) === top.at) this.wake(top.value);
    }
    return this.#ready;
  }

  /** All lanes that may have rows due now, the parked ones too. */
  due(now: number): string[] {
    return [...this.ready(now), ...this.#parked.keys()];
  }

  hasDue(now: number): boolean {
    return this.ready(now).size > 0 || this.#parked.size > 0;
  }

  /** True where a row of the lane may be due now, be it parked or not. */
  isReady(lane: string, now: number): boolean {
    const dueAt = this.#nextDue.get(lane);
    return dueAt !== undefined && dueAt <= now;
  }

  /** Of the lanes that count, the one whose first row may have been due longest, and since when; null: none is due. */
  oldest(now: number, counts: (lane: string) => boolean): { lane: string; dueAt: number } | null {
    let oldest: { lane: string; dueAt: number } | null = null;
    for (const [lane, dueAt] of this.#nextDue) {
      if (lane === HELD_LANE || dueAt > now || (oldest !== null && dueAt >= oldest.dueAt)) continue;
      if (counts(lane)) oldest = { lane, dueAt };
    }
    return oldest;
  }

  /** Lanes of which is only known that something waits in them: what a start notes, with 0. */
  unknown(): string[] {
    return [...this.#nextDue].filter(([, dueAt]) => dueAt === 0).map(([lane]) => lane);
  }

  /** The lane's first row is due then, as its rows say; null: it has none. It keeps its turn where it is due. */
  correct(lane: string, dueAt: number | null, now: number): void {
    if (dueAt === null || dueAt > now) {
      this.looked(lane, dueAt, now);
      return;
    }
    this.#nextDue.set(lane, dueAt);
    if (!this.#isDue(lane)) this.#future = pushLive(this.#future, dueAt, lane, this.#nextDue);
  }

  /** The first time after now at which a lane that is not ready may become so; null: never. */
  nextAt(): number | null {
    const dueAt = firstOf(this.#future, (top) => this.#isFuture(top));
    const wakeAt = firstOf(this.#wakes, ({ at, value }) => this.#parked.get(value) === at);
    if (dueAt === null || wakeAt === null) return dueAt ?? wakeAt;
    return Math.min(dueAt, wakeAt);
  }

  /** Entries in memory, of due times and wakes, for measurements: some hundred at most beside the lanes' own. */
  get entries(): number {
    return this.#future.size + this.#wakes.size;
  }

  #isDue(lane: string): boolean {
    return this.#ready.has(lane) || this.#parked.has(lane);
  }

  #isFuture({ at, value }: { at: number; value: string }): boolean {
    return this.#nextDue.get(value) === at && !this.#isDue(value);
  }
}

/** The time of the first entry that still holds; those before it go. */
function firstOf(
  heap: MinHeap<string>,
  holds: (entry: { at: number; value: string }) => boolean,
): number | null {
  for (let top = heap.peek(); top !== undefined; top = heap.peek()) {
    if (holds(top)) return top.at;
    heap.pop();
  }
  return null;
}
