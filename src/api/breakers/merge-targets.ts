import { FIRST_TARGET, firstByName, type TargetPlace } from "../../core/breaker/target-page.ts";
import type { TargetSummary } from "../../protocol/breaker-api.ts";
import type { BreakerState } from "../../schema/breaker.ts";
import type { QueueHold } from "./queue-hold.ts";

/** A target as one shard of a queue knows it. */
export type QueueTarget = TargetSummary & { queue: string };

/** A breaker that shards know of. */
export interface KnownBreaker {
  /** The name of its Breaker object. */
  name: string;
  /** The only queue that goes by it; null: all queues. */
  queue: string | null;
  /** The holds that shards have of its target. */
  holds: QueueHold[];
  /** Where shards have split it off its origin: the first one, in epoch ms; null: none has. */
  split: { since: number; reason: string } | null;
}

/** A page of breakers; `next`: where the next page begins, null: there is none. */
export interface KnownPage {
  breakers: KnownBreaker[];
  next: TargetPlace | null;
}

interface Merged extends KnownBreaker {
  states: Set<BreakerState>;
}

/**
 * The breakers that come next, each once, at most `limit`, by what each shard answered to the question for the `asked`
 * next ones. A shard that had more knows of others behind its last one, so that the page ends at the first of those. A
 * breaker is down where any shard says so. Where only some `state` is wanted, those are left out that surely have another.
 */
export function mergeTargets(
  answers: readonly (readonly QueueTarget[])[],
  place: TargetPlace,
  { asked, limit, state }: { asked: number; limit: number; state: BreakerState | null },
): KnownPage {
  let bound: string | null = null;
  const byName = new Map<string, Merged>();
  for (const answer of answers) {
    // A shard of an older release knows of no places.
    const part = answer.filter((target) => !place.down || isDown(target));
    const targets = firstByName(part, ({ breaker }) => breaker, place.after, asked);
    const last = targets.length < asked ? null : (targets.at(-1)?.breaker ?? null);
    if (last !== null && (bound === null || last < bound)) bound = last;
    for (const target of targets) merge(byName, target);
  }
  const found = firstByName(byName.values(), ({ name }) => name, place.after, byName.size)
    .filter(({ name }) => bound === null || name <= bound)
    .filter((merged) => place.down || !isMergedDown(merged))
    .filter(({ states }) => state !== "closed" || states.has(state));
  const breakers = found
    .slice(0, limit)
    .map(({ name, queue, holds, split }) => ({ name, queue, holds, split }));
  const after = found.length > limit ? (breakers.at(-1)?.name ?? null) : bound;
  return { breakers, next: after === null ? partAfter(place, state) : { ...place, after } };
}

/** What the shard that split the path off first says of that; null: none has. */
export function firstSplit(targets: readonly { split?: KnownBreaker["split"] }[]): KnownBreaker["split"] {
  const splits = targets.flatMap(({ split }) => split ?? []);
  return splits.sort((a, b) => a.since - b.since)[0] ?? null;
}

/** What is not down is closed. */
function partAfter({ down }: TargetPlace, state: BreakerState | null): TargetPlace | null {
  return down && (state === null || state === "closed") ? { ...FIRST_TARGET, down: false } : null;
}

function merge(byName: Map<string, Merged>, target: QueueTarget): void {
  const { breaker: name } = target;
  const merged = byName.get(name) ?? {
    name,
    queue: queueOf(target),
    holds: [],
    split: null,
    states: new Set(),
  };
  if (target.heldUntil !== undefined) merged.holds.push({ queue: target.queue, until: target.heldUntil });
  merged.split = firstSplit([merged, target]);
  merged.states.add(target.state);
  byName.set(name, merged);
}

function isDown({ state, heldUntil }: QueueTarget): boolean {
  return state !== "closed" || heldUntil !== undefined;
}

function isMergedDown({ states, holds }: Merged): boolean {
  return holds.length > 0 || states.size > 1 || !states.has("closed");
}

/** A queue that shares with no other has Breaker objects of its own, and nobody else's tasks name its keys. */
function queueOf({ key, breaker, queue }: QueueTarget): string | null {
  return breaker !== key || key.startsWith("key:") ? queue : null;
}
