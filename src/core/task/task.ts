import type { CallbackRetryPolicy, RetryPolicy, Until } from "../../schema/policy.ts";
import { taskPhase } from "../../schema/state-facts.ts";
import type {
  BodyError,
  CallbackEvent,
  CallbackState,
  ErrorType,
  FaultClass,
  RedirectMode,
  TaskState,
} from "../../schema/task.ts";

/** What made an attempt happen. */
export type Trigger = "submit" | "schedule" | "retry" | "manual" | "resume" | "probe" | "redrive";

/** Why a task is final, or why its callback failed. */
export type Reason =
  | "succeeded"
  | "permanent"
  | "rule"
  | "no_retry"
  | "max_attempts"
  | "max_age"
  | "cancelled"
  /** Its stored form could not be read. */
  | "corrupt"
  /** Of a callback only: an operator has stopped it. */
  | "stopped";

/** One try of the call, as kept in the task's row. Instants are epoch milliseconds. */
export interface Attempt {
  number: number;
  round: number;
  trigger: Trigger;
  startedAt: number;
  durationMs: number | null;
  /** The answer's status; 0: no answer; null: under way, or not known. */
  status: number | null;
  errorType: ErrorType | null;
  errorCode: string | null;
  errorMessage: string | null;
  /** The status came, but the body could not be read; null: it could, or there was no answer. */
  bodyError: BodyError | null;
  faultClass: FaultClass | null;
  /** `late`: the result came after the task had been cancelled; it changed nothing. Null: under way. */
  decision: "succeed" | "retry" | "hold" | "fail" | "late" | null;
  rule: string | null;
  /** The wait that follows; where the decision is `fail`, one that would have gone beyond the round's `max_age`. */
  delayMs: number | null;
  nextAt: number | null;
}

/** What an attempt has from its start; the other fields say what came of it. */
export type AttemptStart = Pick<Attempt, "number" | "round" | "trigger" | "startedAt">;

/** One delivery attempt of a callback. */
export interface CallbackAttempt {
  number: number;
  startedAt: number;
  durationMs: number | null;
  status: number | null;
  errorType: ErrorType | null;
  bodyError: BodyError | null;
  nextAt: number | null;
}

/** What the target answered, as kept; the body is cut to MAX_RESPONSE_BYTES. Header names are lower case. */
export interface KeptResponse {
  status: number;
  headers: Record<string, string>;
  body: string;
  bodyEncoding: "utf8" | "base64";
  truncated: boolean;
  /** The body is sealed. */
  sealed?: true;
}

/** A task's own callback settings; what is absent is taken from the queue's. */
export interface TaskCallback {
  url?: string | undefined;
  on?: CallbackEvent[] | undefined;
  timeoutMs?: number | undefined;
  headers?: Record<string, string> | undefined;
  retry?: CallbackRetryPolicy | undefined;
}

/** The call a task asks for, as parsed; it never changes after the submit. */
export interface TaskCall {
  url: string;
  method: string;
  headers: Record<string, string>;
  /** Text, bytes in base64 (see bodyEncoding), or null. Kept apart from the row where it is large. */
  body: string | null;
  bodyEncoding: "utf8" | "base64";
  /** The body is sealed: its bytes, whatever bodyEncoding says. */
  bodySealed?: true;
  /** The task's own timeout; null: the queue's. */
  timeoutMs: number | null;
  maxRedirects: number;
  /** How they are followed; left out: `strict`. */
  redirectMode?: RedirectMode;
  /** The task's own retry policy; what is absent is taken from the queue's. */
  retry: RetryPolicy | null;
  labels: string[];
  metadata: Record<string, unknown>;
  /** The metadata as it was given, where writing `metadata` as JSON gives something else; left out: it gives the same. */
  metadataText?: string;
  /** null: no callback, even if the queue has one; undefined: the queue's. */
  callback?: TaskCallback | null | undefined;
  /** The `Idempotency-Key` the target gets. */
  idempotencyKey: string | null;
  /** W3C trace context of the submit, handed to the target; null: one is made from the task id. */
  traceparent: string | null;
}

/** The delivery of a round's final message. Its lease is the task's: the two are never in flight at once. */
export interface Callback {
  /** Where it goes, as settled when the round ended. */
  url: string;
  lane: string;
  state: CallbackState;
  /** The lease of the settle whose answer carried the first delivery's grant; null: none did. */
  handedWith: number | null;
  /** Deliveries tried so far. */
  attempt: number;
  /** When the first delivery was due; `max_age` runs from it. */
  startedAt: number;
  attempts: CallbackAttempt[];
  /** Why it failed; `stopped` already while the last delivery is under way. Left out: it did not, or before 0.2.0. */
  reason?: Reason | undefined;
}

/**
 * A task as its row holds it. It waits exactly where `lane` is not null: for `dueAt`, in the line of that
 * lane. It is in flight exactly where `leaseUntil` is not null.
 */
export interface Task {
  id: string;
  state: TaskState;
  /** The target key: the URL's origin, a part of it, or `key:<queue>/<name>`. */
  target: string;
  /** In whose line the next call (or, when final, the next callback delivery) waits; null: nothing waits. */
  lane: string | null;
  priority: number;
  /** When what it waits for is due; where nothing waits, when it last was. */
  dueAt: number;
  /** The end of the round's `max_age`. */
  expiresAt: number;
  round: number;
  /** The last attempt's number; numbers run on over rounds. */
  attempt: number;
  /** The last attempt's number when the round began: `attempt - attemptsBefore` were made in this round. */
  attemptsBefore: number;
  /** Counts every grant, of an attempt or a delivery; never resets. */
  lease: number;
  leaseUntil: number | null;
  /** The lease of the last settle that was accepted. */
  settledLease: number;
  /** What the next attempt will be the work of. */
  trigger: Trigger;
  createdAt: number;
  finalizedAt: number | null;
  reason: Reason | null;
  /** What a held task waits for. */
  until: Until | null;
  call: TaskCall;
  history: Attempt[];
  /** Attempts no longer in `history`. */
  attemptsOmitted: number;
  response: KeptResponse | null;
  callback: Callback | null;
}

/** True for the three states that only a redrive leaves. */
export function isFinal(state: TaskState): boolean {
  return taskPhase(state) === "ended";
}

/** Attempts made in the task's current round. */
export function attemptsInRound(task: Task): number {
  return task.attempt - task.attemptsBefore;
}
