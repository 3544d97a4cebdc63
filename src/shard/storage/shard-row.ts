import type { SqlPort, SqlValue } from "../../platform/sql-port.ts";

/** What the shard's own row holds, by column. */
export interface StoredShard {
  /** The queue's settings as JSON; null: never told. */
  config: string | null;
  /** No lease that `flights` does not list is held by a task with a lower id. */
  watermark: string;
  /** 1: the queue is being deleted, and takes nothing in. */
  closed: 0 | 1;
  /** When the first row may be pruned, at the earliest; null: none is final. */
  prune_at: number | null;
  /** When the queue's operators were told last that it is stalled; null: never. */
  stalled_told_at: number | null;
  /** The mark of heavy calls in flight (bounds/weights.ts); null: none. */
  heavy: number | null;
  /** The queue's rate, as far as it is this shard's. */
  rate_free_at: number | null;
}

const COLUMNS: Readonly<Record<keyof StoredShard, (value: SqlValue | undefined) => unknown>> = {
  config: (value) => (typeof value === "string" ? value : null),
  watermark: String,
  closed: (value) => (value === 1 ? 1 : 0),
  prune_at: numberOrNull,
  stalled_told_at: numberOrNull,
  heavy: numberOrNull,
  rate_free_at: numberOrNull,
};

/** The row that a shard has of its own: there from the first migration on, one column for each fact. */
export class ShardRow {
  readonly #sql: SqlPort;

  constructor(sql: SqlPort) {
    this.#sql = sql;
  }

  /** All of it, for a start; null where the row is missing, which the migrations make. */
  read(): StoredShard | null {
    const names = Object.keys(COLUMNS).join(", ");
    const row = this.#sql.exec(`SELECT ${names} FROM shard WHERE id = 1`).toArray()[0];
    if (row === undefined) return null;
    return Object.fromEntries(
      Object.entries(COLUMNS).map(([name, read]) => [name, read(row[name])]),
    ) as unknown as StoredShard;
  }

  /** Writes one column. */
  write<K extends keyof StoredShard>(column: K, value: StoredShard[K]): void {
    this.#sql.exec(`UPDATE shard SET ${column} = ? WHERE id = 1`, value);
  }
}

function numberOrNull(value: SqlValue | undefined): number | null {
  return typeof value === "number" ? value : null;
}
