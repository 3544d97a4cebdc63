import type { CallbackEvent, CallbackSettings } from "../schema/task.ts";
import { type Policy, resolveCallbackPolicy } from "./policy.ts";
import type { TaskCallback } from "./task.ts";

export const DEFAULT_CALLBACK_TIMEOUT_MS = 10_000;
const EVERY_EVENT: readonly CallbackEvent[] = ["succeeded", "failed", "cancelled"];

/** A task's callback with nothing left out. */
export interface EffectiveCallback {
  url: string;
  on: readonly CallbackEvent[];
  timeoutMs: number;
  headers: Record<string, string>;
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
    headers: own?.headers ?? queue?.headers ?? {},
    policy: resolveCallbackPolicy(own?.retry, queue?.retry),
  };
}
