/** A shard that is told, and its queue. */
export interface ToldShard {
  shard: string;
  queueRef: number;
}

/**
 * Tells shards of a change, all at once; `send` answers whether a shard could be told. With `announce`, one shard of
 * each queue tells its operators too: the first, and where that one could not be told the next of its queue that
 * could. Never throws as long as `send` does not.
 */
export async function tellShards(
  shards: readonly ToldShard[],
  announce: boolean,
  send: (to: ToldShard, isAnnouncer: boolean) => Promise<boolean>,
): Promise<void> {
  const queues = Map.groupBy(shards, ({ queueRef }) => queueRef).values();
  await Promise.all(Array.from(queues, (queue) => tellQueue(queue, announce, send)));
}

async function tellQueue(
  queue: readonly ToldShard[],
  announce: boolean,
  send: (to: ToldShard, isAnnouncer: boolean) => Promise<boolean>,
): Promise<void> {
  const told = await Promise.all(queue.map((to, i) => send(to, announce && i === 0)));
  if (!announce || told[0] === true) return;
  for (const [i, to] of queue.entries()) {
    if (told[i] === true && (await send(to, true))) return;
  }
}
