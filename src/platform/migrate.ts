import type { SqlPort } from "./sql-port.ts";

/** One file of `migrations/`: its name without a folder, and its SQL. */
export interface Migration {
  name: string;
  sql: string;
}

/**
 * Brings a database to the newest schema: applies, in order and in one transaction, the migrations that its
 * `_migrations` table does not list. Names it does not know are those of a newer release and are left alone, since
 * migrations only ever add. Throws what the SQL throws; then nothing has changed. `now` is epoch ms.
 */
export function migrate(
  sql: SqlPort,
  transaction: (run: () => void) => void,
  migrations: readonly Migration[],
  now: number,
): void {
  transaction(() => {
    sql.exec(
      "CREATE TABLE IF NOT EXISTS _migrations (name TEXT PRIMARY KEY, applied_at INTEGER) WITHOUT ROWID",
    );
    const applied = new Set(
      sql
        .exec("SELECT name FROM _migrations")
        .toArray()
        .map((row) => row.name),
    );
    for (const { name, sql: statements } of migrations) {
      if (applied.has(name)) continue;
      sql.exec(statements);
      sql.exec("INSERT INTO _migrations (name, applied_at) VALUES (?, ?)", name, now);
    }
  });
}
