import { shardName } from "../../protocol/names.ts";
import type { QueueConfig } from "../../protocol/queue-config.ts";

/** Shards that one request asks. */
export const MOST_SHARDS = 256;
/** Shards that one request asks at the same time. */
export const SHARDS_AT_ONCE = 32;

/** Queues whose shards one request asks, and the reference of the first queue after them; null: there are no more. */
export interface ShardGroup {
  queues: QueueConfig[];
  nextRef: number | null;
}

/**
 * The queues from a reference on, in the order in which they were made, as far as their shards are few enough; at
 * least one. A queue that is made or deleted meanwhile moves no other to another place.
 */
export function shardGroup(all: readonly QueueConfig[], fromRef: number): ShardGroup {
  const left = all.filter(({ ref }) => ref >= fromRef).sort((a, b) => a.ref - b.ref);
  const queues: QueueConfig[] = [];
  let shards = 0;
  for (const queue of left) {
    shards += queue.shards;
    if (queues.length > 0 && shards > MOST_SHARDS) return { queues, nextRef: queue.ref };
    queues.push(queue);
  }
  return { queues, nextRef: null };
}

/** The names of all shards of these queues, each with its queue. */
export function shardsOf(queues: readonly QueueConfig[]): { name: string; queue: QueueConfig }[] {
  return queues.flatMap((queue) =>
    Array.from({ length: queue.shards }, (_, shard) => ({ name: shardName(queue.ref, shard), queue })),
  );
}

/** Does something for each item, for some at the same time; the results in the items' order. Rejects as soon as one does. */
export async function mapSome<T, R>(
  items: readonly T[],
  run: (item: T) => Promise<R>,
  atOnce = SHARDS_AT_ONCE,
): Promise<R[]> {
  const results: R[] = [];
  const entries = items.entries();
  const work = async () => {
    for (const [index, item] of entries) results[index] = await run(item);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, work));
  return results;
}
