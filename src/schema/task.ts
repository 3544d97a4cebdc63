import { z } from "zod";
import { duration } from "./duration.ts";
import {
  DEFAULT_PAGE,
  MAX_BATCH,
  MAX_BREAKER_KEY_LENGTH,
  MAX_DELAY_MS,
  MAX_IDEMPOTENCY_KEY_LENGTH,
  MAX_LABEL_LENGTH,
  MAX_LABELS,
  MAX_METADATA_BYTES,
  MAX_PAGE,
  MAX_REDIRECTS,
  MAX_TIMEOUT_MS,
  MAX_URL_LENGTH,
} from "./limits.ts";
import { CallbackRetryPolicy, RetryPolicy } from "./policy.ts";
import { shapeOf } from "./shape.ts";

export const TASK_STATES = [
  "pending",
  "running",
  "retrying",
  "held",
  "succeeded",
  "failed",
  "cancelled",
] as const;
export const TaskState = z.enum(TASK_STATES);
/** Where a task stands; the last three are final. */
export type TaskState = z.infer<typeof TaskState>;

/** Why a task that is due, or will be, is not being called. */
export const WaitingOn = z.enum([
  "schedule",
  "backoff",
  "breaker",
  "concurrency",
  "capacity",
  "rate",
  "budget",
  "paused",
  "probe",
  "signal",
]);
export type WaitingOn = z.infer<typeof WaitingOn>;

export const ERROR_TYPES = [
  "timeout",
  "dns",
  "connect",
  "tls",
  "reset",
  "protocol",
  "network",
  "rate_limited",
  "server_error",
  "not_ready",
  "conflict",
  "auth",
  "client_error",
  "gone",
  "redirect",
  "invalid_request",
  "interrupted",
  "encryption",
] as const;
export const ErrorType = z.enum(ERROR_TYPES);
/** What went wrong with an attempt; see the fault table in docs/state-machine.md. */
export type ErrorType = z.infer<typeof ErrorType>;

/** How the body of an answer broke whose status had come: its connection, the time for it, or its coding. */
export const BodyError = z.enum(["reset", "timeout", "decode"]);
export type BodyError = z.infer<typeof BodyError>;

export const FaultClass = z.enum(["transient", "permanent", "conditional"]);
export type FaultClass = z.infer<typeof FaultClass>;

export const QUEUE_NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/;
export const QueueName = z
  .string()
  .regex(QUEUE_NAME, "expected 1 to 64 of a-z, 0-9, '.', '_' and '-', the first a letter or digit");
export const DEFAULT_QUEUE = "default";

export const Headers = z.record(z.string(), z.string());

/**
 * How redirects are followed. `strict`: only where the call stays what it is; `loose`: as a browser does, which may make
 * a GET without body of it and takes body and headers to other origins.
 */
export const RedirectMode = z.enum(["strict", "loose"]);
export type RedirectMode = z.infer<typeof RedirectMode>;

/** A text to filter lists by. */
export const Label = z.string().min(1).max(MAX_LABEL_LENGTH);

/** An instant as ISO 8601 with an offset; its output is epoch milliseconds. */
export const Instant = z.iso
  .datetime({
    offset: true,
    error: (issue) =>
      `expected an ISO 8601 instant such as "2026-11-23T10:00:00Z", got ${shownInstant(issue.input)}`,
  })
  .transform((text) => Date.parse(text));

/** What came in place of an instant: shown where it looks like one. */
function shownInstant(value: unknown): string {
  const isNear =
    typeof value === "string" && /^\d{4}-\d\d-\d\d(?:[T ][\d:.]{0,20}(?:Z|[+-][\d:]{2,5})?)?$/i.test(value);
  return isNear ? JSON.stringify(value) : shapeOf(value);
}

/** Final states that a callback can tell of. */
export const CallbackEvent = z.enum(["succeeded", "failed", "cancelled"]);
export type CallbackEvent = z.infer<typeof CallbackEvent>;

/** Where and when to tell the outcome. On a task, what is left out is taken from the queue's callback. */
export const CallbackSettings = z.strictObject({
  url: z.string().max(MAX_URL_LENGTH).optional(),
  on: z.array(CallbackEvent).min(1).max(3).optional(),
  timeout: duration(1, MAX_TIMEOUT_MS).optional(),
  headers: Headers.optional().meta({ description: "A queue's go to the queue's own URL only" }),
  retry: CallbackRetryPolicy.optional(),
});
export type CallbackSettings = z.infer<typeof CallbackSettings>;

const Metadata = z
  .record(z.string(), z.json())
  .refine((value) => new TextEncoder().encode(JSON.stringify(value)).byteLength <= MAX_METADATA_BYTES, {
    error: `expected at most ${MAX_METADATA_BYTES} bytes of JSON`,
  });

/** True for methods that go without a body: with them a `body` of null is none. */
export function takesNoBody(method: string): boolean {
  return method === "GET" || method === "HEAD";
}

/** One HTTP call that must be made until it succeeds or cannot. */
export const TaskRequest = z
  .strictObject({
    url: z.string().min(1).max(MAX_URL_LENGTH),
    method: z.enum(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]).default("POST"),
    headers: Headers.default({}),
    body: z.json().optional().meta({ description: "A string is sent as it is, anything else as JSON" }),
    body_base64: z.base64().optional().meta({ description: "Bytes, in place of body" }),
    queue: QueueName.default(DEFAULT_QUEUE),
    idempotency_key: z.string().min(1).max(MAX_IDEMPOTENCY_KEY_LENGTH).optional(),
    delay: duration(0, MAX_DELAY_MS).optional(),
    run_at: Instant.optional().meta({ description: "Wins over delay" }),
    priority: z.int().min(0).max(9).default(5),
    timeout: duration(1, MAX_TIMEOUT_MS).optional(),
    max_redirects: z.int().min(0).max(MAX_REDIRECTS).default(0),
    // Without a default: it would change the hash of requests that an older release took in.
    redirect_mode: RedirectMode.optional().meta({ description: "`strict` where it is left out" }),
    breaker_key: z
      .string()
      .regex(/^[A-Za-z0-9._:-]+$/, "expected letters, digits, '.', '_', ':' and '-'")
      .max(MAX_BREAKER_KEY_LENGTH)
      .optional(),
    retry: RetryPolicy.optional(),
    labels: z.array(Label).max(MAX_LABELS).default([]),
    metadata: Metadata.default({}),
    callback: CallbackSettings.nullable()
      .optional()
      .meta({ description: "null: none, even if the queue has one" }),
  })
  .superRefine((task, context) => {
    const hasBody = (task.body ?? null) !== null || task.body_base64 !== undefined;
    if (hasBody && takesNoBody(task.method)) {
      context.addIssue({ code: "custom", path: ["body"], message: `expected no body with ${task.method}` });
    }
    if (task.body !== undefined && task.body_base64 !== undefined) {
      context.addIssue({
        code: "custom",
        path: ["body_base64"],
        message: "expected body or body_base64, got both",
      });
    }
  });
export type TaskRequest = z.infer<typeof TaskRequest>;
/** What a caller may write: everything but `url` can be left out. */
export type TaskRequestInput = z.input<typeof TaskRequest>;

/** Up to 1,000 tasks; each is checked by itself, so one wrong task does not refuse the others. */
export const BatchRequest = z.strictObject({
  tasks: z
    .array(z.unknown())
    .min(1)
    .max(MAX_BATCH)
    .meta({ description: "Each a task as for POST /v1/tasks" }),
});

/** The answer to a submit. */
export const TaskAccepted = z.object({
  id: z.string(),
  state: TaskState,
  queue: z.string(),
  waiting_on: WaitingOn.nullable(),
  due_at: z.iso.datetime().nullable(),
  duplicate: z.boolean(),
});
export type TaskAccepted = z.infer<typeof TaskAccepted>;

/** One try of the call, as a task's history shows it. Instants are ISO 8601. */
export const AttemptView = z.object({
  number: z.int(),
  round: z.int(),
  trigger: z.enum(["submit", "schedule", "retry", "manual", "resume", "probe", "redrive"]),
  started_at: z.iso.datetime(),
  duration_ms: z.int().nullable(),
  status: z.int().nullable().meta({ description: "0: no answer; null: still under way or not known" }),
  error_type: ErrorType.nullable(),
  error_code: z.string().nullable(),
  error_message: z.string().nullable(),
  body_error: BodyError.nullable().meta({
    description: "The status came, but the body could not be read; null: it could, or there was no answer",
  }),
  class: FaultClass.nullable(),
  decision: z.enum(["succeed", "retry", "hold", "fail", "late"]).nullable(),
  rule: z.string().nullable().meta({ description: "What decided, such as `rules[1]: status == 401`" }),
  delay_ms: z
    .int()
    .nullable()
    .meta({ description: "The wait that follows; of an attempt that failed for good, one beyond max_age" }),
  next_at: z.iso.datetime().nullable(),
});
export type AttemptView = z.infer<typeof AttemptView>;

export const CALLBACK_STATES = ["pending", "running", "retrying", "delivered", "failed"] as const;
export const CallbackState = z.enum(CALLBACK_STATES);
export type CallbackState = z.infer<typeof CallbackState>;

/** One delivery attempt of a callback. */
export const CallbackAttemptView = z.object({
  number: z.int(),
  started_at: z.iso.datetime(),
  duration_ms: z.int().nullable(),
  status: z.int().nullable(),
  error_type: ErrorType.nullable(),
  body_error: BodyError.nullable(),
  next_at: z.iso.datetime().nullable(),
});
export type CallbackAttemptView = z.infer<typeof CallbackAttemptView>;

/**
 * What the target answered last, decoded and cut to 64 KB; headers that carry secrets are left out. Of a body that
 * broke nothing is kept: it is empty and `truncated`.
 */
export const ResponseView = z.object({
  status: z.int(),
  headers: Headers,
  body: z.string(),
  body_encoding: z.enum(["utf8", "base64"]),
  truncated: z.boolean(),
});
export type ResponseView = z.infer<typeof ResponseView>;

/** A task as `GET /v1/tasks/{id}` shows it. */
export const TaskView = z.object({
  id: z.string(),
  state: TaskState,
  queue: z.string(),
  summary: z.string(),
  waiting_on: WaitingOn.nullable(),
  due_at: z.iso.datetime().nullable(),
  expires_at: z.iso.datetime().nullable(),
  reason: z.string().nullable().meta({ description: "Why a final task ended" }),
  url: z.string(),
  method: z.string(),
  headers: Headers,
  target: z.string(),
  priority: z.int(),
  labels: z.array(z.string()),
  metadata: z.record(z.string(), z.json()),
  idempotency_key: z.string().nullable(),
  round: z.int(),
  max_attempts: z.int(),
  attempt_count: z.int(),
  attempts: z.array(AttemptView),
  attempts_omitted: z.int().meta({ description: "Older attempts, counted but no longer kept" }),
  response: ResponseView.nullable(),
  callback: z
    .object({
      url: z.string(),
      state: CallbackState,
      attempts: z.array(CallbackAttemptView),
      reason: z
        .string()
        .nullable()
        .meta({ description: "Why it failed; `stopped` is said while its last delivery is under way, too" }),
    })
    .nullable(),
  created_at: z.iso.datetime(),
  finalized_at: z.iso.datetime().nullable(),
});
export type TaskView = z.infer<typeof TaskView>;

/** One line of a list: a task without its history, headers and response. */
export const TaskSummary = TaskView.omit({
  attempts: true,
  attempts_omitted: true,
  response: true,
  headers: true,
});
export type TaskSummary = z.infer<typeof TaskSummary>;

export const TaskList = z.object({ tasks: z.array(TaskSummary), next_cursor: z.string().nullable() });
export type TaskList = z.infer<typeof TaskList>;

/** Filters of `GET /v1/tasks`. */
export const TaskQuery = z.strictObject({
  queue: QueueName.optional(),
  state: TaskState.optional(),
  label: Label.optional(),
  target: z.string().max(MAX_URL_LENGTH).optional(),
  created_after: Instant.optional(),
  limit: z.coerce.number().int().min(1).max(MAX_PAGE).default(DEFAULT_PAGE),
  cursor: z.string().max(1_024).optional(),
});
export type TaskQuery = z.infer<typeof TaskQuery>;
