import type { EndedRow } from "../../core/task/retention.ts";
import { isEventId, isTaskRow, keptRoundId, ownerId } from "../../core/task/row-id.ts";
import { isFinal, type Task } from "../../core/task/task.ts";
import type { SqlPort, SqlRow, SqlValue } from "../../platform/sql-port.ts";
import type { Grant } from "../../protocol/grant.ts";
import type { TaskState } from "../../schema/task.ts";
import { APART, changingColumns, fixedColumns, isApart, recordColumns, rowToTask } from "./row-codec.ts";

const CHANGING = [
  "state",
  "lane",
  "due_at",
  "expires_at",
  "round",
  "attempt",
  "attempts_before",
  "lease",
  "lease_until",
  "settled_lease",
  "trigger",
  "finalized_at",
  "reason",
  "until",
  "probe",
  "callback",
];
const RECORD = ["history", "attempts_omitted", "response"];
const FIXED = ["id", "target", "priority", "created_at", "labels", "call"];
const INSERTED = [...CHANGING, ...RECORD, ...FIXED, "idempotency_key", "request_hash"];
const INSERT = `INSERT OR IGNORE INTO tasks (${INSERTED.join(", ")}) VALUES (${INSERTED.map(() => "?").join(", ")})`;
const INSERT_OVER = `UPDATE OR IGNORE tasks SET ${assigned(INSERTED)}
  WHERE id = ? AND state = ? AND finalized_at = ? AND lane IS NULL AND lease_until IS NULL`;
const UPDATE = `UPDATE tasks SET ${assigned(CHANGING)} WHERE id = ?`;
const UPDATE_ALL = `UPDATE tasks SET ${assigned([...CHANGING, ...RECORD])} WHERE id = ?`;
/** How APART stands in a row's JSON. */
const APART_IN_JSON = JSON.stringify(APART);
const END = "id, state, finalized_at, lane, lease_until";
const OLDEST = "FROM tasks WHERE id > ? AND id < ? ORDER BY id LIMIT ?";
const NO_CALL = `'{"url":"","method":"","headers":{},"body":null,"bodyEncoding":"utf8","timeoutMs":null,"maxRedirects":0,"retry":null,"labels":[],"metadata":{},"idempotencyKey":null,"traceparent":null}'`;
const BURY = `UPDATE tasks SET state = 'failed', reason = 'corrupt', lane = NULL, lease_until = NULL, finalized_at = ?,
  until = NULL, probe = NULL,
  history = ${kept("history", "array", "'[]'")},
  response = ${kept("response", "object", "NULL")},
  callback = ${kept("callback", "object", "NULL", "iif(callback ->> '$.state' = 'delivered', callback, json_set(callback, '$.state', 'failed'))")},
  labels = ${kept("labels", "array", "'[]'")},
  call = ${kept("call", "object", NO_CALL)}
  WHERE id = ?`;

/** A task's idempotency key, with the hash of its request. */
export interface TaskKey {
  idempotencyKey: string;
  requestHash: string | null;
}

/** A lease as its row has it. */
export interface StoredLease {
  kind: Grant["kind"];
  lane: string;
  lease: number;
  leaseUntil: number;
  /** A retry: it draws on slots of its own. */
  retry: boolean;
}

/** A row whose stored form cannot be read. */
export class PoisonedRowError extends Error {
  readonly id: string;

  constructor(id: string, options: ErrorOptions) {
    super(`the row of ${id} cannot be read`, options);
    this.id = id;
  }
}

/** The tasks of one shard, as rows: one method for each verb, the statement in it. */
export class Rows {
  readonly #sql: SqlPort;

  constructor(sql: SqlPort) {
    this.#sql = sql;
  }

  /** Inserts a task. False, and nothing done, where its id (a repeated submit) or its key is there already. */
  insert(task: Task, key: TaskKey | null): boolean {
    return this.#insertBy(INSERT, task, key);
  }

  /**
   * As `insert`, in the place of a final task that has no bodies apart. False, and nothing done, where that is not
   * there as it was found, or the id or the key of the new one is.
   */
  insertOver(old: Spare, task: Task, key: TaskKey | null): boolean {
    return this.#insertBy(INSERT_OVER, task, key, old.id, old.state, old.finalizedAt);
  }

  /** Writes what a transition changed. `before` is the row as it was read. */
  update(task: Task, before: Task): void {
    if (task.history === before.history && task.response === before.response) {
      this.#sql.exec(UPDATE, ...changingColumns(task), task.id);
      return;
    }
    this.#sql.exec(UPDATE_ALL, ...changingColumns(task), ...recordColumns(task), task.id);
    this.#putResponse(task, before);
  }

  /** Writes the target and the lane of a task that is there. */
  move({ id, target, lane }: Task): void {
    this.#sql.exec("UPDATE tasks SET target = ?, lane = ? WHERE id = ?", target, lane, id);
  }

  /** The task with this id; null where there is none. Throws where its row is poisoned. */
  read(id: string): Task | null {
    const row = this.#sql.exec("SELECT * FROM tasks WHERE id = ?", id).toArray()[0];
    return row === undefined ? null : this.toTask(row);
  }

  /** As `read`, without the body of its request: `toTaskWithoutRequest`. */
  readWithoutRequest(id: string): Task | null {
    const row = this.#sql.exec("SELECT * FROM tasks WHERE id = ?", id).toArray()[0];
    return row === undefined ? null : this.toTaskWithoutRequest(row);
  }

  /**
   * The row that a grant is about: the task's own, or that of an ended round whose callback is on its way; without the
   * body of its request.
   */
  ofGrant({ kind, id, round }: Pick<Grant, "kind" | "id" | "round">): Task | null {
    const task = this.readWithoutRequest(id);
    if (task === null || kind !== "callback" || task.round === round) return task;
    return this.readWithoutRequest(keptRoundId(id, round));
  }

  /** The ended rounds of a task whose callbacks are on their way, without the bodies of requests. */
  keptRounds(id: string): Task[] {
    const query = "SELECT * FROM tasks WHERE id >= ? AND id < ?";
    const rows = this.#sql.exec(query, `${id}~0`, `${id}~:`).toArray();
    return rows.map((row) => this.toTaskWithoutRequest(row));
  }

  /** The state of a row, even of one that is poisoned; null where there is none. */
  stateOf(id: string): TaskState | null {
    const row = this.#sql.exec("SELECT state FROM tasks WHERE id = ?", id).toArray()[0];
    return row === undefined ? null : (row.state as TaskState);
  }

  /** Makes a row that waits in this lane due later, whatever else is in it. False where it does not wait there. */
  putOff(id: string, lane: string, dueAt: number): boolean {
    const query = "UPDATE tasks SET due_at = ? WHERE id = ? AND lane = ? RETURNING id";
    return this.#sql.exec(query, dueAt, id, lane).toArray().length > 0;
  }

  /** The task of an idempotency key, with the hash of its request; null where the key is free. */
  readByKey(idempotencyKey: string): { task: Task; requestHash: string | null } | null {
    const row = this.#sql.exec("SELECT * FROM tasks WHERE idempotency_key = ?", idempotencyKey).toArray()[0];
    if (row === undefined) return null;
    return { task: this.toTask(row), requestHash: row.request_hash as string | null };
  }

  /** Ids from `watermark` on that have a lease: after a restart, where edge-first leases may be. */
  leasedFrom(watermark: string): string[] {
    return this.#sql
      .exec("SELECT id FROM tasks WHERE id >= ? AND lease_until IS NOT NULL", watermark)
      .toArray()
      .map((row) => String(row.id));
  }

  /** The lease that a task or a poll has in flight; null where it has none. Reads no JSON but the callback's. */
  leaseOf(id: string): StoredLease | null {
    const row =
      this.#sql
        .exec(
          `SELECT 'attempt' AS kind, lease, lease_until, target, attempt - attempts_before > 1 AS again,
             CASE WHEN json_valid(callback) AND callback ->> '$.state' = 'running' THEN callback ->> '$.lane' END AS delivering
           FROM tasks WHERE id = ?`,
          id,
        )
        .toArray()[0] ??
      this.#sql
        .exec(
          "SELECT 'probe' AS kind, lease, lease_until, lane AS target, 0 AS again, NULL AS delivering FROM polls WHERE url = ?",
          id,
        )
        .toArray()[0];
    if (row === undefined || row.lease_until === null) return null;
    const isProbe = row.kind === "probe";
    const kind = isProbe ? "probe" : row.delivering === null ? "attempt" : "callback";
    const lane = String(row.delivering ?? row.target);
    const retry = kind === "attempt" && row.again === 1;
    return { kind, lane, lease: Number(row.lease), leaseUntil: Number(row.lease_until), retry };
  }

  /** Some of the tasks held on a probe. */
  heldOn(probeKey: string, limit: number): string[] {
    return this.#sql
      .exec("SELECT id FROM tasks WHERE probe = ? LIMIT ?", probeKey, limit)
      .toArray()
      .map((row) => String(row.id));
  }

  /**
   * How many tasks are in each state, of the `limit` rows after this id; `examinedTo` is null where there are no more.
   */
  count(afterId: string, limit: number): { counts: [TaskState, number][]; examinedTo: string | null } {
    const rows = this.#sql
      .exec(
        `SELECT state, instr(id, '~') = 0 AS is_task, count(*) AS number, max(id) AS last
         FROM (SELECT id, state FROM tasks WHERE id > ? ORDER BY id LIMIT ?) GROUP BY 1, 2`,
        afterId,
        limit,
      )
      .toArray();
    const examined = rows.reduce((sum, row) => sum + Number(row.number), 0);
    const last = rows
      .map((row) => String(row.last))
      .sort()
      .at(-1);
    const ofTasks = rows.filter((row) => row.is_task === 1);
    return {
      counts: ofTasks.map((row) => [row.state as TaskState, Number(row.number)]),
      examinedTo: examined < limit ? null : (last ?? null),
    };
  }

  /** The oldest rows after `afterId` and below `toId`, for pruning. */
  oldest(afterId: string, toId: string, limit: number): SqlRow[] {
    return this.#sql.exec(`SELECT ${END} ${OLDEST}`, afterId, toId, limit).toArray();
  }

  /** The same, with `bodies`: 1 where some are kept apart. */
  oldestToReuse(afterId: string, toId: string, limit: number): SqlRow[] {
    const bodies = "EXISTS (SELECT 1 FROM bodies WHERE bodies.id = tasks.id) AS bodies";
    return this.#sql.exec(`SELECT ${END}, ${bodies} ${OLDEST}`, afterId, toId, limit).toArray();
  }

  /** The first id that is not below this one; null: there is none. */
  firstFrom(id: string): string | null {
    const row = this.#sql.exec("SELECT id FROM tasks WHERE id >= ? ORDER BY id LIMIT 1", id).toArray()[0];
    return row === undefined ? null : String(row.id);
  }

  delete(id: string): void {
    this.#sql.exec("DELETE FROM tasks WHERE id = ?", id);
    this.#sql.exec("DELETE FROM bodies WHERE id = ?", id);
  }

  /**
   * Makes a row whose JSON cannot be read harmless and visible: failed, waiting for nothing. What of its JSON can
   * be read is kept; a callback that is not delivered has failed.
   */
  bury(id: string, now: number): void {
    this.#sql.exec(BURY, now, id);
  }

  /** A row as a Task, with the bodies that are kept apart. Throws where the row is poisoned. */
  toTask(row: SqlRow): Task {
    return this.#toTask(row, []);
  }

  /**
   * As `toTask`, without the body of the task's request where that is kept apart: APART stands for it. For all that
   * does not make that call; an update leaves such a body as it is. A row whose request is a message has it all the same.
   */
  toTaskWithoutRequest(row: SqlRow): Task {
    return this.#toTask(row, isEventId(String(row.id)) ? [] : ["request"]);
  }

  /** As `toTask`, without any body that is kept apart. */
  toTaskWithoutBodies(row: SqlRow): Task {
    return this.#toTask(row, ["request", "response"]);
  }

  /** How many bytes the next call of a row would carry, or have carried with it: its bodies, and what is long in it. */
  bytesOf(row: SqlRow): number {
    const id = String(row.id);
    const own = ["call", "history", "response", "callback"].reduce(
      (sum, column) => sum + lengthOf(row[column]),
      0,
    );
    const [part, owner] =
      isFinal(row.state as TaskState) && !isEventId(id) ? ["response", id] : ["request", ownerId(id)];
    const isElsewhere = String(row[part === "request" ? "call" : "response"]).includes(APART_IN_JSON);
    return own + (isElsewhere ? this.#bytesOfBody(owner, part) : 0);
  }

  #toTask(row: SqlRow, without: readonly ("request" | "response")[]): Task {
    const id = String(row.id);
    try {
      return rowToTask(row, (part) =>
        without.includes(part) ? APART : this.#readBody(part === "request" ? ownerId(id) : id, part),
      );
    } catch (cause) {
      throw new PoisonedRowError(id, { cause });
    }
  }

  #insertBy(statement: string, task: Task, key: TaskKey | null, ...where: SqlValue[]): boolean {
    const { rowsWritten } = this.#sql.exec(statement, ...insertedColumns(task, key), ...where);
    if (rowsWritten === 0) return false;
    // The row of an ended round reads its task's own.
    if (isApart(task.call.body) && isTaskRow(task.id)) this.#putBody(task.id, "request", task.call.body);
    this.#putResponse(task, null);
    return true;
  }

  #putResponse(task: Task, before: Task | null): void {
    const body = task.response?.body ?? null;
    if (isApart(body) && body !== before?.response?.body) this.#putBody(task.id, "response", body);
  }

  #putBody(id: string, part: "request" | "response", data: string): void {
    this.#sql.exec("INSERT OR REPLACE INTO bodies (id, part, data) VALUES (?, ?, ?)", id, part, data);
  }

  #bytesOfBody(id: string, part: string): number {
    const query = "SELECT octet_length(data) AS bytes FROM bodies WHERE id = ? AND part = ?";
    return Number(this.#sql.exec(query, id, part).toArray()[0]?.bytes ?? 0);
  }

  #readBody(id: string, part: "request" | "response"): string | null {
    const row = this.#sql.exec("SELECT data FROM bodies WHERE id = ? AND part = ?", id, part).toArray()[0];
    return row === undefined ? null : String(row.data);
  }
}

function lengthOf(value: SqlValue | undefined): number {
  return typeof value === "string" ? value.length : 0;
}

function insertedColumns(task: Task, key: TaskKey | null): SqlValue[] {
  const columns = [...changingColumns(task), ...recordColumns(task), ...fixedColumns(task)];
  return [...columns, key?.idempotencyKey ?? null, key?.requestHash ?? null];
}

function assigned(columns: readonly string[]): string {
  return columns.map((column) => `${column} = ?`).join(", ");
}

/** SQL for a JSON column where it can be read and is of this type (as `value`, by default itself), else for `otherwise`. */
export function kept(column: string, type: string, otherwise: string, value = column): string {
  return `CASE WHEN NOT coalesce(json_valid(${column}), 0) THEN ${otherwise} WHEN json_type(${column}) = '${type}' THEN ${value} ELSE ${otherwise} END`;
}

/** What a row read for pruning says of its end. */
export function endOf(row: SqlRow): EndedRow {
  const { finalized_at, lane, lease_until } = row;
  return {
    state: row.state as TaskState,
    finalizedAt: finalized_at as number | null,
    lane: lane as string | null,
    leaseUntil: lease_until as number | null,
  };
}

/** A final task whose retention is over. */
export interface Spare {
  id: string;
  state: TaskState;
  finalizedAt: number;
}
