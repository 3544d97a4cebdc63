import { parseTaskId } from "../../core/task/task-id.ts";
import { shardName } from "../../protocol/names.ts";
import type { AppContext } from "../access/app-env.ts";
import { mayUse } from "../access/auth.ts";
import { cachedQueueByRef } from "../access/catalog-cache.ts";
import { AppError } from "../http/app-error.ts";

/**
 * The name of the shard that has the task, if there is one. Throws AppError `task_not_found` where the id names no
 * shard, or one of a queue that the caller may not see.
 */
export async function shardOfTask(c: AppContext, id: string): Promise<string> {
  const parts = parseTaskId(id);
  const queue = parts === null ? null : await cachedQueueByRef(c.env, parts.queueRef);
  if (parts === null || queue === null || parts.shard >= queue.shards || !mayUse(c, queue)) {
    const shown = parts === null ? "of this id" : id;
    throw new AppError("task_not_found", `there is no task ${shown}`);
  }
  return shardName(queue.ref, parts.shard);
}
