import { AGED_EVERY } from "../../src/core/pressure/ageing.ts";
import { HELD_LANE } from "../../src/core/task/lane.ts";
import type { RowVersion } from "./world/storage.ts";

/** What the order is held against. */
interface Watch {
  violate(invariant: string, detail: string, ...about: string[]): void;
}

/** A row that stands in a lane. */
interface Waiting {
  id: string;
  dueAt: number;
  expiresAt: number;
  /** Rows of the lane that were due before it or with it, itself among them, since it came. */
  place: number;
  /** Grants of its lane since it was due, in this life of the shard's memory. */
  passed: number;
}

/**
 * The lanes of one shard, grant by grant: the n-th row by due time has its turn within 8 n grants of its lane,
 * whatever of a higher priority comes in. A start begins to count anew.
 */
export class LaneOrder {
  readonly #shard: string;
  readonly #watch: Watch;
  readonly #lanes = new Map<string, Map<string, Waiting>>();

  constructor(shard: string, watch: Watch) {
    this.#shard = shard;
    this.#watch = watch;
  }

  /** A row was written; gives the lane that it got a lease out of, null: none. */
  follow(before: RowVersion | undefined, after: RowVersion): string | null {
    const lane = before?.lane ?? null;
    if (!after.gone && lane !== null && after.lane === lane && after.dueAt === before?.dueAt) return null;
    if (lane !== null) this.#lanes.get(lane)?.delete(after.id);
    if (after.gone) return null;
    if (after.lane !== null && after.lane !== HELD_LANE) this.#come(after.lane, after);
    return after.leaseUntil !== null && after.lease > (before?.lease ?? 0) ? lane : null;
  }

  /** A turn is over that gave so many grants to lanes, those of probes left out: these choose by another rule. */
  turned(granted: ReadonlyMap<string, number>, at: number): void {
    for (const [lane, count] of granted)
      for (const row of this.#lanes.get(lane)?.values() ?? []) {
        if (row.dueAt > at) continue;
        row.passed += count;
        if (row.passed >= AGED_EVERY * row.place)
          this.#watch.violate(
            "the row that is due longest has its turn",
            `${row.id} was ${row.place}. in ${lane} of ${this.#shard}, and ${row.passed} others went`,
            row.id,
            this.#shard,
          );
      }
  }

  /** Memory was lost: nobody knows how many grants a lane had. */
  lost(): void {
    for (const rows of this.#lanes.values()) for (const row of rows.values()) row.passed = 0;
  }

  #come(lane: string, { id, dueAt, expiresAt }: RowVersion): void {
    const rows = this.#lanes.get(lane) ?? new Map<string, Waiting>();
    this.#lanes.set(lane, rows);
    const fresh: Waiting = { id, dueAt, expiresAt, place: 1, passed: 0 };
    for (const other of rows.values())
      if (isBefore(fresh, other)) other.place++;
      else fresh.place++;
    rows.set(id, fresh);
  }
}

function isBefore(a: Waiting, b: Waiting): boolean {
  if (a.dueAt !== b.dueAt) return a.dueAt < b.dueAt;
  if (a.expiresAt !== b.expiresAt) return a.expiresAt < b.expiresAt;
  return a.id < b.id;
}
