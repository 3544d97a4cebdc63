import { chooseShard } from "../core/breaker/choose-probe.ts";
import { breakerPolicy, DEFAULT_BREAKER_POLICY } from "../core/breaker/policy.ts";
import type { BreakerSync } from "../protocol/breaker-api.ts";
import type { BreakerRows, Parked, ShardRow } from "./breaker-rows.ts";

/** A shard that could not be told of so many changes in a row is told no more, until it says something itself. */
const MAX_FAILURES = 3;
/** What is assumed of a queue whose shard has said nothing yet. */
const USUAL_WINDOW_MS = DEFAULT_BREAKER_POLICY.windowMs;
/** More or fewer tasks parked are written down once they are twice as many, or half. */
const MUCH = 2;

/** A shard as its breaker knows it; what is not in its row is as it told last, and gone with the memory. */
interface KnownShard extends ShardRow {
  /** What its row says that is parked. */
  written: Parked | null;
  /** How far back its queue counts calls. */
  windowMs: number;
  load: BreakerSync["load"] | null;
}

/** The shards that call a target: on disk, and in memory with what is worth no row. */
export class BreakerShards {
  readonly #rows: BreakerRows;
  readonly #byName: Map<string, KnownShard>;

  constructor(rows: BreakerRows) {
    this.#rows = rows;
    this.#byName = new Map(
      rows
        .shards()
        .map((row) => [row.shard, { ...row, written: row.parked, windowMs: USUAL_WINDOW_MS, load: null }]),
    );
  }

  all(): readonly KnownShard[] {
    return [...this.#byName.values()];
  }

  /** The longest window of the queues that lately said something. */
  get windowMs(): number {
    return this.all().reduce((longest, { windowMs }) => Math.max(longest, windowMs), 0) || USUAL_WINDOW_MS;
  }

  /** Takes in what a shard says of itself; one that is new here is told of changes from now on. */
  heard({ shard, queueRef, settings, parked, wantLeaseMs, load }: BreakerSync): void {
    const before = this.#byName.get(shard);
    const after: KnownShard = {
      shard,
      queueRef,
      parked: parked && { ...parked, leaseMs: wantLeaseMs },
      probedAt: before?.probedAt ?? 0,
      failures: 0,
      written: before?.written ?? null,
      windowMs: breakerPolicy(settings).windowMs,
      load,
    };
    this.#byName.set(shard, after);
    const isNews = before === undefined || before.failures > 0 || isOther(after.written, after.parked);
    if (isNews) this.#write(shard, {});
  }

  /** It goes by another part now, where its row is. */
  forget(shard: string): void {
    this.#byName.delete(shard);
  }

  /** The shard that gets the next probe, and how long that may take; null: none would make one. */
  chooseProber(): { shard: string; leaseMs: number } | null {
    const able = this.all().flatMap(({ shard, parked, probedAt }) => {
      return parked === null || parked.leaseMs === null ? [] : [{ ...parked, shard, probedAt }];
    });
    const chosen = chooseShard(able);
    const leaseMs = able.find(({ shard }) => shard === chosen?.shard)?.leaseMs ?? null;
    return chosen === null || leaseMs === null ? null : { shard: chosen.shard, leaseMs };
  }

  /** It has been given a probe: among equals the others go first now. */
  probed(shard: string, now: number): void {
    this.#write(shard, { probedAt: now });
  }

  /** Nothing is parked in it, as far as is known; with no shard named, in any. */
  unpark(shard?: string): void {
    for (const known of this.all()) {
      const isMeant = shard === undefined || known.shard === shard;
      if (isMeant && known.parked !== null) this.#write(known.shard, { parked: null });
    }
  }

  /** Whether it could not be told of the last change. */
  hasFailed(shard: string): boolean {
    return (this.#byName.get(shard)?.failures ?? 0) > 0;
  }

  /** It could be told of a change, or could not. True: it has just been dropped, and is told of none from now on. */
  told(shard: string, ok: boolean): boolean {
    const known = this.#byName.get(shard);
    if (known === undefined) return false;
    const failures = ok ? 0 : known.failures + 1;
    if (failures < MAX_FAILURES) {
      if (failures !== known.failures) this.#write(shard, { failures });
      return false;
    }
    this.#byName.delete(shard);
    this.#rows.deleteShard(shard);
    return true;
  }

  #write(shard: string, change: Partial<KnownShard>): void {
    const known = this.#byName.get(shard);
    if (known === undefined) return;
    const changed = { ...known, ...change };
    changed.written = changed.parked;
    this.#byName.set(shard, changed);
    this.#rows.writeShard(changed);
  }
}

/** Whether the next probe may go elsewhere for it: what is parked by the number alone matters only by much. */
function isOther(before: Parked | null, after: Parked | null): boolean {
  if (before === null || after === null) return before !== after;
  const isMuch = after.tasks >= before.tasks * MUCH || after.tasks <= before.tasks / MUCH;
  const same = [before, after].map(({ probe, leaseMs }) => JSON.stringify([probe, leaseMs]));
  return isMuch || same[0] !== same[1];
}
