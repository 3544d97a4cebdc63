import { checkTargetUrl } from "../../core/address/target-url.ts";
import { breakerPolicy } from "../../core/breaker/policy.ts";
import { breakerName } from "../../protocol/names.ts";
import type { QueueConfig } from "../../protocol/queue-config.ts";
import { MAX_BREAKER_KEY_LENGTH } from "../../schema/limits.ts";
import { shapeOf } from "../../schema/shape.ts";
import { TaskRequest } from "../../schema/task.ts";
import { rulesOf } from "../access/address-rules.ts";
import type { AppContext } from "../access/app-env.ts";
import { findQueue } from "../access/find-queue.ts";
import { AppError, invalidRequest } from "../http/app-error.ts";

/** Which breaker a request means. */
export interface BreakerPlace {
  /** Its target key. */
  key: string;
  /** The name of its Breaker object. */
  name: string;
  /** The only queue that goes by it; null: all queues do. */
  queue: QueueConfig | null;
}

/**
 * The breaker of a target key: that of an origin or of a path in it, or with `queue` that of one queue which shares with no other, or that of
 * `key:<queue>/<breaker_key>`. It need not be there yet. Throws AppError `invalid_request`, or `queue_not_found` where
 * the caller may not see the queue.
 */
export async function findBreaker(
  c: AppContext,
  key: string,
  queue: string | undefined,
): Promise<BreakerPlace> {
  const [, ownQueue, breakerKey] = /^key:([^/]*)\/(.*)$/s.exec(key) ?? [];
  if (ownQueue === undefined || breakerKey === undefined) return breakerOfOrigin(c, key, queue);
  if (!TaskRequest.shape.breaker_key.safeParse(breakerKey).success || breakerKey === "") {
    throw wrong(
      "key",
      `1 to ${MAX_BREAKER_KEY_LENGTH} of A-Z, a-z, 0-9, '.', '_', ':' and '-'`,
      shapeOf(breakerKey),
    );
  }
  if (queue !== undefined && queue !== ownQueue)
    throw wrong("queue", "the queue that the key names", "another");
  const config = await findQueue(c, ownQueue);
  return {
    key,
    name: breakerName(key, breakerPolicy(config.settings.breaker).share, config.ref),
    queue: config,
  };
}

/** The problem of a breaker that has never been told anything, or looks so. */
export function noBreaker(): AppError {
  return new AppError("breaker_not_found", "there is no breaker of this key");
}

async function breakerOfOrigin(c: AppContext, key: string, queue: string | undefined): Promise<BreakerPlace> {
  // An origin, not a target: that of this server itself has a breaker where its sandbox is a target.
  const checked = checkTargetUrl(key, { ...rulesOf(c.env), self: null });
  if (!checked.ok) throw invalidRequest([{ path: "key", message: checked.message }]);
  if (!isTargetKey(key, checked))
    throw wrong("key", `an origin, ${JSON.stringify(checked.origin)}, or with a path`, shapeOf(key));
  if (queue === undefined) return { key, name: key, queue: null };
  const config = await findQueue(c, queue);
  if (breakerPolicy(config.settings.breaker).share === "queue") {
    return { key, name: breakerName(key, "queue", config.ref), queue: config };
  }
  const expected = "a queue with breaker: { share: queue }";
  throw wrong("queue", expected, `${queue}, which goes by the breaker of all queues: leave queue out`);
}

/** Whether a URL that was checked is written as targets are: an origin, or one with the path that a scope names. */
function isTargetKey(key: string, { url, origin }: { url: string; origin: string }): boolean {
  const { pathname } = new URL(url);
  return key === origin || (pathname !== "/" && !pathname.endsWith("/") && key === origin + pathname);
}

function wrong(path: string, expected: string, came: string): AppError {
  return invalidRequest([{ path, message: `expected ${expected}, got ${came}` }]);
}
