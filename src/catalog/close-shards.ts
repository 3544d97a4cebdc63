import { loggedError } from "../core/text/logged-error.ts";
import { callObject } from "../platform/call-object.ts";
import { shardName } from "../protocol/names.ts";
import type { QueueConfig } from "../protocol/queue-config.ts";
import type { ShardApi } from "../protocol/shard-api.ts";

/** Gives a new stub of a shard by its name. */
export type ShardByName = (name: string) => ShardApi;

/**
 * Makes every shard of a queue refuse submits; `force`: callbacks that are not delivered are no work. False: one of them still has work, and all of them were opened
 * again, those too that an earlier, interrupted deletion had left closed. Throws ObjectCallError.
 */
export async function closeShards(queue: QueueConfig, shard: ShardByName, force: boolean): Promise<boolean> {
  const names = shardNames(queue);
  const closings = await Promise.allSettled(names.map((name) => callObject(() => shard(name).close(force))));
  if (closings.every((closing) => closing.status === "fulfilled" && closing.value)) return true;
  await Promise.all(names.map((name) => callObject(() => shard(name).reopen())));
  const failed = closings.find((closing) => closing.status === "rejected");
  if (failed !== undefined) throw failed.reason;
  return false;
}

/** Empties the shards of a deleted queue. One that fails is left to its own retention; nothing reaches it any more. */
export async function destroyShards(queue: QueueConfig, shard: ShardByName): Promise<void> {
  await Promise.all(
    shardNames(queue).map(async (name) => {
      try {
        await callObject(() => shard(name).destroy());
      } catch (error) {
        console.error(
          JSON.stringify({ event: "shard_not_destroyed", shard: name, error: loggedError(error) }),
        );
      }
    }),
  );
}

function shardNames(queue: QueueConfig): string[] {
  return Array.from({ length: queue.shards }, (_, shard) => shardName(queue.ref, shard));
}
