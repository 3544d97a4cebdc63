import { checkQueueSettings } from "../../intake/check-call.ts";
import { clock } from "../../platform/clock.ts";
import type { Env } from "../../platform/env.ts";
import { shardName } from "../../protocol/names.ts";
import type { QueueConfig } from "../../protocol/queue-config.ts";
import { MAX_SETTINGS_BYTES } from "../../schema/limits.ts";
import { QueueSettings } from "../../schema/queue.ts";
import { QueueName } from "../../schema/task.ts";
import { rulesOf } from "../access/address-rules.ts";
import { type AppContext, callCatalog, callShard, catalogStub, readShard } from "../access/app-env.ts";
import { mayUse } from "../access/auth.ts";
import { forgetQueue, rememberQueue } from "../access/catalog-cache.ts";
import { findQueue, noQueue } from "../access/find-queue.ts";
import { parseQuery } from "../access/parse-query.ts";
import { pathParam, type Route } from "../access/route.ts";
import { AppError, invalidRequest, refused } from "../http/app-error.ts";
import { parse } from "../http/parse.ts";
import { readBody } from "../http/read-body.ts";
import { BODY_PROBLEMS, JSON_OR_YAML } from "../http/route-doc.ts";
import { changesSharedBreakers } from "./check-shared-breaker.ts";
import { DeleteQuery } from "./delete-query.ts";
import { queueView, sumStats } from "./queue-view.ts";
import { QUEUE, QUEUE_LIST, QUEUE_PUT, QUEUE_SETTINGS, ROTATED_SECRET } from "./schemas.ts";

const QUEUE_NOW = { status: 200, description: "The queue as it is now", schema: QUEUE } as const;

/** Make, read, change and delete queues. */
export const QUEUE_ROUTES: readonly Route[] = [
  {
    method: "GET",
    path: "/v1/queues",
    tag: "Queues",
    summary: "List queues",
    description: "All queues that the key may see, by name, without counts.",
    scope: "read",
    responses: [{ status: 200, description: "The queues", schema: QUEUE_LIST }],
    problems: [],
    handle: async (c) => {
      const all = await callCatalog(c.env, (catalog) => catalog.queues());
      return c.json({ queues: all.filter((queue) => mayUse(c, queue)).map(queueView) });
    },
  },
  {
    method: "PUT",
    path: "/v1/queues/{name}",
    tag: "Queues",
    summary: "Make or change a queue",
    description:
      "Replaces all settings; what is left out gets its default. Waiting tasks follow the new settings too. The " +
      "number of shards is fixed when the queue is made; `concurrency`, and the attempts that `rate` allows in an " +
      "hour, must be at least that number. A key that is limited to some queues may set what opens and closes a " +
      "breaker only with `share: queue`.",
    scope: "admin",
    request: {
      schema: QUEUE_SETTINGS,
      types: JSON_OR_YAML,
      example: JSON.stringify({
        retry: { max_attempts: 3, backoff: { initial_interval: "1s" } },
        concurrency: 64,
      }),
    },
    responses: [
      { status: 200, description: "Changed", schema: QUEUE_PUT },
      { status: 201, description: "Made", schema: QUEUE_PUT },
    ],
    problems: [...BODY_PROBLEMS, "queue_conflict"],
    handle: async (c) => {
      const name = nameOf(pathParam(c, "name"));
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
    },
  },
  {
    method: "GET",
    path: "/v1/queues/{name}",
    tag: "Queues",
    summary: "Read a queue",
    description:
      "Settings (durations in milliseconds), tasks by state, and the age of the oldest that waits.",
    scope: "read",
    responses: [{ status: 200, description: "The queue", schema: QUEUE }],
    problems: ["queue_not_found"],
    handle: async (c) => {
      const queue = await findQueue(c, pathParam(c, "name"));
      return c.json({ ...queueView(queue), ...(await statsOf(c.env, queue)) });
    },
  },
  {
    method: "DELETE",
    path: "/v1/queues/{name}",
    tag: "Queues",
    summary: "Delete a queue",
    description:
      "Refused while a task is not final or a callback not delivered. Final tasks go with the queue. `force=true` drops " +
      "the callbacks that are not delivered; nothing else tells their receivers.",
    scope: "admin",
    query: DeleteQuery,
    responses: [{ status: 204, description: "Deleted" }],
    problems: ["invalid_request", "queue_not_found", "queue_not_empty", "queue_conflict"],
    handle: async (c) => {
      const name = pathParam(c, "name");
      if (!mayUse(c, name)) throw noQueue(name);
      const { force } = parseQuery(c, DeleteQuery);
      const queue = await callCatalog(c.env, (catalog) => catalog.queueByName(name));
      if (queue === null) throw noQueue(name);
      // Goes on when the client leaves: a deletion that breaks off leaves shards closed until it is asked for again.
      const deleting = callCatalog(c.env, (catalog) => catalog.deleteQueue(name, force === "true"));
      c.executionCtx.waitUntil(deleting.catch(() => undefined));
      const answer = await deleting;
      if (!answer.ok) throw refused(answer);
      forgetQueue(queue);
      return c.body(null, 204);
    },
  },
  {
    method: "POST",
    path: "/v1/queues/{name}/pause",
    tag: "Queues",
    summary: "Pause a queue",
    description:
      "Stops its calls and readiness probes; callbacks are still delivered, and tasks are still taken and wait.",
    scope: "operate",
    responses: [QUEUE_NOW],
    problems: ["queue_not_found"],
    handle: (c) => setPaused(c, pathParam(c, "name"), true),
  },
  {
    method: "POST",
    path: "/v1/queues/{name}/resume",
    tag: "Queues",
    summary: "Resume a queue",
    description: "Lets a paused queue go on.",
    scope: "operate",
    responses: [QUEUE_NOW],
    problems: ["queue_not_found"],
    handle: (c) => setPaused(c, pathParam(c, "name"), false),
  },
  {
    method: "POST",
    path: "/v1/queues/{name}/rotate-secret",
    tag: "Queues",
    summary: "Rotate a queue's signing secret",
    description: "Makes a new secret. For 24 hours callbacks carry the signature of the one before it too.",
    scope: "admin",
    responses: [{ status: 200, description: "The new secret, shown this once", schema: ROTATED_SECRET }],
    problems: ["queue_not_found"],
    handle: async (c) => {
      const { name } = await findQueue(c, pathParam(c, "name"));
      const answer = await rotate(c.env, name);
      if (!answer.ok) throw refused(answer);
      await spread(c.env, answer.config);
      const until = new Date(answer.previousValidUntil).toISOString();
      return c.json({ secret: answer.secret, previous_valid_until: until });
    },
  },
];

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
