import type { QueueConfig } from "../../protocol/queue-config.ts";
import type { Tx } from "../storage/group-commit.ts";
import type { ShardRow, StoredShard } from "../storage/shard-row.ts";

/** What a shard knows of itself. */
interface Facts {
  config: QueueConfig | null;
  closed: boolean;
  watermark: string;
  stalledToldAt: number;
}

/** What a shard knows of itself: its row, and what memory has of it. A change is made in memory once it is written. */
export class OwnRow {
  readonly #shard: string;
  readonly #row: ShardRow;
  #facts: Facts = { config: null, closed: false, watermark: "", stalledToldAt: 0 };

  constructor(shard: string, row: ShardRow) {
    this.#shard = shard;
    this.#row = row;
  }

  /** All that the row holds, for a start. Throws if it is missing: the migrations make it. */
  read(): StoredShard {
    const stored = this.#row.read();
    if (stored === null) throw new Error(`shard ${this.#shard} has no row of its own`);
    return stored;
  }

  /** What a start has found on disk. */
  found(facts: Facts): void {
    this.#facts = facts;
  }

  /** The queue's settings as last told; null until the first submit or configure. */
  get config(): QueueConfig | null {
    return this.#facts.config;
  }

  /** The same. Throws if the shard was never told any: no task can be in it then. */
  get queue(): QueueConfig {
    const { config } = this.#facts;
    if (config === null) throw new Error(`shard ${this.#shard} has no settings`);
    return config;
  }

  /** The queue is being deleted, and takes nothing in. */
  get closed(): boolean {
    return this.#facts.closed;
  }

  /** No lease that `flights` does not list is held by a task with a lower id. */
  get watermark(): string {
    return this.#facts.watermark;
  }

  /** When the queue's operators were told last that it is stalled; 0: never. */
  get stalledToldAt(): number {
    return this.#facts.stalledToldAt;
  }

  /** Takes new settings, written as they were told; `config` is what this release makes of them. */
  setConfig(tx: Tx, told: QueueConfig, config: QueueConfig): void {
    this.#row.write("config", JSON.stringify(told));
    this.#after(tx, { config });
  }

  setClosed(tx: Tx, closed: boolean): void {
    this.#row.write("closed", closed ? 1 : 0);
    this.#after(tx, { closed });
  }

  setWatermark(tx: Tx, watermark: string): void {
    this.#row.write("watermark", watermark);
    this.#after(tx, { watermark });
  }

  setStalledToldAt(tx: Tx, at: number): void {
    this.#row.write("stalled_told_at", at);
    this.#after(tx, { stalledToldAt: at });
  }

  /** All rows are gone: there is no queue any more. */
  forgetQueue(): void {
    this.#facts = { ...this.#facts, config: null };
  }

  #after(tx: Tx, change: Partial<Facts>): void {
    tx.after(() => {
      this.#facts = { ...this.#facts, ...change };
    });
  }
}
