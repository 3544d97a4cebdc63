import type { SqlPort, SqlRow } from "../platform/sql-port.ts";
import type { KeyRecord } from "../protocol/catalog-api.ts";

/** The API keys, as rows: one method for each verb, the statement in it. */
export class KeyRows {
  readonly #sql: SqlPort;

  constructor(sql: SqlPort) {
    this.#sql = sql;
  }

  /** Null: there is no such key (any more). */
  byId(id: string): KeyRecord | null {
    const row = this.#sql.exec("SELECT * FROM keys WHERE id = ?", id).toArray()[0];
    return row === undefined ? null : rowToKey(row);
  }

  all(): KeyRecord[] {
    return this.#sql.exec("SELECT * FROM keys ORDER BY created_at, id").toArray().map(rowToKey);
  }

  count(): number {
    return Number(this.#sql.exec("SELECT count(*) AS number FROM keys").toArray()[0]?.number);
  }

  insert(key: KeyRecord): void {
    this.#sql.exec(
      "INSERT INTO keys (id, name, hash, scopes, queues, created_at) VALUES (?, ?, ?, ?, ?, ?)",
      key.id,
      key.name,
      key.hash,
      JSON.stringify(key.scopes),
      key.queues === null ? null : JSON.stringify(key.queues),
      key.createdAt,
    );
  }

  /** False: there was none. */
  delete(id: string): boolean {
    return this.#sql.exec("DELETE FROM keys WHERE id = ? RETURNING id", id).toArray().length > 0;
  }
}

function rowToKey(row: SqlRow): KeyRecord {
  return {
    id: String(row.id),
    name: String(row.name),
    hash: String(row.hash),
    scopes: JSON.parse(String(row.scopes)),
    queues: row.queues === null ? null : JSON.parse(String(row.queues)),
    createdAt: Number(row.created_at),
  };
}
