import { DatabaseSync } from "node:sqlite";
import type { SqlCursor, SqlPort, SqlRow, SqlValue } from "../../src/core/sql-port.ts";

/** A real SQLite in memory behind the port that objects' storage satisfies on the platform. */
export interface MemorySql {
  sql: SqlPort;
  /** As `transactionSync`: rolls back what `run` wrote where it throws. */
  transaction<T>(run: () => T): T;
}

export function memorySql(): MemorySql {
  const db = new DatabaseSync(":memory:");
  let depth = 0;
  return {
    sql: { exec: (query, ...bindings) => execute(db, query, bindings) },
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

function execute(db: DatabaseSync, query: string, bindings: SqlValue[]): SqlCursor {
  if (bindings.length === 0 && !/^\s*(SELECT|WITH)/i.test(query)) {
    db.exec(query);
    return { toArray: () => [], rowsWritten: 0 };
  }
  const rows = db.prepare(query).all(...bindings) as SqlRow[];
  return { toArray: () => rows, rowsWritten: 0 };
}
