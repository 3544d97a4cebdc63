import { Hono } from "hono";
import { checkQueueSettings } from "../../intake/check-call.ts";
import { clock } from "../../platform/clock.ts";
import type { Env } from "../../platform/env.ts";
import { shardName } from "../../protocol/names.ts";
import type { QueueConfig } from "../../protocol/queue-config.ts";
import { MAX_SETTINGS_BYTES } from "../../schema/limits.ts";
import { QueueSettings } from "../../schema/queue.ts";
import { QueueName } from "../../schema/task.ts";
import { rulesOf } from "../access/address-rules.ts";
import {
  type AppContext,
  type AppEnv,
  callCatalog,
  callShard,
  catalogStub,
  readShard,
} from "../access/app-env.ts";
import { mayUse, needs } from "../access/auth.ts";
import { forgetQueue, rememberQueue } from "../access/catalog-cache.ts";
import { findQueue, noQueue } from "../access/find-queue.ts";
import { AppError, invalidRequest, refused } from "../http/app-error.ts";
import { parse } from "../http/parse.ts";
import { readBody } from "../http/read-body.ts";
import { changesSharedBreakers } from "./check-shared-breaker.ts";
import { DeleteQuery } from "./delete-query.ts";
import { queueView, sumStats } from "./queue-view.ts";

/** Make, read, change and delete queues. */
export const queues = new Hono<AppEnv>();

queues.get("/v1/queues", needs("read"), async (c) => {
  const all = await callCatalog(c.env, (catalog) => catalog.queues());
  return c.json({ queues: all.filter((queue) => mayUse(c, queue)).map(queueView) });
});

queues.put("/v1/queues/:name", needs("admin"), async (c) => {
  const name = nameOf(c.req.param("name"));
  if (!mayUse(c, name)) throw noQueue(name);
  const settings = parse(QueueSettings, await readBody(c.req.raw, MAX_SETTINGS_BYTES, { yaml: true }));
  const issues = checkQueueSettings(settings, rulesOf(c.env));
  if (issues.length > 0) throw invalidRequest(issues);
  if (c.get("caller").queues !== null) await refuseSharedBreakers(c.env, name, settings);
  const answer = await callCatalog(c.env, (catalog) => catalog.putQueue(name, settings));
  if (!answer.ok) throw refused(answer);
  await spread(c.env, answer.config);
  const secret = answer.secret === null ? {} : { signing_secret: answer.secret };
  return c.json({ ...queueView(answer.config), ...secret }, answer.created ? 201 : 200);
});

queues.get("/v1/queues/:name", needs("read"), async (c) => {
  const queue = await findQueue(c, c.req.param("name"));
  return c.json({ ...queueView(queue), ...(await statsOf(c.env, queue)) });
});

queues.delete("/v1/queues/:name", needs("admin"), async (c) => {
  const name = c.req.param("name");
  if (!mayUse(c, name)) throw noQueue(name);
  const { force } = parse(DeleteQuery, c.req.query());
  const queue = await callCatalog(c.env, (catalog) => catalog.queueByName(name));
  if (queue === null) throw noQueue(name);
  // Goes on when the client leaves: a deletion that breaks off leaves shards closed until it is asked for again.
  const deleting = callCatalog(c.env, (catalog) => catalog.deleteQueue(name, force === "true"));
  c.executionCtx.waitUntil(deleting.catch(() => undefined));
  const answer = await deleting;
  if (!answer.ok) throw refused(answer);
  forgetQueue(queue);
  return c.body(null, 204);
});

queues.post("/v1/queues/:name/pause", needs("operate"), (c) => setPaused(c, c.req.param("name"), true));

queues.post("/v1/queues/:name/resume", needs("operate"), (c) => setPaused(c, c.req.param("name"), false));

queues.post("/v1/queues/:name/rotate-secret", needs("admin"), async (c) => {
  const { name } = await findQueue(c, c.req.param("name"));
  const answer = await rotate(c.env, name);
  if (!answer.ok) throw refused(answer);
  await spread(c.env, answer.config);
  const until = new Date(answer.previousValidUntil).toISOString();
  return c.json({ secret: answer.secret, previous_valid_until: until });
});

async function setPaused(c: AppContext, given: string, paused: boolean): Promise<Response> {
  const { name } = await findQueue(c, given);
  const answer = await callCatalog(c.env, (catalog) => catalog.setPaused(name, paused));
  if (!answer.ok) throw refused(answer);
  await spread(c.env, answer.config);
  return c.json({ ...queueView(answer.config), ...(await statsOf(c.env, answer.config)) });
}

/** A key that is limited to some queues sets nothing that holds for others. Throws AppError `forbidden`. */
async function refuseSharedBreakers(env: Env, name: string, { breaker }: QueueSettings): Promise<void> {
  const queue = await callCatalog(env, (catalog) => catalog.queueByName(name));
  if (!changesSharedBreakers(breaker, queue?.settings.breaker)) return;
  const message =
    "the API key is limited to some queues, and share: trusted would hold for others: leave it out";
  throw new AppError("forbidden", `breaker: ${message}`, { errors: [{ path: "breaker", message }] });
}

/** Once only: repeating a rotation whose answer was lost would end the secret that is still in use. */
async function rotate(env: Env, name: string) {
  try {
    return await catalogStub(env).rotateSecret(name);
  } catch (cause) {
    throw new AppError("unavailable", "storage did not answer; the secret may have been rotated", { cause });
  }
}

/**
 * Tells a change to all shards, and to this isolate. A shard that is not told learns it with its next submit; until
 * then it could go on by the old settings, so the caller hears of it. Throws AppError as `callShard` does.
 */
async function spread(env: Env, queue: QueueConfig): Promise<void> {
  rememberQueue(queue);
  try {
    await onAllShards(env, queue, (shard) => shard.configure(queue));
  } catch (cause) {
    if (!(cause instanceof AppError)) throw cause;
    const detail =
      "the queue was changed, but not all of its shards could be told; send the same request again";
    throw new AppError(cause.code, detail, { cause });
  }
}

async function statsOf(env: Env, queue: QueueConfig) {
  const names = shardNames(queue);
  const stats = names.map((name) => readShard(env, name, (shard, quiet) => shard.stats(quiet)));
  return sumStats(await Promise.all(stats), clock.now());
}

function onAllShards<T>(
  env: Env,
  queue: QueueConfig,
  call: (shard: ReturnType<Env["SHARD"]["getByName"]>) => Promise<T>,
): Promise<T[]> {
  return Promise.all(shardNames(queue).map((name) => callShard(env, name, call)));
}

function shardNames(queue: QueueConfig): string[] {
  return Array.from({ length: queue.shards }, (_, shard) => shardName(queue.ref, shard));
}

function nameOf(given: string): string {
  const parsed = QueueName.safeParse(given);
  if (parsed.success) return parsed.data;
  throw invalidRequest([
    { path: "name", message: parsed.error.issues[0]?.message ?? "expected a queue name" },
  ]);
}
