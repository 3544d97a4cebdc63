import type { QueueConfig } from "../../protocol/queue-config.ts";
import { noQueueText } from "../../schema/shape.ts";
import { QUEUE_NAME } from "../../schema/task.ts";
import { AppError } from "../http/app-error.ts";
import type { AppContext } from "./app-env.ts";
import { mayUse } from "./auth.ts";
import { cachedQueue } from "./catalog-cache.ts";

/** The queue of this name. Throws AppError `queue_not_found` where there is none, or the caller may not see it. */
export async function findQueue(c: AppContext, name: string): Promise<QueueConfig> {
  const queue = QUEUE_NAME.test(name) && mayUse(c, name) ? await cachedQueue(c.env, name) : null;
  if (queue === null) throw noQueue(name);
  return queue;
}

/** The problem of a queue that is not there, or looks so. `path` names the place of the request that asks for it. */
export function noQueue(name: string, path?: string): AppError {
  const message = noQueueText(name);
  return new AppError("queue_not_found", message, path === undefined ? {} : { errors: [{ path, message }] });
}
