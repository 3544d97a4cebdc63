import { Hono } from "hono";
import type { BreakerPort } from "../core/messages.ts";
import { shardName } from "../core/queue-shards.ts";
import { BreakerOperation, type BreakerView } from "../schema/breaker.ts";
import { MAX_SETTINGS_BYTES } from "../schema/limits.ts";
import { type AppContext, type AppEnv, callBreaker, callShard } from "./app-env.ts";
import { AppError } from "./app-error.ts";
import { needs } from "./auth.ts";
import { BreakerQuery, BreakersQuery, type ShownBreaker } from "./breaker-query.ts";
import { cachedQueues } from "./catalog-cache.ts";
import { type BreakerPlace, findBreaker, noBreaker } from "./find-breaker.ts";
import { listBreakers, usesBreaker } from "./list-breakers.ts";
import { parse } from "./parse.ts";
import { readBody } from "./read-body.ts";

/** Read breakers, hold them open and close them. */
export const breakers = new Hono<AppEnv>();

breakers.get("/v1/breakers", needs("read"), async (c) => {
  return c.json({ breakers: await listBreakers(c, parse(BreakersQuery, c.req.query())) });
});

breakers.get("/v1/breakers/:key", needs("read"), async (c) => {
  const place = await placeOf(c, c.req.param("key"));
  const mayBeSeen =
    place.queue !== null || c.get("caller").queues === null || (await usesBreaker(c, place.name));
  const view = mayBeSeen ? await callBreaker(c.env, place.name, (breaker) => breaker.view()) : null;
  if (view === null) throw noBreaker(place.key);
  return c.json(shown(place, view));
});

breakers.post("/v1/breakers/:key/isolate", needs("operate"), (c) => {
  // Also where nobody has called the target yet: the first call may be the one that must not be made.
  return operate(c, c.req.param("key"), async (breaker, reason, by) => breaker.isolate(reason, by), tellAll);
});

breakers.post("/v1/breakers/:key/reset", needs("operate"), (c) => {
  return operate(c, c.req.param("key"), async (breaker, reason, by) => {
    return (await breaker.view()) === null ? null : breaker.reset(reason, by);
  });
});

async function operate(
  c: AppContext,
  key: string,
  operation: (breaker: BreakerPort, reason: string, by: string) => Promise<BreakerView | null>,
  then: (c: AppContext, place: BreakerPlace) => Promise<unknown> = async () => undefined,
): Promise<Response> {
  const place = await placeOf(c, key);
  if (place.queue === null) needAdminOfAll(c, place.key);
  const { reason } = parse(BreakerOperation, await readBody(c.req.raw, MAX_SETTINGS_BYTES));
  const { id } = c.get("caller");
  const view = await callBreaker(c.env, place.name, (breaker) => operation(breaker, reason, id));
  if (view === null) throw noBreaker(place.key);
  await then(c, place);
  return c.json(shown(place, view));
}

/**
 * The breaker tells the shards that have told it of themselves. All others have to ask: those that never called the
 * target, or not often. One that gives no answer asks when its next call fails.
 */
async function tellAll(c: AppContext, { key, queue }: BreakerPlace): Promise<void> {
  const queues = queue === null ? await cachedQueues(c.env) : [queue];
  const names = queues.flatMap(({ ref, shards }) =>
    Array.from({ length: shards }, (_, i) => shardName(ref, i)),
  );
  await Promise.allSettled(names.map((name) => callShard(c.env, name, (shard) => shard.askBreaker(key))));
}

function placeOf(c: AppContext, key: string): Promise<BreakerPlace> {
  return findBreaker(c, key, parse(BreakerQuery, c.req.query()).queue);
}

/** Holding a target back, or calling it, is for everybody who calls it. */
function needAdminOfAll(c: AppContext, key: string): void {
  const { scopes, queues } = c.get("caller");
  if (scopes.has("admin") && queues === null) return;
  const lacks = scopes.has("admin") ? 'the scope "admin" for all queues' : 'the scope "admin"';
  throw new AppError("forbidden", `the API key lacks ${lacks}: all queues go by the breaker of ${key}`);
}

function shown(place: BreakerPlace, view: BreakerView): ShownBreaker {
  return { ...view, queue: place.queue?.name ?? null };
}
