import type { SqlPort, SqlRow, SqlValue } from "../../../src/platform/sql-port.ts";
import { memorySql } from "../../support/shard/sqlite.ts";

/** One version of a row of `tasks`, in the order of the writes. `gone`: the row was deleted. */
export interface RowVersion {
  id: string;
  gone: boolean;
  state: string;
  target: string;
  lane: string | null;
  dueAt: number;
  expiresAt: number;
  round: number;
  attempt: number;
  attemptsBefore: number;
  lease: number;
  leaseUntil: number | null;
  settledLease: number;
  finalizedAt: number | null;
  reason: string | null;
  callback: { state: string; lane: string; attempt: number; url: string } | null;
}

const COLUMNS =
  "id, state, target, lane, due_at, expires_at, round, attempt, attempts_before, lease, lease_until, settled_lease, finalized_at, reason, callback";

/** An object's storage: a real SQLite in memory, whose writes since the last commit are kept or lost as a whole. */
export class SimStorage {
  readonly #memory = memorySql();
  #isOpen = false;
  #isWatched = false;
  /** Something was written that is not committed. */
  wrote = false;
  /** Something of the table `targets` was. */
  wroteTargets = false;
  /** Something of the table `polls` was. */
  wrotePolls = false;
  /** Called before anything is written. */
  onWrite: () => void = () => undefined;

  /** The storage as one life of its object has it: from its end on every access fails. */
  of(life: { readonly alive: boolean }): { sql: SqlPort; transaction<T>(run: () => T): T } {
    const check = () => {
      if (!life.alive) throw new Error("Durable Object reset because its code was updated.");
    };
    return {
      sql: {
        exec: (query, ...bindings) => {
          check();
          return this.#exec(query, bindings);
        },
      },
      transaction: (run) => {
        check();
        this.onWrite();
        this.#begin();
        return this.#memory.transaction(run);
      },
    };
  }

  /** Makes the tables of an earlier release, which was here before the simulation begins. */
  install(make: (sql: SqlPort, transaction: <T>(run: () => T) => T) => void): void {
    make(this.#memory.sql, this.#memory.transaction);
  }

  /** From now on `takeVersions` gives what is written to `tasks`, which must be there. */
  watchTasks(): void {
    if (this.#isWatched) return;
    this.#isWatched = true;
    const of = (row: string) => COLUMNS.split(", ").map((column) => `${row}.${column}`);
    const insert = (row: string, gone: number) =>
      `INSERT INTO row_log (gone, ${COLUMNS}) VALUES (${gone}, ${of(row).join(", ")})`;
    this.#memory.sql.exec(
      `CREATE TEMP TABLE row_log (seq INTEGER PRIMARY KEY, gone, ${COLUMNS});
      CREATE TEMP TRIGGER log_insert AFTER INSERT ON tasks BEGIN ${insert("new", 0)}; END;
      CREATE TEMP TRIGGER log_update AFTER UPDATE ON tasks BEGIN
        INSERT INTO row_log (gone, ${COLUMNS}) SELECT 1, ${of("old").join(", ")} WHERE old.id <> new.id;
        ${insert("new", 0)};
      END;
      CREATE TEMP TRIGGER log_delete AFTER DELETE ON tasks BEGIN ${insert("old", 1)}; END;`,
    );
  }

  /** The versions of rows written since this was asked last. */
  takeVersions(): RowVersion[] {
    if (!this.#isWatched) return [];
    const rows = this.read("SELECT * FROM row_log ORDER BY seq");
    if (rows.length > 0) this.#memory.sql.exec("DELETE FROM row_log");
    return rows.map(versionOf);
  }

  /** Reads by the simulation itself, which is no access of the object. */
  read(query: string, ...bindings: SqlValue[]): SqlRow[] {
    return this.#memory.sql.exec(query, ...bindings).toArray();
  }

  /** What the platform writes beside the rows, such as the alarm, is part of the batch. */
  noteWrite(): void {
    this.onWrite();
    this.#begin();
    this.wrote = true;
  }

  commit(): void {
    this.#end("COMMIT");
  }

  /** A crash: the batch is lost. */
  rollBack(): void {
    this.#end("ROLLBACK");
  }

  #begin(): void {
    if (this.#isOpen) return;
    this.#memory.sql.exec("BEGIN");
    this.#isOpen = true;
  }

  #end(how: string): void {
    if (this.#isOpen) this.#memory.sql.exec(how);
    this.#isOpen = false;
    this.wrote = false;
    this.wroteTargets = false;
    this.wrotePolls = false;
  }

  #exec(query: string, bindings: SqlValue[]): ReturnType<SqlPort["exec"]> {
    if (!/^\s*(SELECT|WITH)/i.test(query)) {
      this.noteWrite();
      if (/\btargets\b/.test(query)) this.wroteTargets = true;
      if (/\bpolls\b/.test(query)) this.wrotePolls = true;
    }
    return this.#memory.sql.exec(query, ...bindings);
  }
}

function versionOf(row: SqlRow): RowVersion {
  return {
    id: String(row.id),
    gone: row.gone === 1,
    state: String(row.state),
    target: String(row.target),
    lane: row.lane as string | null,
    dueAt: Number(row.due_at),
    expiresAt: Number(row.expires_at),
    round: Number(row.round),
    attempt: Number(row.attempt),
    attemptsBefore: Number(row.attempts_before),
    lease: Number(row.lease),
    leaseUntil: row.lease_until as number | null,
    settledLease: Number(row.settled_lease),
    finalizedAt: row.finalized_at as number | null,
    reason: row.reason as string | null,
    callback: row.callback === null ? null : JSON.parse(String(row.callback)),
  };
}
