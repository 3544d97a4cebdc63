import { taskPhase } from "../../schema/state-facts.ts";
import type { AttemptView, TaskSummary, TaskView } from "../../schema/task.ts";
import { redactHeaders } from "../call/secret-headers.ts";
import type { Attempt, CallbackAttempt, Task } from "../task/task.ts";
import { isFinal } from "../task/task.ts";
import { summarize } from "./summary.ts";
import type { ShardSituation } from "./waiting.ts";
import { waitingOn } from "./waiting.ts";

/** An object without fields: what is left of one whose fields were all named. */
type Nothing = Record<string, never>;

/** A view, and its metadata as it was given where that is not what `metadata` is as JSON; see `taskJson`. */
export type ToldTask<T> = T & { metadataText?: string };

/** What a view needs beyond the task: its queue's name, the attempts it may make, and its shard's situation. */
export interface ViewContext extends ShardSituation {
  queue: string;
  maxAttempts: number;
}

/** A task as `GET /v1/tasks/{id}` shows it; secrets in its headers are redacted. */
export function taskView(task: Task, context: ViewContext): ToldTask<TaskView> {
  return {
    ...taskSummary(task, context),
    headers: redactHeaders(task.call.headers),
    attempts: task.history.map(attemptView),
    attempts_omitted: task.attemptsOmitted,
    response: task.response && {
      status: task.response.status,
      headers: redactHeaders(task.response.headers),
      body: task.response.body,
      body_encoding: task.response.bodyEncoding,
      truncated: task.response.truncated,
    },
  };
}

/** A task as a list shows it. */
export function taskSummary(task: Task, context: ViewContext): ToldTask<TaskSummary> {
  const waiting = waitingOn(task, context);
  return {
    id: task.id,
    state: task.state,
    queue: context.queue,
    summary: summarize(task, waiting, context.gate ?? null, context.maxAttempts, context.now),
    waiting_on: waiting,
    due_at: hasDueTime(task) ? instant(task.dueAt) : null,
    expires_at: isFinal(task.state) ? null : instant(task.expiresAt),
    reason: task.reason,
    url: task.call.url,
    method: task.call.method,
    target: task.target,
    priority: task.priority,
    labels: task.call.labels,
    metadata: task.call.metadata as TaskSummary["metadata"],
    ...(task.call.metadataText !== undefined && { metadataText: task.call.metadataText }),
    idempotency_key: task.call.idempotencyKey,
    round: task.round,
    max_attempts: context.maxAttempts,
    attempt_count: task.attempt,
    callback: task.callback && {
      url: task.callback.url,
      state: task.callback.state,
      attempts: task.callback.attempts.map(callbackAttemptView),
      reason: task.callback.reason ?? null,
    },
    created_at: instant(task.createdAt),
    finalized_at: task.finalizedAt === null ? null : instant(task.finalizedAt),
  };
}

/** A held task has no due time: it waits for a condition, and its row's time is that of its expiry. */
function hasDueTime(task: Task): boolean {
  return taskPhase(task.state) === "waiting";
}

/** Every field of an attempt is shown; one that is added has to be. */
function attemptView(attempt: Attempt): AttemptView {
  const { number, round, trigger, startedAt, durationMs, status, nextAt, ...result } = attempt;
  const { errorType, errorCode, errorMessage, bodyError, faultClass, decision, rule, delayMs, ...unseen } =
    result;
  unseen satisfies Nothing;
  return {
    number,
    round,
    trigger,
    started_at: instant(startedAt),
    duration_ms: durationMs,
    status,
    error_type: errorType,
    error_code: errorCode,
    error_message: errorMessage,
    body_error: bodyError,
    class: faultClass,
    decision,
    rule,
    delay_ms: delayMs,
    next_at: nextAt === null ? null : instant(nextAt),
  };
}

/** As attemptView. */
function callbackAttemptView(
  attempt: CallbackAttempt,
): NonNullable<TaskView["callback"]>["attempts"][number] {
  const { number, startedAt, durationMs, status, errorType, bodyError, nextAt, ...unseen } = attempt;
  unseen satisfies Nothing;
  return {
    number,
    started_at: instant(startedAt),
    duration_ms: durationMs,
    status,
    error_type: errorType,
    body_error: bodyError,
    next_at: nextAt === null ? null : instant(nextAt),
  };
}

function instant(at: number): string {
  return new Date(at).toISOString();
}
