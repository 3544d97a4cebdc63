import { type Rate, rateAllows, rateNextAt, rateTake, shareOfRate } from "../../core/pressure/rate.ts";
import type { QueueConfig } from "../../protocol/queue-config.ts";

/** What the queue's rate needs of its shard. */
export interface QueueRatePort {
  now(): number;
  /** This shard's part of the rate that the queue sets; null: none. */
  rate(): Rate | null;
  /** Writes what has moved. */
  write(freeAt: number): void;
}

/** The queue's rate, as far as it is this shard's: one number, written with the claims that moved it. */
export class QueueRate {
  readonly #port: QueueRatePort;
  #freeAt = 0;
  #storedFreeAt = 0;

  constructor(port: QueueRatePort) {
    this.#port = port;
  }

  /** What a start has found on disk. */
  found(freeAt: number): void {
    this.#freeAt = this.#storedFreeAt = freeAt;
  }

  /** How many attempts may go now, out of `most`; all of them where the queue has no rate. */
  room(most: number): number {
    const rate = this.#port.rate();
    if (rate === null) return most;
    const now = this.#port.now();
    let room = 0;
    for (let freeAt = this.#freeAt; room < most && rateAllows(rate, freeAt, now); room++) {
      freeAt = rateTake(rate, freeAt, now);
    }
    return room;
  }

  /** An attempt was let go. */
  take(): void {
    const rate = this.#port.rate();
    if (rate !== null) this.#freeAt = rateTake(rate, this.#freeAt, this.#port.now());
  }

  /** When the next attempt may go; now where it may already. */
  nextAt(): number {
    const rate = this.#port.rate();
    const now = this.#port.now();
    return rate === null ? now : rateNextAt(rate, this.#freeAt, now);
  }

  /** Writes what has moved since the last commit. */
  store(): void {
    if (this.#freeAt === this.#storedFreeAt) return;
    this.#port.write(this.#freeAt);
    this.#storedFreeAt = this.#freeAt;
  }
}

/** A shard's part of the rate that a queue sets; null: it sets none. */
export function rateOf({ settings, shards }: QueueConfig): Rate | null {
  if (settings.rate === null) return null;
  const { limit, per, burst = limit } = settings.rate;
  return shareOfRate({ limit, perMs: per, burst }, shards);
}
