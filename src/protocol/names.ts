import type { BreakerSettings } from "../schema/breaker.ts";

/** The Durable Object name of one shard of a queue; the ref changes with the queue's generation. */
export function shardName(queueRef: number, shard: number): string {
  return `q${queueRef}-${shard}`;
}

/** A shard's part of a number that its queue has as a whole; the parts add up, the first shards get the rest. */
export function shareOf(whole: number, shards: number, shard: number): number {
  return Math.floor(whole / shards) + (shard < whole % shards ? 1 : 0);
}

/** A 32-bit hash of a text (FNV-1a with a final mix): the same key always goes to the same shard. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  return (hash ^ (hash >>> 13)) >>> 0;
}

/** The Durable Object name of a target's breaker: one for the whole deployment, or one for a queue that shares with none. */
export function breakerName(key: string, share: BreakerSettings["share"], queueRef: number): string {
  return share === "queue" ? `q${queueRef} ${key}` : key;
}
