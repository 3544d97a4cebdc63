import type { Breaker, BreakerAudit } from "../core/breaker/breaker.ts";
import { countedFrom } from "../core/breaker/breaker.ts";
import { type BreakerCounts, windowSum } from "../core/breaker/counts.ts";
import type { BreakerSync, ToldBreaker } from "../protocol/breaker-api.ts";

/** What a breaker's view is made of. */
export interface ViewParts {
  key: string;
  breaker: Breaker;
  counts: BreakerCounts;
  /** How far back calls are counted. */
  windowMs: number;
  shards: readonly { parked: { tasks: number } | null; load: BreakerSync["load"] | null }[];
  /** Newest first. */
  audit: readonly BreakerAudit[];
  now: number;
}

/** A breaker as the API shows it, summed over the shards that told theirs. */
export function breakerView({ key, breaker, counts, windowMs, shards, audit, now }: ViewParts): ToldBreaker {
  const { ok, failed, slow, connect } = windowSum(counts, now, windowMs, countedFrom(breaker));
  const loads = shards.flatMap(({ load }) => load ?? []);
  const until = breaker.state === "open" ? iso(breaker.until) : null;
  return {
    key,
    state: breaker.state,
    since: iso(breaker.since),
    until,
    reason: breaker.state === "closed" ? null : breaker.reason,
    windows: { ok, failed, slow, connect_failed: connect },
    failure_rate: ok + failed === 0 ? null : failed / (ok + failed),
    trips: "trips" in breaker ? breaker.trips : 0,
    limit: total(loads.map(({ limit }) => limit)),
    load_factor: loads.length === 0 ? null : Math.max(...loads.map(({ loadFactor }) => loadFactor)),
    budget_left: total(loads.flatMap(({ budgetLeft }) => budgetLeft ?? [])),
    parked: total(shards.map(({ parked }) => parked?.tasks ?? 0)) ?? 0,
    next_probe_at: until,
    audit: audit.map(({ holdsReleased, ...entry }) => ({
      ...entry,
      at: iso(entry.at),
      ...(holdsReleased !== undefined && { holds_released: holdsReleased }),
    })),
  };
}

/** Null: nothing to add up. */
function total(numbers: readonly number[]): number | null {
  return numbers.length === 0 ? null : numbers.reduce((sum, number) => sum + number, 0);
}

function iso(at: number): string {
  return new Date(at).toISOString();
}
