import { type AddressRules, checkTargetUrl } from "../core/address/target-url.ts";
import { checkPolicy } from "../core/policy/check-policy.ts";
import { DEFAULT_CALLBACK_POLICY } from "../core/policy/policy.ts";
import type { Backoff, RetryPolicy } from "../schema/policy.ts";
import type { ProblemIssue } from "../schema/problem.ts";
import type { QueueSettings } from "../schema/queue.ts";
import type { CallbackSettings } from "../schema/task.ts";
import { checkHeaders } from "./check-headers.ts";

const CALLBACK_BACKOFF: Backoff = { intervals: [...DEFAULT_CALLBACK_POLICY.backoff.intervalsMs] };

/** What is wrong with a queue's settings beyond their shape. An empty list: nothing. */
export function checkQueueSettings(settings: QueueSettings, rules: AddressRules): ProblemIssue[] {
  const { retry, callback, breaker, events } = settings;
  return [
    ...checkRetry(retry, undefined, rules),
    ...(callback === null ? [] : checkCallback(callback, null, rules)),
    ...(breaker.readiness === undefined
      ? []
      : checkUrl(breaker.readiness.url, "breaker.readiness.url", rules)),
    ...(events === null ? [] : checkUrl(events.url, "events.url", rules)),
  ];
}

/** What is wrong with a retry policy: expressions, backoff, the URLs of its probes. Paths begin with `retry`. */
export function checkRetry(
  retry: RetryPolicy,
  inherited: Backoff | undefined,
  rules: AddressRules,
): ProblemIssue[] {
  const probes = (retry.rules ?? []).flatMap((rule, i) => {
    if (rule.until === undefined || rule.until === "signal") return [];
    return checkUrl(rule.until.probe.url, `retry.rules[${i}].until.probe.url`, rules);
  });
  return [...checkPolicy(retry, "retry", inherited), ...probes];
}

/** What is wrong with callback settings, of a task or (`queue` null) of a queue. Paths begin with `callback`. */
export function checkCallback(
  callback: CallbackSettings,
  queue: Pick<QueueSettings, "callback"> | null,
  rules: AddressRules,
): ProblemIssue[] {
  const { url, headers, retry } = callback;
  const inherited = queue?.callback?.retry?.backoff ?? CALLBACK_BACKOFF;
  const noUrl = url === undefined && queue !== null && queue.callback?.url === undefined;
  return [
    ...(noUrl
      ? [{ path: "callback.url", message: "expected a URL where the queue has none, got nothing" }]
      : []),
    ...(url === undefined ? [] : checkUrl(url, "callback.url", rules)),
    ...(headers === undefined ? [] : checkHeaders(headers, "callback.headers").issues),
    ...(queue === null && url === undefined ? checkReceiver(headers) : []),
    ...(retry === undefined ? [] : checkPolicy(retry, "callback.retry", inherited)),
  ];
}

/** A queue's headers go to the queue's own URL only: without one they would go nowhere. */
function checkReceiver(headers: Record<string, string> = {}): ProblemIssue[] {
  const count = Object.keys(headers).length;
  if (count === 0) return [];
  const message = `expected callback.url beside them: a queue's headers go to its own URL only; got ${count} and no URL`;
  return [{ path: "callback.headers", message }];
}

function checkUrl(url: string, path: string, rules: AddressRules): ProblemIssue[] {
  const checked = checkTargetUrl(url, rules);
  return checked.ok ? [] : [{ path, message: checked.message }];
}
