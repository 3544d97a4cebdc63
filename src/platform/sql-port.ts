/** What a SQLite column holds, as `ctx.storage.sql` gives it. */
export type SqlValue = string | number | null | ArrayBuffer;

/** One row: values by column name. */
export type SqlRow = Record<string, SqlValue>;

/** The part of `ctx.storage.sql` that this project needs. Synchronous; several statements may stand in one query. */
export interface SqlPort {
  exec(query: string, ...bindings: SqlValue[]): { toArray(): SqlRow[]; readonly rowsWritten: number };
}
