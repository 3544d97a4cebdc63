import { withoutSecretHeaders } from "../core/call/secret-headers.ts";
import { withMetadata } from "../core/json/with-metadata.ts";
import type { Attempt, KeptResponse, Task } from "../core/task/task.ts";
import type { CallbackPayload } from "../schema/callback.ts";
import { CallbackEvent } from "../schema/task.ts";

/** The `webhook-id` of a round's final message: the same over its deliveries, another in the next round. */
export function messageId(taskId: string, round: number): string {
  return `${taskId}_${round}`;
}

/**
 * The body that tells a final task's outcome: a CallbackPayload as JSON. Its timestamp is when the task became
 * final (`now` where that is not known), so that every delivery of the message has the same body. The history
 * is that of the task's current round. Throws where the task is not final.
 */
export function callbackBody(task: Task, queue: string, now: number): string {
  const history = task.history.filter((attempt) => attempt.round === task.round);
  const payload: CallbackPayload = {
    type: `task.${CallbackEvent.parse(task.state)}`,
    timestamp: new Date(task.finalizedAt ?? now).toISOString(),
    data: {
      task: taskPart(task, queue),
      response: task.response === null ? null : responsePart(task.response),
      error: task.state === "succeeded" ? null : errorPart(task, history),
      history: history.map(historyPart),
    },
  };
  return withMetadata(payload, payload.data.task, task.call.metadataText);
}

/** Where in a payload the body of the answer stands, if it is sealed; null: it is not. It is text without escapes. */
export function sealedPart(
  payload: string,
  response: KeptResponse | null,
): { start: number; end: number } | null {
  if (response?.sealed === undefined) return null;
  // The last place: what stands before it came from the task's submitter.
  const start = payload.lastIndexOf(response.body);
  return { start, end: start + response.body.length };
}

type Data = CallbackPayload["data"];

function taskPart(task: Task, queue: string): Data["task"] {
  return {
    id: task.id,
    round: task.round,
    queue,
    state: task.state,
    attempts: task.attempt,
    metadata: task.call.metadata as Data["task"]["metadata"],
    labels: task.call.labels,
  };
}

function responsePart(response: KeptResponse): NonNullable<Data["response"]> {
  return {
    status: response.status,
    headers: withoutSecretHeaders(response.headers),
    body: response.body,
    body_encoding: response.bodyEncoding,
    truncated: response.truncated,
  };
}

/** What went wrong last, and why that was the end. A task cancelled before any attempt has a reason only. */
function errorPart(task: Task, history: Attempt[]): NonNullable<Data["error"]> {
  const failed = history.findLast((attempt) => attempt.errorType !== null);
  return {
    error_type: failed?.errorType ?? null,
    type: failed?.errorType ?? null,
    code: failed?.errorCode ?? null,
    message: failed?.errorMessage ?? null,
    reason: task.reason ?? task.state,
  };
}

function historyPart(attempt: Attempt): Data["history"][number] {
  return {
    attempt: attempt.number,
    status: attempt.status,
    error_type: attempt.errorType,
    ...(attempt.bodyError !== null && { body_error: attempt.bodyError }),
    delay_ms: attempt.delayMs,
  };
}
