import type { SqlRow, SqlValue } from "../core/sql-port.ts";
import type { Attempt, Callback, KeptResponse, Task, TaskCall } from "../core/task.ts";

/** Bodies above this many characters live in the `bodies` table, so that an attempt does not rewrite them. */
export const INLINE_BODY_LENGTH = 4_096;

/** Stands in a row for a body that is kept apart. */
const APART = "\u0000apart";

/** Reads the body that is kept apart for a task; null where there is none. */
export type ReadBody = (part: "request" | "response") => string | null;

/** A row of `tasks` as a Task. Throws where a column is not what it should be: the row is poisoned. */
export function rowToTask(row: SqlRow, readBody: ReadBody): Task {
  const call = object<TaskCall>(row.call);
  const response = row.response === null ? null : object<KeptResponse>(row.response);
  if (call.body === APART) call.body = readBody("request");
  if (response?.body === APART) response.body = readBody("response") ?? "";
  return {
    id: text(row.id),
    state: text(row.state) as Task["state"],
    target: text(row.target),
    lane: row.lane === null ? null : text(row.lane),
    priority: number(row.priority),
    dueAt: number(row.due_at),
    expiresAt: number(row.expires_at),
    round: number(row.round),
    attempt: number(row.attempt),
    attemptsBefore: number(row.attempts_before),
    lease: number(row.lease),
    leaseUntil: row.lease_until === null ? null : number(row.lease_until),
    settledLease: number(row.settled_lease),
    trigger: text(row.trigger) as Task["trigger"],
    createdAt: number(row.created_at),
    finalizedAt: row.finalized_at === null ? null : number(row.finalized_at),
    reason: row.reason as Task["reason"],
    until: row.until === null ? null : JSON.parse(text(row.until)),
    call,
    history: list<Attempt>(row.history),
    attemptsOmitted: number(row.attempts_omitted),
    response,
    callback: row.callback === null ? null : object<Callback>(row.callback),
  };
}

/** The columns that change with a transition, in the order of the UPDATE statement. */
export function changingColumns(task: Task): SqlValue[] {
  return [
    task.state,
    task.lane,
    task.dueAt,
    task.expiresAt,
    task.round,
    task.attempt,
    task.attemptsBefore,
    task.lease,
    task.leaseUntil,
    task.settledLease,
    task.trigger,
    task.finalizedAt,
    task.reason,
    task.until === null ? null : JSON.stringify(task.until),
    probeKeyOf(task),
    JSON.stringify(task.history),
    task.attemptsOmitted,
    task.response === null ? null : JSON.stringify(inlined(task.response)),
    task.callback === null ? null : JSON.stringify(task.callback),
  ];
}

/** The columns that are written once, in the order of the INSERT statement after the changing ones. */
export function fixedColumns(task: Task): SqlValue[] {
  return [
    task.id,
    task.target,
    task.priority,
    task.createdAt,
    JSON.stringify(task.call.labels),
    JSON.stringify(inlined(task.call)),
  ];
}

/** True for a body that is kept apart from its row. */
export function isApart(body: string | null): body is string {
  return body !== null && body.length > INLINE_BODY_LENGTH;
}

/** The key of the probe that a held task waits for: tasks with the same probe share it. */
export function probeKeyOf(task: Task): string | null {
  if (task.state !== "held" || task.until === null || task.until === "signal") return null;
  const { url, period, timeout, success_threshold } = task.until.probe;
  return JSON.stringify([url, period, timeout, success_threshold]);
}

function inlined<T extends { body: string | null }>(value: T): T {
  return isApart(value.body) ? { ...value, body: APART } : value;
}

function object<T>(value: SqlValue | undefined): T {
  const parsed: unknown = JSON.parse(text(value));
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed))
    throw new TypeError(`expected a JSON object in a row, got ${parsed === null ? "null" : typeof parsed}`);
  return parsed as T;
}

function list<T>(value: SqlValue | undefined): T[] {
  const parsed: unknown = JSON.parse(text(value));
  if (!Array.isArray(parsed)) throw new TypeError(`expected a JSON array in a row, got ${typeof parsed}`);
  return parsed as T[];
}

function text(value: SqlValue | undefined): string {
  if (typeof value !== "string") throw new TypeError(`expected text in a row, got ${typeof value}`);
  return value;
}

function number(value: SqlValue | undefined): number {
  if (typeof value !== "number") throw new TypeError(`expected a number in a row, got ${typeof value}`);
  return value;
}
