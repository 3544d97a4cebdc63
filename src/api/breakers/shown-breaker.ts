import { type ToldBreaker, TRUSTED_PART } from "../../protocol/breaker-api.ts";
import type { HoldView, ShownBreaker } from "../../schema/breaker.ts";
import type { AppContext } from "../access/app-env.ts";
import { mayUse } from "../access/auth.ts";
import { cachedQueues } from "../access/catalog-cache.ts";
import type { KnownBreaker } from "./merge-targets.ts";

/** The queues of which the caller sees what their calls say of a target, by their refs; undefined: all. */
export async function seenQueues(c: AppContext): Promise<number[] | undefined> {
  if (c.get("caller").queues === null) return undefined;
  return (await cachedQueues(c.env)).filter((queue) => mayUse(c, queue)).map(({ ref }) => ref);
}

/**
 * A breaker as the API shows it. `queue`: the only one that goes by it, null: all may. Queues that are gone have no part.
 */
export async function shownBreaker(
  c: AppContext,
  queue: { name: string } | null,
  { knownHolds: _, releasedHolds: __, parts = [], ...view }: ToldBreaker,
  holds: HoldView[],
  split: KnownBreaker["split"],
): Promise<ShownBreaker> {
  const names = new Map<number, string | null>(
    parts.length === 0 ? [] : (await cachedQueues(c.env)).map(({ ref, name }) => [ref, name]),
  );
  names.set(TRUSTED_PART, queue?.name ?? null);
  const shown = parts.flatMap(({ part, ...rest }) => {
    const name = names.get(part);
    return name === undefined ? [] : [{ queue: name, ...rest }];
  });
  const shownSplit = split && { ...split, since: new Date(split.since).toISOString() };
  return { ...view, holds, split: shownSplit, parts: shown, queue: queue?.name ?? null };
}
