import { z } from "zod";
import { type AddressRules, checkTargetUrl } from "../core/address/target-url.ts";
import type { TaskSource } from "../core/json/task-source.ts";
import type { NewTask } from "../core/task/new-task.ts";
import type { TaskCall, TaskCallback } from "../core/task/task.ts";
import { makeTaskId } from "../core/task/task-id.ts";
import { hashText } from "../core/text/hash.ts";
import type { QueueConfig } from "../protocol/queue-config.ts";
import { invalid, type Refusal } from "../protocol/refusal.ts";
import { MAX_BODY_BYTES, MAX_DELAY_MS } from "../schema/limits.ts";
import type { ProblemIssue } from "../schema/problem.ts";
import { type CallbackSettings, TaskRequest, takesNoBody } from "../schema/task.ts";
import { checkCallback, checkRetry } from "./check-call.ts";
import { checkHeaders, isHeaderValue } from "./check-headers.ts";
import { metadataFrom } from "./metadata.ts";
import { requestHash } from "./request-hash.ts";

/** The longest timeout of an attempt that the Worker which took the task in may make itself. */
const EDGE_TIMEOUT_MS = 20_000;

const BODY_DESCRIPTION = "Any JSON value; a string is sent as it is, anything else as JSON";

/**
 * A task as `TaskRequest` describes it, its body taken as it is: `readBody` has found it to be plain JSON, and a
 * second walk would rebuild it field by field, without a field named `__proto__`.
 */
export const SubmittedTask = TaskRequest.safeExtend({
  body: z.custom<z.core.util.JSONType>().optional().meta({ description: BODY_DESCRIPTION }),
  metadata: z
    .custom<Record<string, z.core.util.JSONType>>(isObject, "expected an object")
    .default({})
    .meta({ description: "Given back as it was written" }),
});
export type SubmittedTask = z.infer<typeof SubmittedTask>;

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What a request needs around it to become a task. */
export interface SubmitSituation {
  queue: QueueConfig;
  rules: AddressRules;
  now: number;
  random: () => number;
  /** The valid trace context of the submit itself, if it has one. */
  traceparent: string | null;
  /** Whether the caller could make the first attempt itself. */
  mayEdge: boolean;
}

/** A task and the number of the shard that its id names. */
export interface RoutedTask {
  ok: true;
  task: NewTask;
  shard: number;
}

/**
 * Makes a task of a parsed request: the one place where the wire's names end. Refuses as `invalid_request`
 * with every wrong place, or as `body_too_large`.
 */
export async function taskFromRequest(
  request: SubmittedTask,
  situation: SubmitSituation,
  source: TaskSource | null = null,
): Promise<RoutedTask | Refusal> {
  const { queue, now, random } = situation;
  const made = callFrom(request, situation, source);
  if ("ok" in made) return made;
  const { call, origin } = made;
  const key = request.idempotency_key ?? null;
  const shard = shardFor(queue, key, random);
  const { delay: delayMs = 0, run_at: runAt = null } = request;
  const timeoutMs = call.timeoutMs ?? queue.settings.timeout;
  const task: NewTask = {
    id: makeTaskId({ createdAt: now, shard, queueRef: queue.ref }, random),
    target: request.breaker_key === undefined ? origin : `key:${queue.name}/${request.breaker_key}`,
    priority: request.priority,
    delayMs,
    runAt,
    call,
    idempotencyKey: key,
    requestHash: key === null ? null : await requestHash(request, source),
    edge: situation.mayEdge && timeoutMs <= EDGE_TIMEOUT_MS && delayMs === 0 && runAt === null,
  };
  return { ok: true, task, shard };
}

/** Keyed tasks always go to the same shard, where their key is kept; others spread evenly. */
function shardFor(queue: QueueConfig, key: string | null, random: () => number): number {
  if (key === null) return Math.floor(random() * queue.shards);
  return hashText(`${queue.name}\n${key}`) % queue.shards;
}

function callFrom(
  request: SubmittedTask,
  situation: SubmitSituation,
  source: TaskSource | null,
): { call: TaskCall; origin: string } | Refusal {
  const { rules, queue, now } = situation;
  const target = checkTargetUrl(request.url, rules);
  const { headers, issues } = checkHeaders(request.headers, "headers");
  if (!target.ok) issues.push({ path: "url", message: target.message });
  const metadata = metadataFrom(request.metadata, source?.metadata ?? null);
  issues.push(...metadata.issues, ...checkTimes(request, now), ...checkKey(request.idempotency_key));
  if (request.retry !== undefined) {
    issues.push(...checkRetry(request.retry, queue.settings.retry.backoff, rules));
  }
  if (request.callback) issues.push(...checkCallback(request.callback, queue.settings, rules));
  if (issues.length > 0 || !target.ok) return invalid(issues);
  const sent = bodyFrom(request, source?.body ?? null);
  if ("ok" in sent) return sent;
  const { body, bodyEncoding, contentType } = sent;
  const { traceparent = situation.traceparent, ...others } = headers;
  if (contentType !== null) others["content-type"] ??= contentType;
  const call: TaskCall = {
    url: target.url,
    method: request.method,
    headers: others,
    body,
    bodyEncoding,
    timeoutMs: request.timeout ?? null,
    maxRedirects: request.max_redirects,
    ...(request.redirect_mode !== undefined && { redirectMode: request.redirect_mode }),
    retry: request.retry ?? null,
    labels: request.labels,
    metadata: request.metadata,
    ...(metadata.given !== null && { metadataText: metadata.given }),
    idempotencyKey: request.idempotency_key ?? null,
    traceparent,
  };
  if (request.callback !== undefined) call.callback = request.callback && callbackFrom(request.callback);
  return { call, origin: target.origin };
}

function checkTimes(request: SubmittedTask, now: number): ProblemIssue[] {
  if (request.run_at === undefined || request.run_at - now <= MAX_DELAY_MS) return [];
  const latest = new Date(now + MAX_DELAY_MS).toISOString();
  const came = new Date(request.run_at).toISOString();
  return [{ path: "run_at", message: `expected an instant at most 30d ahead (${latest}), got ${came}` }];
}

/** The target gets the key as a header. */
function checkKey(key: string | undefined): ProblemIssue[] {
  if (key === undefined || isHeaderValue(key)) return [];
  return [{ path: "idempotency_key", message: "expected printable ASCII, got other characters" }];
}

function callbackFrom({ url, on, timeout, headers, retry }: CallbackSettings): TaskCallback {
  return {
    ...(url !== undefined && { url }),
    ...(on !== undefined && { on }),
    ...(timeout !== undefined && { timeoutMs: timeout }),
    ...(headers !== undefined && { headers }),
    ...(retry !== undefined && { retry }),
  };
}

/** The bytes to send, and the content type where the task sets none. */
function bodyFrom(
  request: SubmittedTask,
  source: string | null,
): (Pick<TaskCall, "body" | "bodyEncoding"> & { contentType: string | null }) | Refusal {
  if (request.body_base64 !== undefined) {
    const padding = /=*$/.exec(request.body_base64)?.[0].length ?? 0;
    const bytes = (request.body_base64.length / 4) * 3 - padding;
    if (bytes > MAX_BODY_BYTES) return tooLarge(bytes, "body_base64");
    return { body: request.body_base64, bodyEncoding: "base64", contentType: null };
  }
  const { body } = request;
  const isNone = body === undefined || (body === null && takesNoBody(request.method));
  if (isNone) return { body: null, bodyEncoding: "utf8", contentType: null };
  const isText = typeof body === "string";
  const text = isText ? body : (source ?? JSON.stringify(body));
  // UTF-8 has at most three bytes for each UTF-16 unit: most bodies need no counting.
  const bytes = text.length * 3 > MAX_BODY_BYTES ? new TextEncoder().encode(text).byteLength : 0;
  if (bytes > MAX_BODY_BYTES) return tooLarge(bytes, "body");
  const contentType = isText ? "text/plain;charset=utf-8" : "application/json";
  return { body: text, bodyEncoding: "utf8", contentType };
}

function tooLarge(bytes: number, path: string): Refusal {
  const message = `expected a body of at most ${MAX_BODY_BYTES} bytes, got ${bytes}`;
  return { ok: false, code: "body_too_large", detail: `${path}: ${message}`, errors: [{ path, message }] };
}
