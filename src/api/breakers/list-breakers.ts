import type { QueueConfig } from "../../protocol/queue-config.ts";
import type { BreakerState } from "../../schema/breaker.ts";
import { type AppContext, callBreaker, callShard } from "../access/app-env.ts";
import { mayUse } from "../access/auth.ts";
import { cachedQueues } from "../access/catalog-cache.ts";
import { withinScanBudget } from "../access/scan-limits.ts";
import { mapSome, shardsOf } from "../access/shard-groups.ts";
import { type BreakersQuery, MAX_BREAKERS_SHOWN, type ShownBreaker } from "./breaker-query.ts";
import type { BreakerPlace } from "./find-breaker.ts";
import { mergeTargets, type QueueTarget } from "./merge-targets.ts";
import { shownHolds } from "./queue-hold.ts";
import { seenQueues, shownBreaker } from "./shown-breaker.ts";

/** Targets that are asked of a shard to see whether a queue uses one of them. */
const MANY_TARGETS = 1_000;
const ORDER: readonly BreakerState[] = ["isolated", "open", "half_open", "closed"];

/**
 * The breakers that are not closed, and those of targets that are held or were called lately, of all queues that the
 * caller may see: those that are not closed first, then those called last.
 */
export async function listBreakers(c: AppContext, { state, limit }: BreakersQuery): Promise<ShownBreaker[]> {
  const known = mergeTargets(await targetsOf(c, await queuesSeen(c), MAX_BREAKERS_SHOWN), state ?? null);
  const seen = await seenQueues(c);
  const shown = await Promise.all(
    known.slice(0, MAX_BREAKERS_SHOWN).map(async ({ name, queue, holds }) => {
      const view = await callBreaker(c.env, name, (breaker) =>
        breaker.view(queue === null ? seen : undefined),
      );
      // Healthy targets that are new to their shards: no Breaker object has been told of them yet.
      return view === null
        ? []
        : [await shownBreaker(c, queue === null ? null : { name: queue }, view, shownHolds(holds))];
    }),
  );
  const wanted = shown.flat().filter((view) => state === undefined || view.state === state);
  return wanted.sort((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state)).slice(0, limit);
}

/** Whether a queue that the caller may see has called the breaker's target lately, or waits for it. */
export async function usesBreaker(c: AppContext, { name, queue }: BreakerPlace): Promise<boolean> {
  const queues = queue === null ? await queuesSeen(c) : [queue];
  return (await targetsOf(c, queues, MANY_TARGETS)).some(({ breaker }) => breaker === name);
}

async function queuesSeen(c: AppContext): Promise<QueueConfig[]> {
  return (await cachedQueues(c.env)).filter((queue) => mayUse(c, queue));
}

/** What each shard of the queues knows of its targets; at most `limit` of each. */
async function targetsOf(
  c: AppContext,
  queues: readonly QueueConfig[],
  limit: number,
): Promise<QueueTarget[]> {
  const asked = await withinScanBudget(c.get("caller").id, (cost) =>
    mapSome(shardsOf(queues), async ({ name, queue }) => {
      cost.shards++;
      const targets = await callShard(c.env, name, (stub) => stub.targets(limit));
      return targets.map((target) => ({ ...target, queue: queue.name }));
    }),
  );
  return asked.flat();
}
