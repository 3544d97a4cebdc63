import { type Rate, rateAllows, rateNextAt, rateTake, shareOfRate } from "../../core/pressure/rate.ts";
import type { ShardContext } from "./context.ts";

/** The queue's rate, as far as it is this shard's: one number, written with the claims that moved it. */
export class QueueRate {
  readonly #ctx: ShardContext;
  #freeAt: number;
  #storedFreeAt: number;

  constructor(ctx: ShardContext) {
    this.#ctx = ctx;
    const row = ctx.sql.exec("SELECT rate_free_at FROM shard WHERE id = 1").toArray()[0];
    this.#freeAt = this.#storedFreeAt = Number(row?.rate_free_at ?? 0);
  }

  /** How many attempts may go now, out of `most`; all of them where the queue has no rate. */
  room(most: number): number {
    const rate = this.#rate;
    if (rate === null) return most;
    const now = this.#ctx.now();
    let room = 0;
    for (let freeAt = this.#freeAt; room < most && rateAllows(rate, freeAt, now); room++) {
      freeAt = rateTake(rate, freeAt, now);
    }
    return room;
  }

  /** An attempt was let go. */
  take(): void {
    const rate = this.#rate;
    if (rate !== null) this.#freeAt = rateTake(rate, this.#freeAt, this.#ctx.now());
  }

  /** When the next attempt may go; now where it may already. */
  nextAt(): number {
    const rate = this.#rate;
    const now = this.#ctx.now();
    return rate === null ? now : rateNextAt(rate, this.#freeAt, now);
  }

  /** Writes what has moved since the last commit. */
  store(): void {
    if (this.#freeAt === this.#storedFreeAt) return;
    this.#ctx.sql.exec("UPDATE shard SET rate_free_at = ? WHERE id = 1", this.#freeAt);
    this.#storedFreeAt = this.#freeAt;
  }

  get #rate(): Rate | null {
    const { settings, shards } = this.#ctx.queue;
    if (settings.rate === null) return null;
    const { limit, per, burst = limit } = settings.rate;
    return shareOfRate({ limit, perMs: per, burst }, shards);
  }
}
