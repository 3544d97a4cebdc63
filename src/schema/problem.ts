import { z } from "zod";

/** Every `code` a problem may have; each is stable and documented in docs/api.md. */
export const ERROR_CODES = [
  "invalid_request",
  "malformed_body",
  "unsupported_media_type",
  "body_too_large",
  "unauthorized",
  "forbidden",
  "not_found",
  "task_not_found",
  "queue_not_found",
  "key_not_found",
  "breaker_not_found",
  "method_not_allowed",
  "misdirected_request",
  "idempotency_conflict",
  "invalid_state",
  "queue_not_empty",
  "queue_conflict",
  "invalid_cursor",
  "rate_limited",
  "not_configured",
  "overloaded",
  "storage_unavailable",
  "unavailable",
  "internal",
] as const;
export const ErrorCode = z.enum(ERROR_CODES);
export type ErrorCode = z.infer<typeof ErrorCode>;

/** One wrong place of a request: a JSON path such as `retry.rules[0].when`, what was expected and what came. */
export const ProblemIssue = z.object({ path: z.string(), message: z.string() });
export type ProblemIssue = z.infer<typeof ProblemIssue>;

/** An error as `application/problem+json` (RFC 9457). */
export const Problem = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  code: ErrorCode,
  detail: z.string(),
  errors: z.array(ProblemIssue).optional(),
  request_id: z.string(),
});
export type Problem = z.infer<typeof Problem>;
