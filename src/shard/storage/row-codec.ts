import type {
  Attempt,
  AttemptStart,
  Callback,
  CallbackAttempt,
  KeptResponse,
  Task,
  TaskCall,
} from "../../core/task/task.ts";
import type { SqlRow, SqlValue } from "../../platform/sql-port.ts";

/** Bodies above this many characters live in the `bodies` table, so that an attempt does not rewrite them. */
export const INLINE_BODY_LENGTH = 4_096;

/** Stands in a row for a body that is kept apart, and in a task for one that was left there. */
export const APART = "\u0000apart";

/**
 * What most tasks have is left out of their JSON, and is this where it is absent: a row of more than 1,002 bytes takes
 * a second page of the file, which doubles what it costs to write.
 */
const USUAL_CALL = {
  body: null,
  bodyEncoding: "utf8",
  timeoutMs: null,
  maxRedirects: 0,
  retry: null,
  metadata: {},
  idempotencyKey: null,
  traceparent: null,
} as const satisfies Partial<TaskCall>;
/** What every release has stored of an attempt, and of a delivery: each further field needs what it usually is. */
type StoredAttempt = AttemptStart & Pick<Attempt, "durationMs" | "status" | "decision">;
type StoredDelivery = Pick<CallbackAttempt, "number" | "startedAt" | "durationMs" | "status">;
const USUAL_ATTEMPT = {
  errorType: null,
  errorCode: null,
  errorMessage: null,
  bodyError: null,
  faultClass: null,
  rule: null,
  delayMs: null,
  nextAt: null,
} as const satisfies Omit<Attempt, keyof StoredAttempt>;
const USUAL_RESPONSE = { bodyEncoding: "utf8", truncated: false } as const satisfies Partial<KeptResponse>;
const USUAL_CALLBACK = { handedWith: null } as const satisfies Partial<Callback>;
const USUAL_DELIVERY = {
  errorType: null,
  bodyError: null,
  nextAt: null,
} as const satisfies Omit<CallbackAttempt, keyof StoredDelivery>;

/** Reads the body that is kept apart for a task; null where there is none. */
export type ReadBody = (part: "request" | "response") => string | null;

/** A row of `tasks` as a Task. Throws where a column is not what it should be: the row is poisoned. */
export function rowToTask(row: SqlRow, readBody: ReadBody): Task {
  const labels = list<string>(row.labels);
  const call: TaskCall = {
    ...USUAL_CALL,
    ...object<Omit<TaskCall, keyof typeof USUAL_CALL>>(row.call),
    labels,
  };
  const response =
    row.response === null
      ? null
      : { ...USUAL_RESPONSE, ...object<Omit<KeptResponse, keyof typeof USUAL_RESPONSE>>(row.response) };
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
    history: list<StoredAttempt>(row.history).map((attempt) => ({
      ...USUAL_ATTEMPT,
      ...attempt,
    })),
    attemptsOmitted: number(row.attempts_omitted),
    response,
    callback: row.callback === null ? null : wholeCallback(object(row.callback)),
  };
}

/** The columns that change with any transition, in the order of the UPDATE statements. */
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
    task.callback === null ? null : JSON.stringify(shortCallback(task.callback)),
  ];
}

/** The columns that change where an attempt begins or ends, in the order of the statements after those above. */
export function recordColumns(task: Task): SqlValue[] {
  return [
    JSON.stringify(task.history.map((attempt) => withoutUsual(attempt, USUAL_ATTEMPT))),
    task.attemptsOmitted,
    task.response === null ? null : JSON.stringify(withoutUsual(inlined(task.response), USUAL_RESPONSE)),
  ];
}

/** The columns that are written once, in the order of the INSERT statement after the others. */
export function fixedColumns(task: Task): SqlValue[] {
  return [
    task.id,
    task.target,
    task.priority,
    task.createdAt,
    JSON.stringify(task.call.labels),
    JSON.stringify({ ...withoutUsual(inlined(task.call), USUAL_CALL), labels: undefined }),
  ];
}

/** True for a body that is kept apart from its row: a long one, and the text that stands for such a one. */
export function isApart(body: string | null): body is string {
  return body !== null && (body.length > INLINE_BODY_LENGTH || body === APART);
}

/** The key of the probe that a held task waits for: tasks with the same probe share it. */
export function probeKeyOf(task: Task): string | null {
  if (task.state !== "held" || task.until === null || task.until === "signal") return null;
  const { url, period, timeout, success_threshold } = task.until.probe;
  return JSON.stringify([url, period, timeout, success_threshold]);
}

function shortCallback(callback: Callback): object {
  const attempts = callback.attempts.map((attempt) => withoutUsual(attempt, USUAL_DELIVERY));
  return { ...withoutUsual(callback, USUAL_CALLBACK), attempts };
}

function wholeCallback(stored: Callback): Callback {
  const attempts = stored.attempts.map((attempt) => ({ ...USUAL_DELIVERY, ...attempt }));
  return { ...USUAL_CALLBACK, ...stored, attempts };
}

/** A value's fields but those that are as usual. */
function withoutUsual<T extends object>(value: T, usual: Partial<T>): Partial<T> {
  const kept: Partial<T> = {};
  for (const field of Object.keys(value) as (keyof T)[]) {
    if (!isSame(value[field], usual[field])) kept[field] = value[field];
  }
  return kept;
}

function isSame(value: unknown, usual: unknown): boolean {
  return value === usual || (isEmptyObject(value) && isEmptyObject(usual));
}

function isEmptyObject(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  for (const _ in value) return false;
  return true;
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
