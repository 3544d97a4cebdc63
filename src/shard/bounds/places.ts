import { placesFor, placesLeft } from "../../core/pressure/places.ts";

/**
 * The places for calls of one process. On plain workerd all objects live in one isolate and share these. What a shard
 * has is told as a whole number each time, never added to: an object that is lost and made again leaves nothing taken.
 */
export class Places {
  readonly total: number;
  readonly #byShard = new Map<string, { queue: string; count: number }>();
  readonly #takenByQueue = new Map<string, number>();
  /** Shards that wait, by queue, in the order of their turns. */
  readonly #waiting = new Map<string, Set<string>>();

  constructor(total: number) {
    this.total = total;
  }

  /** The shard has so many calls under way. */
  has(shard: string, queue: string, count: number): void {
    const before = this.#byShard.get(shard);
    if (before?.count === count && before.queue === queue) return;
    if (before !== undefined) this.#add(before.queue, -before.count);
    this.#add(queue, count);
    if (count > 0) this.#byShard.set(shard, { queue, count });
    else this.#byShard.delete(shard);
  }

  /** How many more calls this queue may begin now. */
  left(queue: string): number {
    const waiting = new Set(this.#waiting.keys());
    return placesLeft({ total: this.total, takenByQueue: this.#takenByQueue, waiting }, queue);
  }

  /** The shard has calls to make, and no place for them; or (`waits` false) that is so no longer. */
  waits(shard: string, queue: string, waits: boolean): void {
    const shards = this.#waiting.get(queue);
    if (waits) {
      if (shards === undefined) this.#waiting.set(queue, new Set([shard]));
      else shards.add(shard);
    } else if (shards?.delete(shard) && shards.size === 0) this.#waiting.delete(queue);
  }

  /** The shard whose turn it is, of those that wait and may have a place now: it is to be woken. Null: none. */
  next(): string | null {
    for (const [queue, shards] of this.#waiting) {
      if (this.left(queue) === 0) continue;
      const [shard] = shards;
      if (shard === undefined) continue;
      shards.delete(shard);
      this.#waiting.delete(queue);
      // Its queue stands last from now on.
      if (shards.size > 0) this.#waiting.set(queue, shards);
      return shard;
    }
    return null;
  }

  #add(queue: string, by: number): void {
    const taken = (this.#takenByQueue.get(queue) ?? 0) + by;
    if (taken > 0) this.#takenByQueue.set(queue, taken);
    else this.#takenByQueue.delete(queue);
  }
}

let shared: Places | null = null;

/** The places of this process; null where it was not told how many files it may have open, as on Cloudflare. */
export function sharedPlaces(openFiles: string | undefined): Places | null {
  const limit = Number(openFiles);
  if (openFiles === undefined || !Number.isSafeInteger(limit) || limit <= 0) return null;
  shared ??= new Places(placesFor(limit));
  return shared;
}
