import type { ErrorCode, ProblemIssue } from "../schema/problem.ts";
import type { TaskRequestInput, TaskView } from "../schema/task.ts";
import type { BatchResult } from "./batch.ts";

/** What is known of a call that failed. */
interface RedriveErrorDetails {
  /** The status of the answer, or 0 where there was none. */
  status: number;
  code: ErrorCode;
  errors?: ProblemIssue[];
  requestId?: string | null;
  retryAfterMs?: number | null;
  tries?: number;
  cause?: unknown;
}

/** A call to Redrive that was refused, or got no usable answer after all its tries. */
export class RedriveError extends Error {
  override name = "RedriveError";
  /** The status of the last answer, or 0 where there was none (network error, timeout). */
  readonly status: number;
  /** The problem's code; where the answer was no problem (a proxy's page), the one that fits its status. */
  readonly code: ErrorCode;
  /** Each wrong place of the request; empty where the problem names none. */
  readonly errors: readonly ProblemIssue[];
  /** What to quote when asking the operator, or null where no problem came. */
  readonly requestId: string | null;
  /** How long the server asked to wait before the next call, or null. */
  readonly retryAfterMs: number | null;
  /** How many requests were sent for this call. */
  readonly tries: number;

  constructor(message: string, details: RedriveErrorDetails) {
    super(message, { cause: details.cause });
    this.status = details.status;
    this.code = details.code;
    this.errors = details.errors ?? [];
    this.requestId = details.requestId ?? null;
    this.retryAfterMs = details.retryAfterMs ?? null;
    this.tries = details.tries ?? 1;
  }
}

/**
 * A batch that broke off; has the code and request id of the call that failed, which is its `cause`.
 * `submitBatch(error.remaining)` goes on where it stopped: the tasks carry their idempotency keys, so none
 * that was taken already is made twice.
 */
export class BatchError extends RedriveError {
  override name = "BatchError";
  /** The answers for the first tasks, in order. */
  readonly results: readonly BatchResult[];
  /** The tasks without an answer, in order, each with its idempotency key; some may have been taken. */
  readonly remaining: readonly TaskRequestInput[];

  constructor(cause: RedriveError, results: BatchResult[], remaining: TaskRequestInput[]) {
    super(
      `${remaining.length} of ${results.length + remaining.length} tasks not answered: ${cause.message}`,
      {
        status: cause.status,
        code: cause.code,
        errors: [...cause.errors],
        requestId: cause.requestId,
        retryAfterMs: cause.retryAfterMs,
        tries: cause.tries,
        cause,
      },
    );
    this.results = results;
    this.remaining = remaining;
  }
}

/** `wait` ran out of time; the task itself goes on. */
export class WaitTimeoutError extends Error {
  override name = "WaitTimeoutError";
  /** The task as it was seen last, or null where no answer came in time. */
  readonly task: TaskView | null;

  constructor(id: string, timeoutMs: number, task: TaskView | null) {
    const seen = task === null ? "no answer came" : `it is ${task.state}`;
    super(`expected task ${id} to be final within ${timeoutMs} ms, but ${seen}`);
    this.task = task;
  }
}

/** A message that must not be trusted as a callback; its `message` says what is wrong, never the secret. */
export class CallbackVerificationError extends Error {
  override name = "CallbackVerificationError";
}
