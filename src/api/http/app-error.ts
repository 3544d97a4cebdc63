import { invalid, type Refusal } from "../../protocol/refusal.ts";
import type { ErrorCode, Problem, ProblemIssue } from "../../schema/problem.ts";

/** The most wrong places one problem lists; the first of them are the most telling. */
const MAX_ISSUES = 20;

interface Kind {
  status: 400 | 401 | 403 | 404 | 405 | 409 | 413 | 415 | 421 | 429 | 500 | 503;
  title: string;
}

/** Status and title of every code; documented in docs/api.md. */
export const PROBLEM_KINDS: Record<ErrorCode, Kind> = {
  invalid_request: { status: 400, title: "Invalid request" },
  malformed_body: { status: 400, title: "Malformed body" },
  invalid_cursor: { status: 400, title: "Invalid cursor" },
  unauthorized: { status: 401, title: "Unauthorized" },
  forbidden: { status: 403, title: "Forbidden" },
  not_found: { status: 404, title: "Not found" },
  task_not_found: { status: 404, title: "Task not found" },
  queue_not_found: { status: 404, title: "Queue not found" },
  key_not_found: { status: 404, title: "Key not found" },
  breaker_not_found: { status: 404, title: "Breaker not found" },
  method_not_allowed: { status: 405, title: "Method not allowed" },
  misdirected_request: { status: 421, title: "Misdirected request" },
  idempotency_conflict: { status: 409, title: "Idempotency conflict" },
  invalid_state: { status: 409, title: "Invalid state" },
  queue_not_empty: { status: 409, title: "Queue not empty" },
  queue_conflict: { status: 409, title: "Queue conflict" },
  body_too_large: { status: 413, title: "Body too large" },
  unsupported_media_type: { status: 415, title: "Unsupported media type" },
  rate_limited: { status: 429, title: "Rate limited" },
  internal: { status: 500, title: "Internal error" },
  not_configured: { status: 503, title: "Not configured" },
  overloaded: { status: 503, title: "Overloaded" },
  storage_unavailable: { status: 503, title: "Storage unavailable" },
  unavailable: { status: 503, title: "Unavailable" },
};

/** Seconds after which a caller may try again, where the code says that it may. */
const RETRY_AFTER: Partial<Record<ErrorCode, string>> = {
  overloaded: "1",
  storage_unavailable: "5",
  unavailable: "1",
};

/** A known refusal of a request: its code, what a person needs to know, and which places of the request are wrong. */
export class AppError extends Error {
  override name = "AppError";
  readonly code: ErrorCode;
  readonly errors: readonly ProblemIssue[];
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    code: ErrorCode,
    detail: string,
    more: { errors?: readonly ProblemIssue[]; headers?: Record<string, string>; cause?: unknown } = {},
  ) {
    super(detail, { cause: more.cause });
    this.code = code;
    this.errors = more.errors ?? [];
    const retryAfter = RETRY_AFTER[code];
    this.headers = { ...(retryAfter !== undefined && { "retry-after": retryAfter }), ...more.headers };
  }
}

/** An `invalid_request` whose detail is its first wrong place. Expects at least one. */
export function invalidRequest(errors: ProblemIssue[]): AppError {
  return refused(invalid(errors));
}

/** The body of a problem+json answer. */
export function problemOf(error: AppError, requestId: string): Problem {
  const { status, title } = PROBLEM_KINDS[error.code];
  return {
    type: `urn:redrive:problem:${error.code}`,
    title,
    status,
    code: error.code,
    detail: error.message,
    ...(error.errors.length > 0 && { errors: error.errors.slice(0, MAX_ISSUES) }),
    request_id: requestId,
  };
}

/** The problem of an expected refusal that came as a value. */
export function refused(refusal: Refusal): AppError {
  return new AppError(refusal.code, refusal.detail, refusal.errors ? { errors: refusal.errors } : {});
}
