/** The public face of `redrive/client`. */
export type { BreakerState, ShownBreaker } from "../schema/breaker.ts";
export type { CallbackPayload } from "../schema/callback.ts";
export type { ErrorCode, Problem, ProblemIssue } from "../schema/problem.ts";
export type { QueueSettingsInput, QueueView } from "../schema/queue.ts";
export type { RekeyRequestInput } from "../schema/rekey.ts";
export type {
  AttemptView,
  TaskAccepted,
  TaskRequestInput,
  TaskState,
  TaskSummary,
  TaskView,
} from "../schema/task.ts";
export type { BatchResult } from "./batch.ts";
export {
  type BreakerFilter,
  RedriveClient,
  type RedriveClientOptions,
  type RekeyTotals,
  type TaskFilter,
  type WaitOptions,
} from "./client.ts";
export { BatchError, CallbackVerificationError, RedriveError, WaitTimeoutError } from "./errors.ts";
export type { Fetch } from "./http.ts";
export type { CallOptions, DeleteOptions } from "./queues.ts";
export type { Wait } from "./timing.ts";
export { type CallbackMessage, type VerifyCallbackOptions, verifyCallback } from "./verify-callback.ts";
