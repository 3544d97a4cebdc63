import type { BreakerSettings } from "../schema/breaker.ts";

/** The Durable Object name of one shard of a queue; the ref changes with the queue's generation. */
export function shardName(queueRef: number, shard: number): string {
  return `q${queueRef}-${shard}`;
}

/** A shard's part of a number that its queue has as a whole; the parts add up, the first shards get the rest. */
export function shareOf(whole: number, shards: number, shard: number): number {
  return Math.floor(whole / shards) + (shard < whole % shards ? 1 : 0);
}

/** The Durable Object name of a target's breaker: one for the whole deployment, or one for a queue that shares with none. */
export function breakerName(key: string, share: BreakerSettings["share"], queueRef: number): string {
  return share === "queue" ? `q${queueRef} ${key}` : key;
}

/** The name of the only Catalog object. */
export const CATALOG_NAME = "catalog";
