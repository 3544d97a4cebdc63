import { DEFAULT_SHARDS, type QueueSettings } from "../schema/queue.ts";
import type { CatalogRefusal } from "./catalog-api.ts";

/**
 * Checks what a queue's settings mean together: its number of shards is fixed once it exists (`existingShards`,
 * null for a new queue), and every shard needs at least one slot. Null: nothing is wrong.
 */
export function checkSettings(settings: QueueSettings, existingShards: number | null): CatalogRefusal | null {
  const shards = existingShards ?? settings.shards ?? DEFAULT_SHARDS;
  if (settings.shards !== undefined && settings.shards !== shards) {
    return refuse(
      "queue_conflict",
      "shards",
      `the queue was created with ${shards} shards and cannot change to ${settings.shards}: ` +
        `leave shards out, or delete the queue and create it with shards: ${settings.shards}`,
    );
  }
  if (settings.concurrency >= shards) return null;
  const fix =
    existingShards === null
      ? `set shards: ${settings.concurrency} or fewer`
      : `set concurrency: ${shards} or more, or delete the queue and create it with fewer shards`;
  return refuse(
    "invalid_request",
    "concurrency",
    `expected at least the queue's number of shards (${shards}), got ${settings.concurrency}; ${fix}`,
  );
}

function refuse(code: CatalogRefusal["code"], path: string, message: string): CatalogRefusal {
  return { ok: false, code, detail: `${path}: ${message}`, errors: [{ path, message }] };
}
