import { FIRST_TARGET, type TargetPlace } from "../../core/breaker/target-page.ts";
import type { QueueConfig } from "../../protocol/queue-config.ts";
import type { BreakerList, BreakerState, BreakersQuery } from "../../schema/breaker.ts";
import { type AppContext, callBreaker, callShard } from "../access/app-env.ts";
import { mayUse } from "../access/auth.ts";
import { cachedQueues } from "../access/catalog-cache.ts";
import { withinScanBudget } from "../access/scan-limits.ts";
import { mapSome, shardsOf } from "../access/shard-groups.ts";
import { makeCursor, readCursor } from "../http/cursor.ts";
import type { BreakerPlace } from "./find-breaker.ts";
import {
  firstSplit,
  type KnownBreaker,
  type KnownPage,
  mergeTargets,
  type QueueTarget,
} from "./merge-targets.ts";
import { shownHolds } from "./queue-hold.ts";
import { seenQueues, shownBreaker } from "./shown-breaker.ts";

/** Targets that are asked of a shard to see whether a queue uses one of them. */
const MANY_TARGETS = 1_000;
/** Times that all shards are asked for one page, where what they answer is not for it. */
const MOST_ASKED = 3;

/**
 * A page of the breakers that are not closed, and of those of targets that are held or were called lately, of all
 * queues that the caller may see: those first that are not closed or held, each part by name.
 */
export async function listBreakers(
  c: AppContext,
  { state, limit, cursor }: BreakersQuery,
): Promise<BreakerList> {
  const filters = { list: "breakers", state: state ?? null };
  const secret = c.env.REDRIVE_API_KEY ?? "";
  const place = placeOf(cursor && (await readCursor(cursor, filters, secret)));
  const { breakers: known, next } = await knownPage(c, place, state ?? null, limit);
  const seen = await seenQueues(c);
  const shown = await Promise.all(
    known.map(async ({ name, queue, holds, split }) => {
      const view = await callBreaker(c.env, name, (breaker) =>
        breaker.view(queue === null ? seen : undefined),
      );
      // Healthy targets that are new to their shards: no Breaker object has been told of them yet.
      return view === null
        ? []
        : [await shownBreaker(c, queue === null ? null : { name: queue }, view, shownHolds(holds), split)];
    }),
  );
  return {
    breakers: shown.flat().filter((view) => state === undefined || view.state === state),
    next_cursor: next === null ? null : await makeCursor(textOf(next), filters, secret),
  };
}

/** The next breakers that the shards know of: `limit`, unless they are at their end or would be asked too often. */
async function knownPage(
  c: AppContext,
  from: TargetPlace,
  state: BreakerState | null,
  limit: number,
): Promise<KnownPage> {
  const queues = await queuesSeen(c);
  const page: KnownPage = { breakers: [], next: from };
  for (let asked = 0; asked < MOST_ASKED && page.next !== null && page.breakers.length < limit; asked++) {
    const place = page.next;
    const answers = await targetsOf(c, queues, limit, place);
    const part = mergeTargets(answers, place, { asked: limit, limit: limit - page.breakers.length, state });
    page.breakers.push(...part.breakers);
    page.next = part.next;
  }
  return page;
}

/** A cursor says `down~<name>` or `rest~<name>`: behind that name, among those that are down or the others. */
function placeOf(cursor: string | undefined): TargetPlace {
  if (!cursor) return FIRST_TARGET;
  const at = cursor.indexOf("~");
  return { down: cursor.slice(0, at) === "down", after: cursor.slice(at + 1) };
}

function textOf({ down, after }: TargetPlace): string {
  return `${down ? "down" : "rest"}~${after}`;
}

/** Whether a queue that the caller may see has called the breaker's target lately, or waits for it; null: none has. */
export async function useOf(
  c: AppContext,
  { name, queue }: BreakerPlace,
): Promise<Pick<KnownBreaker, "split"> | null> {
  const queues = queue === null ? await queuesSeen(c) : [queue];
  const targets = (await targetsOf(c, queues, MANY_TARGETS)).flat().filter(({ breaker }) => breaker === name);
  return targets.length === 0 ? null : { split: firstSplit(targets) };
}

async function queuesSeen(c: AppContext): Promise<QueueConfig[]> {
  return (await cachedQueues(c.env)).filter((queue) => mayUse(c, queue));
}

/** What each shard of the queues knows of its targets; at most `limit` of each. */
function targetsOf(
  c: AppContext,
  queues: readonly QueueConfig[],
  limit: number,
  place?: TargetPlace,
): Promise<QueueTarget[][]> {
  return withinScanBudget(c.get("caller").id, (cost) =>
    mapSome(shardsOf(queues), async ({ name, queue }) => {
      cost.shards++;
      const targets = await callShard(c.env, name, (stub) => stub.targets(limit, place));
      return targets.map((target) => ({ ...target, queue: queue.name }));
    }),
  );
}
