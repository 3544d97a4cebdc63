import type { SqlPort, SqlRow } from "../platform/sql-port.ts";
import { completeSettings, type QueueConfig } from "../protocol/queue-config.ts";

/** What a queue needs to exist, but for its ref. */
export type NewQueue = Omit<QueueConfig, "ref" | "version">;

/** The queues, as rows: one method for each verb, the statement in it. */
export class QueueRows {
  readonly #sql: SqlPort;

  constructor(sql: SqlPort) {
    this.#sql = sql;
  }

  /** Null: there is no such queue (any more). */
  byName(name: string): QueueConfig | null {
    return this.#first("SELECT * FROM queues WHERE name = ?", name);
  }

  /** Null: there is no such queue (any more). */
  byRef(ref: number): QueueConfig | null {
    return this.#first("SELECT * FROM queues WHERE ref = ?", ref);
  }

  all(): QueueConfig[] {
    return this.#sql.exec("SELECT * FROM queues ORDER BY name").toArray().map(rowToQueue);
  }

  count(): number {
    return Number(this.#sql.exec("SELECT count(*) AS number FROM queues").toArray()[0]?.number);
  }

  /** Gives the queue as stored. `ref` null: the next one that the database counts. Throws where name or ref are taken. */
  insert(queue: NewQueue, ref: number | null): QueueConfig {
    const rows = this.#sql.exec(
      `INSERT INTO queues (ref, name, shards, version, paused, settings, secrets, previous_secret_until, data_keys, created_at, updated_at)
       VALUES (?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?) RETURNING *`,
      ref,
      queue.name,
      queue.shards,
      queue.paused ? 1 : 0,
      JSON.stringify(queue.settings),
      JSON.stringify(queue.secrets),
      queue.previousSecretUntil,
      queue.dataKeys === undefined ? null : JSON.stringify(queue.dataKeys),
      queue.createdAt,
      queue.updatedAt,
    );
    return onlyRow(rows.toArray());
  }

  /** Stores what may change of a queue, with the next version, and gives it as stored. */
  update(queue: QueueConfig, now: number): QueueConfig {
    const rows = this.#sql.exec(
      `UPDATE queues SET version = version + 1, paused = ?, settings = ?, secrets = ?,
       previous_secret_until = ?, data_keys = ?, updated_at = ? WHERE ref = ? RETURNING *`,
      queue.paused ? 1 : 0,
      JSON.stringify(queue.settings),
      JSON.stringify(queue.secrets),
      queue.previousSecretUntil,
      queue.dataKeys === undefined ? null : JSON.stringify(queue.dataKeys),
      now,
      queue.ref,
    );
    return onlyRow(rows.toArray());
  }

  delete(ref: number): void {
    this.#sql.exec("DELETE FROM queues WHERE ref = ?", ref);
  }

  #first(query: string, binding: string | number): QueueConfig | null {
    const row = this.#sql.exec(query, binding).toArray()[0];
    return row === undefined ? null : rowToQueue(row);
  }
}

function onlyRow(rows: SqlRow[]): QueueConfig {
  const row = rows[0];
  if (row === undefined) throw new Error("expected the queue's row to be there, got none");
  return rowToQueue(row);
}

function rowToQueue(row: SqlRow): QueueConfig {
  return {
    name: String(row.name),
    ref: Number(row.ref),
    shards: Number(row.shards),
    version: Number(row.version),
    paused: row.paused === 1,
    settings: completeSettings(JSON.parse(String(row.settings))),
    secrets: JSON.parse(String(row.secrets)),
    previousSecretUntil: row.previous_secret_until === null ? null : Number(row.previous_secret_until),
    ...(row.data_keys !== null && { dataKeys: JSON.parse(String(row.data_keys)) }),
    createdAt: Number(row.created_at),
    updatedAt: Number(row.updated_at),
  };
}
