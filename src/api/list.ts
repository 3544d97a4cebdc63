import type { ListMessage, QueueConfig } from "../core/messages.ts";
import { shardName } from "../core/queue-shards.ts";
import type { TaskList, TaskQuery } from "../schema/task.ts";
import { type AppContext, readShard } from "./app-env.ts";
import { mayUse } from "./auth.ts";
import { cachedQueues } from "./catalog-cache.ts";
import { makeCursor, readCursor } from "./cursor.ts";
import { findQueue } from "./find-task.ts";
import { mergePages } from "./merge-pages.ts";

/** One page of tasks, newest first, over all shards of a queue, or of all queues that the caller may see. */
export async function listTasks(c: AppContext, query: TaskQuery): Promise<TaskList> {
  const {
    queue = null,
    state = null,
    label = null,
    target = null,
    created_after: createdAfter = null,
  } = query;
  const filters = { queue, state, label, target, createdAfter };
  const secret = c.env.REDRIVE_API_KEY ?? "";
  const before = query.cursor === undefined ? null : await readCursor(query.cursor, filters, secret);
  const message = { before, state, label, target, createdAfter, limit: query.limit };
  const answers = await Promise.all(
    (await queuesOf(c, queue)).flatMap((config) => listQueue(c, config, message)),
  );
  const { tasks, nextBefore } = mergePages(answers, query.limit);
  return { tasks, next_cursor: nextBefore === null ? null : await makeCursor(nextBefore, filters, secret) };
}

async function queuesOf(c: AppContext, name: string | null): Promise<QueueConfig[]> {
  if (name !== null) return [await findQueue(c, name)];
  return (await cachedQueues(c.env)).filter((queue) => mayUse(c, queue));
}

function listQueue(c: AppContext, queue: QueueConfig, message: ListMessage) {
  return Array.from({ length: queue.shards }, (_, shard) =>
    readShard(c.env, shardName(queue.ref, shard), (stub, quiet) => stub.list(message, quiet)),
  );
}
