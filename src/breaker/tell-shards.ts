/**
 * Tells shards of a change, all at once; `send` answers whether a shard could be told. With `announce`, one shard of
 * each queue tells its operators too: the first, and where that one could not be told the next of its queue that
 * could. Never throws as long as `send` does not.
 */
export async function tellShards(
  shards: readonly { shard: string; queueRef: number }[],
  announce: boolean,
  send: (shard: string, isAnnouncer: boolean) => Promise<boolean>,
): Promise<void> {
  const queues = Map.groupBy(shards, ({ queueRef }) => queueRef).values();
  await Promise.all(Array.from(queues, (queue) => tellQueue(queue, announce, send)));
}

async function tellQueue(
  queue: readonly { shard: string }[],
  announce: boolean,
  send: (shard: string, isAnnouncer: boolean) => Promise<boolean>,
): Promise<void> {
  const told = await Promise.all(queue.map(({ shard }, i) => send(shard, announce && i === 0)));
  if (!announce || told[0] === true) return;
  for (const [i, { shard }] of queue.entries()) {
    if (told[i] === true && (await send(shard, true))) return;
  }
}
