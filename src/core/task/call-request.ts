import type { CallRequest, SealedWith } from "../call/call.ts";
import { isSealed } from "../call/sealed.ts";
import { hashText } from "../text/hash.ts";
import type { Task, TaskCall } from "./task.ts";

const USER_AGENT = "Redrive (+https://github.com/redrive/redrive)";

/**
 * The request of a task's next or current attempt: always the whole original, with the same context.
 * `maxAttempts` and `timeoutMs` are those in force now.
 */
export function attemptRequest(task: Task, maxAttempts: number, timeoutMs: number, now: number): CallRequest {
  const { call } = task;
  return {
    url: call.url,
    method: call.method,
    headers: {
      "user-agent": USER_AGENT,
      ...lowerCased(call.headers),
      "idempotency-key": call.idempotencyKey ?? task.id,
      "redrive-task-id": task.id,
      "redrive-attempt": String(task.attempt),
      "redrive-max-attempts": String(maxAttempts),
      "redrive-deadline": new Date(now + timeoutMs).toISOString(),
      "x-retry-count": String(task.attempt - 1),
      traceparent: call.traceparent ?? traceparentOf(task.id),
    },
    body: bodyOf(call),
    timeoutMs,
    maxRedirects: call.maxRedirects,
    ...(call.redirectMode !== undefined && { redirectMode: call.redirectMode }),
    sign: null,
  };
}

/** The request that delivers a signed message. Its own headers come from the callback settings. */
export function callbackRequest(delivery: {
  url: string;
  headers: Record<string, string>;
  body: string;
  messageId: string;
  secrets: string[];
  timeoutMs: number;
}): CallRequest {
  return {
    url: delivery.url,
    method: "POST",
    headers: {
      "user-agent": USER_AGENT,
      "content-type": "application/json",
      ...lowerCased(delivery.headers),
    },
    body: delivery.body,
    timeoutMs: delivery.timeoutMs,
    maxRedirects: 0,
    sign: { messageId: delivery.messageId, secrets: delivery.secrets },
  };
}

/**
 * The request with what opens its sealed values, where it has any; `more`: what of its bodies is sealed, or is to be.
 */
export function withKeys(
  request: CallRequest,
  { name, dataKeys = [] }: { name: string; dataKeys?: string[] },
  more: Omit<SealedWith, "queue" | "keys"> | null = null,
): CallRequest {
  const { headers, sign } = request;
  const hasSecret = Object.values(headers).some(isSealed) || sign?.secrets.some(isSealed) === true;
  if (!hasSecret && more === null) return request;
  return { ...request, sealed: { queue: name, keys: dataKeys, ...more } };
}

/** The request of a readiness probe. */
export function probeRequest(url: string, timeoutMs: number): CallRequest {
  const headers = { "user-agent": USER_AGENT };
  return { url, method: "GET", headers, body: null, timeoutMs, maxRedirects: 0, sign: null };
}

/** A trace context that stays the same over a task's attempts (W3C Trace Context, sampled). */
export function traceparentOf(taskId: string): string {
  const word = (salt: string) =>
    hashText(salt + taskId)
      .toString(16)
      .padStart(8, "0");
  return `00-${word("a")}${word("b")}${word("c")}${word("d")}-${word("e")}${word("f")}-01`;
}

function bodyOf(call: TaskCall): string | Uint8Array | null {
  if (call.body === null || call.bodyEncoding === "utf8" || call.bodySealed) return call.body;
  return Uint8Array.from(atob(call.body), (character) => character.charCodeAt(0));
}

function lowerCased(headers: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}
