import { DatabaseSync, type StatementSync } from "node:sqlite";
import type { SqlPort, SqlRow, SqlValue } from "../../../src/platform/sql-port.ts";

/** A real SQLite in memory behind the port that objects' storage satisfies on the platform. */
export interface MemorySql {
  sql: SqlPort;
  /** As `transactionSync`: rolls back what `run` wrote where it throws. */
  transaction<T>(run: () => T): T;
}

export function memorySql(): MemorySql {
  return sqlOf(new DatabaseSync(":memory:"));
}

/** The same on a file, in the journal mode of the platform. Whoever asks removes the file. */
export function fileSql(path: string): MemorySql {
  const db = new DatabaseSync(path);
  db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL");
  return sqlOf(db);
}

function sqlOf(db: DatabaseSync): MemorySql {
  const prepared = new Map<string, StatementSync>();
  let depth = 0;
  return {
    sql: { exec: (query, ...bindings) => execute(db, prepared, query, bindings) },
    transaction(run) {
      const savepoint = `s${depth++}`;
      db.exec(`SAVEPOINT ${savepoint}`);
      try {
        const value = run();
        db.exec(`RELEASE ${savepoint}`);
        return value;
      } catch (error) {
        db.exec(`ROLLBACK TO ${savepoint}`);
        db.exec(`RELEASE ${savepoint}`);
        throw error;
      } finally {
        depth--;
      }
    },
  };
}

function execute(
  db: DatabaseSync,
  prepared: Map<string, StatementSync>,
  query: string,
  bindings: SqlValue[],
): ReturnType<SqlPort["exec"]> {
  if (bindings.length === 0 && !/^\s*(SELECT|WITH)/i.test(query)) {
    db.exec(query);
    return { toArray: () => [], rowsWritten: 0 };
  }
  const statement = prepared.get(query) ?? db.prepare(query);
  prepared.set(query, statement);
  const values = bindings.map(bindable);
  if (statement.columns().length === 0) {
    const { changes } = statement.run(...values);
    return { toArray: () => [], rowsWritten: Number(changes) };
  }
  const rows = statement.all(...values) as SqlRow[];
  return { toArray: () => rows, rowsWritten: 0 };
}

function bindable(value: SqlValue): string | number | null | Uint8Array {
  return value instanceof ArrayBuffer ? new Uint8Array(value) : value;
}
