import { type Breaker, type BreakerAudit, type BreakerStep, leaseProbe } from "../core/breaker/breaker.ts";
import type { BreakerCounts } from "../core/breaker/counts.ts";
import type { Holds } from "./holds.ts";
import type { BreakerShards } from "./shards.ts";

/** What a Breaker object keeps in memory. */
export interface Memory {
  breaker: Breaker;
  counts: BreakerCounts;
  /** The counts that are on disk, and when they were written, as far as is known; null: nothing is on disk yet. */
  written: { counts: BreakerCounts; at: number } | null;
  shards: BreakerShards;
  holds: Holds;
}

/** One event on its way through the breaker: what it changes in memory, and who is to be told of it. */
export interface Turn extends Memory {
  now: number;
  changed: boolean;
  audits: BreakerAudit[];
  /** The change that operators are told of; null: none. */
  announce: BreakerAudit | null;
  /** Every shard is to be told. */
  push: boolean;
  /** The shard that has been given a probe and does not know it yet; null: none. */
  prober: string | null;
  /** The queue whose shards are to be told of a hold; null: none. */
  heldQueue: number | null;
}

/** Takes a step of the breaker into the turn. */
export function follow(turn: Turn, { breaker, changes }: BreakerStep): void {
  turn.breaker = breaker;
  if (changes === null) return;
  turn.changed = true;
  if (changes.audit !== null) turn.audits.push(changes.audit);
  if (changes.tell) turn.announce = changes.audit;
  if (changes.push) turn.push = true;
}

/**
 * Leases the probe of a half-open breaker, where nobody has it, to the shard that should make it. One that let its
 * lease lapse, and is not asking just now, is taken for gone until it asks again. Where a probe has ended and no shard
 * is known that would make the next, all are told: those that wait for this breaker then ask.
 */
export function giveProbe(turn: Turn, before: Breaker, asking: string | null): void {
  const { breaker, shards, now } = turn;
  if (breaker.state !== "half_open") return;
  const held = breaker.probe;
  if (held !== null && held.until > now) return;
  if (held !== null && held.shard !== asking) shards.unpark(held.shard);
  const chosen = shards.chooseProber();
  if (chosen === null) {
    if (held === null && breaker.version !== before.version) turn.push = true;
    return;
  }
  shards.probed(chosen.shard, now);
  follow(turn, leaseProbe(breaker, chosen.shard, now, chosen.leaseMs));
  turn.prober = chosen.shard;
}

/** The shards that are to be told of what came of the turn; the one that is `asking` gets an answer. */
export function toldOf({ push, prober, heldQueue, shards }: Turn, asking: string | null) {
  const everyone = shards.all();
  if (push) return everyone;
  return everyone.filter(
    ({ shard, queueRef }) => shard !== asking && (shard === prober || queueRef === heldQueue),
  );
}
