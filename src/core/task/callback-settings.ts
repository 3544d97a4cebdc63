import type { CallbackEvent, CallbackSettings } from "../../schema/task.ts";
import { type Policy, resolveCallbackPolicy } from "../policy/policy.ts";
import type { TaskCallback } from "./task.ts";

export const DEFAULT_CALLBACK_TIMEOUT_MS = 10_000;
const EVERY_EVENT: readonly CallbackEvent[] = ["succeeded", "failed", "cancelled"];

/** A task's callback with nothing left out but its headers, which depend on the receiver: `callbackHeaders`. */
export interface EffectiveCallback {
  url: string;
  on: readonly CallbackEvent[];
  timeoutMs: number;
  policy: Policy;
}

/**
 * The callback of a task: its own settings win over its queue's field by field. Null where it wants none, or
 * where neither names a URL.
 */
export function effectiveCallback(
  own: TaskCallback | null | undefined,
  queue: CallbackSettings | null,
): EffectiveCallback | null {
  const url = own?.url ?? queue?.url;
  if (own === null || url === undefined) return null;
  return {
    url,
    on: own?.on ?? queue?.on ?? EVERY_EVENT,
    timeoutMs: own?.timeoutMs ?? queue?.timeout ?? DEFAULT_CALLBACK_TIMEOUT_MS,
    policy: resolveCallbackPolicy(own?.retry, queue?.retry),
  };
}

/**
 * The headers that a delivery to `receiver` carries: the task's own where it gives any, else the queue's. They may be
 * credentials, so the queue's go to the queue's own URL only, as both are set now: neither to a URL that a task names,
 * nor to one that the queue had before. By the whole URL, not its origin: where a service takes in callbacks for
 * many, each path is another customer.
 */
export function callbackHeaders(
  own: TaskCallback | null | undefined,
  queue: CallbackSettings | null,
  receiver: string,
): Record<string, string> {
  if (own?.headers !== undefined) return own.headers;
  return queue?.url !== undefined && isSameUrl(queue.url, receiver) ? (queue.headers ?? {}) : {};
}

/**
 * A new task's callback as its row keeps it: one that brings headers and no URL is bound to the queue's URL of now, so
 * that a later change of the queue does not send them elsewhere.
 */
export function boundCallback<T extends TaskCallback | null | undefined>(
  own: T,
  queue: CallbackSettings | null,
): T {
  if (own?.headers === undefined || own.url !== undefined || queue?.url === undefined) return own;
  return { ...own, url: queue.url };
}

/** Whether two URLs name the same place to call, however they are spelled. */
function isSameUrl(a: string, b: string): boolean {
  return a === b || called(a) === called(b);
}

/** A URL as it is called: in its normal spelling, without a fragment. */
function called(text: string): string {
  if (!URL.canParse(text)) return text;
  const url = new URL(text);
  url.hash = "";
  return url.href;
}
