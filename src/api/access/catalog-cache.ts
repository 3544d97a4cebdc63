import { clock } from "../../platform/clock.ts";
import type { Env } from "../../platform/env.ts";
import type { KeyRecord } from "../../protocol/catalog-api.ts";
import type { QueueConfig } from "../../protocol/queue-config.ts";
import { callCatalog } from "./app-env.ts";
import { KeyCache } from "./key-cache.ts";
import { type CacheTimes, StaleCache } from "./stale-cache.ts";

/** A change made elsewhere is seen within 10 s; with the catalog gone, what is known serves for 5 minutes. */
const TIMES: CacheTimes = { freshMs: 9_000, refreshMs: 1_000, staleMs: 300_000, absentMs: 1_000 };

const queues = new StaleCache<QueueConfig>(TIMES, clock.now);
const queueLists = new StaleCache<QueueConfig[]>(TIMES, clock.now);
const keys = new KeyCache(TIMES, clock);

/** The queue of a name; null: there is none. Throws AppError where the catalog fails and nothing is known. */
export function cachedQueue(env: Env, name: string): Promise<QueueConfig | null> {
  return queues.get(name, () => callCatalog(env, (catalog) => catalog.queueByName(name)));
}

/** The queue that a task id names; null: there is none (any more). */
export function cachedQueueByRef(env: Env, ref: number): Promise<QueueConfig | null> {
  return queues.get(ref, () => callCatalog(env, (catalog) => catalog.queueByRef(ref)));
}

/** All queues, by name. */
export async function cachedQueues(env: Env): Promise<QueueConfig[]> {
  return (await queueLists.get("", () => callCatalog(env, (catalog) => catalog.queues()))) ?? [];
}

/** The record of an API key's id; null: there is none (any more). */
export function cachedKey(env: Env, id: string): Promise<KeyRecord | null> {
  return keys.get(id, () => callCatalog(env, (catalog) => catalog.keys()));
}

/** This isolate has just changed or made the queue. */
export function rememberQueue(queue: QueueConfig): void {
  queues.set(queue.name, queue);
  queues.set(queue.ref, queue);
  queueLists.forget("");
}

/** The queue is gone, or was found to be. */
export function forgetQueue(queue: Pick<QueueConfig, "name" | "ref">): void {
  queues.forget(queue.name);
  queues.forget(queue.ref);
  queueLists.forget("");
}

/** This isolate has just made or revoked the key. */
export function forgetKey(id: string): void {
  keys.forget(id);
}
