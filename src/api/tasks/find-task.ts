import { parseTaskId } from "../../core/task/task-id.ts";
import { shardName } from "../../protocol/names.ts";
import type { QueueConfig } from "../../protocol/queue-config.ts";
import type { Refusal } from "../../protocol/refusal.ts";
import { QUEUE_NAME } from "../../schema/task.ts";
import type { AppContext } from "../access/app-env.ts";
import { mayUse } from "../access/auth.ts";
import { cachedQueue, cachedQueueByRef } from "../access/catalog-cache.ts";
import { AppError } from "../http/app-error.ts";

/**
 * The name of the shard that has the task, if there is one. Throws AppError `task_not_found` where the id names no
 * shard, or one of a queue that the caller may not see.
 */
export async function shardOfTask(c: AppContext, id: string): Promise<string> {
  const parts = parseTaskId(id);
  const queue = parts === null ? null : await cachedQueueByRef(c.env, parts.queueRef);
  if (parts === null || queue === null || parts.shard >= queue.shards || !mayUse(c, queue)) {
    throw new AppError("task_not_found", `there is no task ${id.slice(0, 64)}`);
  }
  return shardName(queue.ref, parts.shard);
}

/** The queue of this name. Throws AppError `queue_not_found` where there is none, or the caller may not see it. */
export async function findQueue(c: AppContext, name: string): Promise<QueueConfig> {
  const queue = QUEUE_NAME.test(name) && mayUse(c, name) ? await cachedQueue(c.env, name) : null;
  if (queue === null) throw noQueue(name);
  return queue;
}

/** The problem of a queue that is not there, or looks so. `path` names the place of the request that asks for it. */
export function noQueue(name: string, path?: string): AppError {
  const message = `there is no queue ${JSON.stringify(name.slice(0, 64))}`;
  return new AppError("queue_not_found", message, path === undefined ? {} : { errors: [{ path, message }] });
}

/** The problem of an expected refusal that came as a value. */
export function refused(refusal: Refusal & { errors?: { path: string; message: string }[] }): AppError {
  return new AppError(refusal.code, refusal.detail, refusal.errors ? { errors: refusal.errors } : {});
}
