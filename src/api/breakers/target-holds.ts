import { mostHoldMs } from "../../core/policy/hold.ts";
import { clock } from "../../platform/clock.ts";
import type { KnownHold } from "../../protocol/breaker-api.ts";
import { breakerName } from "../../protocol/names.ts";
import type { QueueConfig } from "../../protocol/queue-config.ts";
import type { HoldView } from "../../schema/breaker.ts";
import { type AppContext, callShard } from "../access/app-env.ts";
import { mayUse } from "../access/auth.ts";
import { cachedQueues } from "../access/catalog-cache.ts";
import { mapSome, shardsOf } from "../access/shard-groups.ts";
import type { BreakerPlace } from "./find-breaker.ts";
import { type QueueHold, shownHolds } from "./queue-hold.ts";

/**
 * The holds that a Breaker object knows of, as far as the caller may see their queues: no longer than these allow now.
 * Queues that tell it nothing, since they want no breaker, are asked.
 */
export async function holdsOf(c: AppContext, place: BreakerPlace, known: KnownHold[]): Promise<HoldView[]> {
  const queues = (await queuesOf(c, place)).filter((queue) => mayUse(c, queue));
  const told = knownHolds(queues, known);
  const silent = queues.filter(({ settings }) => !settings.breaker.enabled);
  return shownHolds([...told, ...(await askShards(c, silent, place.key, false))]);
}

/** The holds that a Breaker object has released, by their queues' names. */
export async function releasedHolds(c: AppContext, place: BreakerPlace, known: KnownHold[]) {
  return knownHolds(await queuesOf(c, place), known);
}

/**
 * Releases the target's holds in all shards that may have one, those too that the Breaker object does not know. One that
 * gives no answer hears of it when it asks the Breaker object next. Returns what was held.
 */
export async function releaseInShards(c: AppContext, place: BreakerPlace): Promise<QueueHold[]> {
  return askShards(c, await queuesOf(c, place), place.key, true);
}

function knownHolds(queues: readonly QueueConfig[], known: readonly KnownHold[]): QueueHold[] {
  const byRef = new Map(queues.map((queue) => [queue.ref, queue]));
  return known.flatMap(({ queueRef, from, until }) => {
    const queue = byRef.get(queueRef);
    if (queue === undefined) return [];
    const end = Math.min(until, from + mostHoldMs(queue.settings.retry));
    return end > clock.now() ? [{ queue: queue.name, until: end }] : [];
  });
}

/** The queues that go by the breaker. */
async function queuesOf(c: AppContext, { key, name, queue }: BreakerPlace): Promise<QueueConfig[]> {
  if (queue !== null) return [queue];
  const queues = await cachedQueues(c.env);
  return queues.filter(({ ref, settings }) => breakerName(key, settings.breaker.share, ref) === name);
}

async function askShards(
  c: AppContext,
  queues: readonly QueueConfig[],
  key: string,
  release: boolean,
): Promise<QueueHold[]> {
  const answers = await mapSome(shardsOf(queues), async ({ name, queue }) => {
    const asking = callShard(c.env, name, (shard) => shard.hold(key, release));
    const until = await asking.catch(() => null);
    return until === null ? [] : [{ queue: queue.name, until }];
  });
  return answers.flat();
}
