import { DatabaseSync } from "node:sqlite";
import { beforeEach, describe, expect, test } from "vitest";
import { migrate } from "../../src/platform/migrate.ts";
import type { SqlPort, SqlRow } from "../../src/platform/sql-port.ts";

const FIRST = { name: "0001_init.sql", sql: "CREATE TABLE a (x INTEGER); CREATE TABLE b (y INTEGER)" };
const SECOND = { name: "0002_more.sql", sql: "ALTER TABLE a ADD COLUMN z INTEGER DEFAULT 7" };

let database: DatabaseSync;

/** `ctx.storage.sql` runs several statements in one call; node:sqlite needs `exec` for that. */
const sql: SqlPort = {
  exec(query, ...bindings) {
    if (bindings.length === 0 && !query.startsWith("SELECT")) {
      database.exec(query);
      return { toArray: () => [], rowsWritten: 0 };
    }
    const rows = database.prepare(query).all(...(bindings as (string | number | null)[]));
    return { toArray: () => rows as SqlRow[], rowsWritten: 0 };
  },
};

function transaction(run: () => void): void {
  database.exec("BEGIN");
  try {
    run();
    database.exec("COMMIT");
  } catch (error) {
    database.exec("ROLLBACK");
    throw error;
  }
}

function applied(): unknown[] {
  return database
    .prepare("SELECT name, applied_at FROM _migrations ORDER BY name")
    .all()
    .map((row) => ({ ...row }));
}

beforeEach(() => {
  database = new DatabaseSync(":memory:");
});

describe("migrate", () => {
  test("applies every migration to an empty database and records when", () => {
    migrate(sql, transaction, [FIRST, SECOND], 5);
    database.exec("INSERT INTO a (x) VALUES (1)");
    expect({ ...database.prepare("SELECT * FROM a").get() }).toEqual({ x: 1, z: 7 });
    expect(applied()).toEqual([
      { name: FIRST.name, applied_at: 5 },
      { name: SECOND.name, applied_at: 5 },
    ]);
  });

  test("applies to an older database only what it lacks, and keeps its rows", () => {
    migrate(sql, transaction, [FIRST], 5);
    database.exec("INSERT INTO a (x) VALUES (1)");
    migrate(sql, transaction, [FIRST, SECOND], 9);
    expect({ ...database.prepare("SELECT * FROM a").get() }).toEqual({ x: 1, z: 7 });
    expect(applied()).toEqual([
      { name: FIRST.name, applied_at: 5 },
      { name: SECOND.name, applied_at: 9 },
    ]);
  });

  test("changes nothing when run again", () => {
    migrate(sql, transaction, [FIRST], 5);
    migrate(sql, transaction, [FIRST], 9);
    expect(applied()).toEqual([{ name: FIRST.name, applied_at: 5 }]);
  });

  test("leaves the migrations of a newer release alone", () => {
    migrate(sql, transaction, [FIRST, SECOND], 5);
    migrate(sql, transaction, [FIRST], 9);
    expect(applied()).toHaveLength(2);
  });

  test("changes nothing when a statement fails", () => {
    const broken = { name: "0002_broken.sql", sql: "CREATE TABLE c (x INTEGER); CREATE TABLE a (x INTEGER)" };
    expect(() => migrate(sql, transaction, [FIRST, broken], 5)).toThrow(/already exists/);
    expect(database.prepare("SELECT name FROM sqlite_master").all()).toEqual([]);
  });
});
