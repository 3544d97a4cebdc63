import { originOfScoped } from "../../core/address/scope.ts";
import type { BreakerPort } from "../../protocol/breaker-api.ts";
import { BreakerOperation, BreakersQuery } from "../../schema/breaker.ts";
import { MAX_SETTINGS_BYTES } from "../../schema/limits.ts";
import { type AppContext, callBreaker, callShard } from "../access/app-env.ts";
import { cachedQueues } from "../access/catalog-cache.ts";
import { parseQuery } from "../access/parse-query.ts";
import { pathParam, type Route } from "../access/route.ts";
import { mapSome, shardsOf } from "../access/shard-groups.ts";
import { AppError } from "../http/app-error.ts";
import { parse } from "../http/parse.ts";
import { readBody } from "../http/read-body.ts";
import { BODY_PROBLEMS, JSON_TYPE } from "../http/route-doc.ts";
import { BreakerQuery } from "./breaker-query.ts";
import { type BreakerPlace, findBreaker, noBreaker } from "./find-breaker.ts";
import { listBreakers, useOf } from "./list-breakers.ts";
import type { KnownBreaker } from "./merge-targets.ts";
import { shownHolds } from "./queue-hold.ts";
import { BREAKER, BREAKER_LIST, BREAKER_OPERATION } from "./schemas.ts";
import { seenQueues, shownBreaker } from "./shown-breaker.ts";
import { holdsOf, releasedHolds, releaseInShards } from "./target-holds.ts";

const OPERATION = {
  tag: "Breakers",
  scope: "operate",
  query: BreakerQuery,
  responses: [{ status: 200, description: "The breaker as it is now", schema: BREAKER }],
} as const;

/** Read breakers, hold them open and close them. */
export const BREAKER_ROUTES: readonly Route[] = [
  {
    method: "GET",
    path: "/v1/breakers",
    tag: "Breakers",
    summary: "List breakers",
    description:
      "Those that are not closed, and those of targets that are held or were called within the last hour, of the queues " +
      "that the key may see. Those that are not closed or held come first, each part by name. A page may come back short, " +
      "even empty, with a `next_cursor`: go on until that is null.",
    scope: "read",
    query: BreakersQuery,
    responses: [{ status: 200, description: "The breakers", schema: BREAKER_LIST }],
    problems: ["invalid_request", "invalid_cursor", "rate_limited"],
    handle: async (c) => {
      return c.json(await listBreakers(c, parseQuery(c, BreakersQuery)));
    },
  },
  {
    method: "GET",
    path: "/v1/breakers/{key}",
    tag: "Breakers",
    summary: "Read a breaker",
    description:
      "By its target key, percent-encoded: an origin, one with a path that a queue's `scopes` name or that failed alone, or " +
      "`key:<queue>/<breaker_key>`. A key that is limited to some " +
      "queues sees the breakers that these use, and their holds only.",
    scope: "read",
    query: BreakerQuery,
    responses: [{ status: 200, description: "The breaker", schema: BREAKER }],
    problems: ["invalid_request", "queue_not_found", "breaker_not_found", "rate_limited"],
    handle: async (c) => {
      const place = await placeOf(c, pathParam(c, "key"));
      // Shards are asked first, since the call alone makes an object on plain workerd: names can be made up without end.
      const isTold = place.queue === null && c.get("caller").queues === null;
      const use = isTold && originOfScoped(place.key) === null ? null : await useOf(c, place);
      if (!isTold && use === null) throw noBreaker();
      const seen = place.queue === null ? await seenQueues(c) : undefined;
      const view = await callBreaker(c.env, place.name, (breaker) => breaker.view(seen));
      if (view === null) throw noBreaker();
      const holds = await holdsOf(c, place, view.knownHolds ?? []);
      return c.json(await shownBreaker(c, place.queue, view, holds, use?.split ?? null));
    },
  },
  {
    ...OPERATION,
    method: "POST",
    path: "/v1/breakers/{key}/isolate",
    summary: "Stop all calls to a target",
    description:
      "Until a reset; tasks for it wait and use no attempt. Works before the first call too. A breaker that all " +
      "queues go by needs the scope `admin`, with a key that is not limited to some queues.",
    request: {
      schema: BREAKER_OPERATION,
      types: [JSON_TYPE],
      example: JSON.stringify({ reason: "their data centre moves tonight" }),
    },
    problems: [...BODY_PROBLEMS, "queue_not_found"],
    handle: async (c) => {
      const { place, reason, by } = await operationOf(c, pathParam(c, "key"));
      // Also where nobody has called the target yet: the first call may be the one that must not be made.
      const view = await callBreaker(c.env, place.name, (breaker) => breaker.isolate(reason, by));
      await tellAll(c, place);
      const holds = await holdsOf(c, place, view.knownHolds ?? []);
      return c.json(await shownBreaker(c, place.queue, view, holds, await splitOf(c, place)));
    },
  },
  {
    ...OPERATION,
    method: "POST",
    path: "/v1/breakers/{key}/reset",
    summary: "Close a breaker, and release the target's holds",
    description:
      "Whatever it is; load comes back step by step. What the target asked for by `Retry-After` is over for all queues " +
      "that go by the breaker; `released_holds` says what that was. A breaker that all queues go by needs the scope `admin`, with a " +
      "key that is not limited to some queues.",
    request: {
      schema: BREAKER_OPERATION,
      types: [JSON_TYPE],
      example: JSON.stringify({ reason: "they say that it works again" }),
    },
    problems: [...BODY_PROBLEMS, "queue_not_found", "breaker_not_found"],
    handle: async (c) => {
      const { place, reason, by } = await operationOf(c, pathParam(c, "key"));
      const reset = async (breaker: BreakerPort) => breaker.reset(reason, by);
      const known = await callBreaker(c.env, place.name, async (breaker) => {
        return (await breaker.view()) === null ? null : reset(breaker);
      });
      const ended = await releaseInShards(c, place);
      if (known === null && ended.length === 0) throw noBreaker();
      const view = known ?? (await callBreaker(c.env, place.name, reset));
      const released = shownHolds([...ended, ...(await releasedHolds(c, place, view.releasedHolds ?? []))]);
      const shown = await shownBreaker(c, place.queue, view, [], await splitOf(c, place));
      return c.json({ ...shown, released_holds: released });
    },
  },
];

/** What an operator wants of a breaker. Throws AppError where the caller may not. */
async function operationOf(c: AppContext, key: string) {
  const place = await placeOf(c, key);
  if (place.queue === null) needAdminOfAll(c);
  const { reason } = parse(BreakerOperation, await readBody(c.req.raw, MAX_SETTINGS_BYTES));
  return { place, reason, by: c.get("caller").id };
}

/**
 * The breaker tells the shards that have told it of themselves. All others have to ask: those that never called the
 * target, or not often. One that gives no answer asks when its next call fails.
 */
async function tellAll(c: AppContext, { key, queue }: BreakerPlace): Promise<void> {
  const queues = queue === null ? await cachedQueues(c.env) : [queue];
  await mapSome(shardsOf(queues), ({ name }) =>
    callShard(c.env, name, (shard) => shard.askBreaker(key)).catch(() => undefined),
  );
}

/** What shards say of a path that is split off. An operation that is done says so, though one gives no answer. */
async function splitOf(c: AppContext, place: BreakerPlace): Promise<KnownBreaker["split"]> {
  if (originOfScoped(place.key) === null) return null;
  return useOf(c, place).then(
    (use) => use?.split ?? null,
    () => null,
  );
}

function placeOf(c: AppContext, key: string): Promise<BreakerPlace> {
  return findBreaker(c, key, parseQuery(c, BreakerQuery).queue);
}

/** Holding a target back, or calling it, is for everybody who calls it. */
function needAdminOfAll(c: AppContext): void {
  const { scopes, queues } = c.get("caller");
  if (scopes.has("admin") && queues === null) return;
  const lacks = scopes.has("admin") ? 'the scope "admin" for all queues' : 'the scope "admin"';
  throw new AppError("forbidden", `the API key lacks ${lacks}: all queues go by this breaker`);
}
