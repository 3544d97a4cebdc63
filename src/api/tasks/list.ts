import type { QueueConfig } from "../../protocol/queue-config.ts";
import type { TaskList, TaskQuery } from "../../schema/task.ts";
import { type AppContext, readShard } from "../access/app-env.ts";
import { mayUse } from "../access/auth.ts";
import { cachedQueues } from "../access/catalog-cache.ts";
import { findQueue } from "../access/find-queue.ts";
import { withinScanBudget } from "../access/scan-limits.ts";
import { mapSome, shardGroup, shardsOf } from "../access/shard-groups.ts";
import { makeCursor, readCursor } from "../http/cursor.ts";
import { mergePages } from "./merge-pages.ts";

/** Where a page begins: below a task id, in the queues from a reference on. */
interface Place {
  fromRef: number;
  before: string | null;
}

/**
 * One page of tasks, newest first, over all shards of a queue, or of all queues that the caller may see: where these
 * have very many shards, over the first of them, and then over the next. Throws AppError `rate_limited`.
 */
export async function listTasks(c: AppContext, query: TaskQuery): Promise<TaskList> {
  const { queue = null, state = null, label = null, target = null, limit } = query;
  const { created_after: createdAfter = null } = query;
  const filters = { queue, state, label, target, createdAfter };
  const secret = c.env.REDRIVE_API_KEY ?? "";
  const { fromRef, before } = placeOf(query.cursor && (await readCursor(query.cursor, filters, secret)));
  const group = shardGroup(await queuesOf(c, queue), fromRef);
  const message = { before, state, label, target, createdAfter, limit };
  const answers = await withinScanBudget(c.get("caller").id, async (cost) => {
    return mapSome(shardsOf(group.queues), async ({ name }) => {
      cost.shards++;
      const answer = await readShard(c.env, name, (stub, quiet) => stub.list(message, quiet));
      cost.rows += answer.examined ?? answer.tasks.length;
      return answer;
    });
  });
  const { tasks, nextBefore } = mergePages(answers, limit);
  const next = nextPlace(fromRef, nextBefore, group.nextRef);
  return { tasks, next_cursor: next === null ? null : await makeCursor(next, filters, secret) };
}

async function queuesOf(c: AppContext, name: string | null): Promise<QueueConfig[]> {
  if (name !== null) return [await findQueue(c, name)];
  return (await cachedQueues(c.env)).filter((queue) => mayUse(c, queue));
}

/** A cursor says `<id>`, or `<ref>~<id>` where it is in queues after the first ones; no id: from the newest on. */
function placeOf(cursor: string | undefined): Place {
  const [, ref = "0", before] = /^(?:(\d+)~)?(.*)$/s.exec(cursor ?? "") ?? [];
  return { fromRef: Number(ref), before: before || null };
}

function nextPlace(fromRef: number, nextBefore: string | null, nextRef: number | null): string | null {
  if (nextBefore !== null) return fromRef === 0 ? nextBefore : `${fromRef}~${nextBefore}`;
  return nextRef === null ? null : `${nextRef}~`;
}
