import type { Refusal } from "../protocol/refusal.ts";
import { HOUR_MS } from "../schema/limits.ts";
import { DEFAULT_SHARDS, type QueueSettings } from "../schema/queue.ts";

/**
 * Checks what a queue's settings mean together: its number of shards is fixed once it exists (`existingShards`,
 * null for a new queue), and every shard needs at least one slot, and an attempt an hour of the rate. Null: nothing
 * is wrong.
 */
export function checkSettings(settings: QueueSettings, existingShards: number | null): Refusal | null {
  const shards = existingShards ?? settings.shards ?? DEFAULT_SHARDS;
  if (settings.shards !== undefined && settings.shards !== shards) {
    return refuse(
      "queue_conflict",
      "shards",
      `the queue was created with ${shards} shards and cannot change to ${settings.shards}: ` +
        `leave shards out, or delete the queue and create it with shards: ${settings.shards}`,
    );
  }
  const isNew = existingShards === null;
  return checkSlots(settings, shards, isNew) ?? checkRate(settings, shards, isNew);
}

function checkSlots({ concurrency }: QueueSettings, shards: number, isNew: boolean): Refusal | null {
  if (concurrency >= shards) return null;
  const fix = fixFor(isNew, concurrency, `concurrency: ${shards}`);
  const expected = `expected at least the queue's number of shards (${shards})`;
  return refuse("invalid_request", "concurrency", `${expected}, got ${concurrency}; ${fix}`);
}

/** Each shard has its part of the rate: one that gets less than an attempt an hour would seem to stand still. */
function checkRate({ rate }: QueueSettings, shards: number, isNew: boolean): Refusal | null {
  const perHour = rate === null ? shards : Math.floor((rate.limit * HOUR_MS) / rate.per);
  if (rate === null || perHour >= shards) return null;
  const enough = Math.ceil((shards * rate.per) / HOUR_MS);
  const fix = fixFor(isNew, perHour, `rate.limit: ${enough}`);
  const expected = `expected at least as many attempts an hour as the queue has shards (${shards})`;
  return refuse("invalid_request", "rate.limit", `${expected}, got ${perHour}; ${fix}`);
}

function fixFor(isNew: boolean, mostShards: number, setting: string): string {
  return isNew
    ? `set shards: ${mostShards} or fewer`
    : `set ${setting} or more, or delete the queue and create it with fewer shards`;
}

function refuse(code: Refusal["code"], path: string, message: string): Refusal {
  return { ok: false, code, detail: `${path}: ${message}`, errors: [{ path, message }] };
}
