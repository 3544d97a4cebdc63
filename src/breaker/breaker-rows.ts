import type { Breaker, BreakerAudit } from "../core/breaker/breaker.ts";
import type { BreakerCounts } from "../core/breaker/counts.ts";
import type { Hold } from "../core/policy/hold.ts";
import type { SqlPort, SqlRow, SqlValue } from "../platform/sql-port.ts";
import { TRUSTED_PART } from "../protocol/breaker-api.ts";
import { MAX_BREAKER_AUDIT } from "../schema/breaker.ts";
import { type Holds, NO_HOLDS } from "./holds.ts";

/** Counts that would be larger as JSON are not kept: a row holds 2 MB, and they are only worth seconds. */
const MAX_COUNTS_LENGTH = 1_000_000;

/** What a shard has parked for the target, and whether it would probe. */
export interface Parked {
  /** At least 1. */
  tasks: number;
  /** What its probe would use up; null: nothing. */
  probe: { attemptsUsed: number; attemptsLeft: number } | null;
  /** How long its probe would take at most; null: it would make none. */
  leaseMs: number | null;
}

/** A shard that has told its breaker of itself. */
export interface ShardRow {
  shard: string;
  queueRef: number;
  parked: Parked | null;
  /** When it had a probe last; 0: never. */
  probedAt: number;
  /** Changes in a row that it could not be told. */
  failures: number;
}

/** A part's own row. */
export interface BreakerRow {
  breaker: Breaker;
  counts: BreakerCounts;
  holds: Holds;
}

/** The rows of one part of a breaker: one method for each verb, the statement in it. */
export class BreakerRows {
  readonly #sql: SqlPort;
  readonly #part: number;

  constructor(sql: SqlPort, part = TRUSTED_PART) {
    this.#sql = sql;
    this.#part = part;
  }

  /** Null: nothing was written of it yet. */
  read(): BreakerRow | null {
    const [row] =
      this.#part === TRUSTED_PART
        ? this.#sql.exec("SELECT state, counts, holds FROM breaker").toArray()
        : this.#sql.exec("SELECT state, counts, holds FROM parts WHERE part = ?", this.#part).toArray();
    if (row === undefined) return null;
    const { state, counts, holds } = row;
    return {
      breaker: JSON.parse(String(state)),
      counts: new Map(JSON.parse(String(counts))),
      holds: readHolds(holds),
    };
  }

  write(key: string, { breaker, counts, holds }: BreakerRow): void {
    const whole = JSON.stringify([...counts]);
    const text = whole.length > MAX_COUNTS_LENGTH ? "[]" : whole;
    if (this.#part === TRUSTED_PART) this.#writeTrusted(key, JSON.stringify(breaker), text, holdsText(holds));
    else {
      this.#sql.exec(
        `INSERT INTO parts (part, state, counts, holds) VALUES (?, ?, ?, ?)
         ON CONFLICT (part) DO UPDATE SET state = excluded.state, counts = excluded.counts, holds = excluded.holds`,
        this.#part,
        JSON.stringify(breaker),
        text,
        holdsText(holds),
      );
    }
  }

  #writeTrusted(key: string, state: string, counts: string, holds: string | null): void {
    this.#sql.exec(
      `INSERT INTO breaker (id, key, state, counts, holds) VALUES (1, ?, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET state = excluded.state, counts = excluded.counts, holds = excluded.holds`,
      key,
      state,
      counts,
      holds,
    );
  }

  shards(): ShardRow[] {
    const rows = this.#sql.exec("SELECT * FROM shards WHERE part = ? ORDER BY shard", this.#part);
    return rows.toArray().map(rowToShard);
  }

  writeShard({ shard, queueRef, parked, probedAt, failures }: ShardRow): void {
    this.#sql.exec(
      `INSERT INTO shards (shard, queue_ref, parked, probed_at, failures, part) VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT (shard) DO UPDATE SET parked = excluded.parked, probed_at = excluded.probed_at,
         failures = excluded.failures, part = excluded.part`,
      shard,
      queueRef,
      parked === null ? null : JSON.stringify(parked),
      probedAt,
      failures,
      this.#part,
    );
  }

  deleteShard(shard: string): void {
    this.#sql.exec("DELETE FROM shards WHERE shard = ?", shard);
  }

  /** Notes that the queue's operators are told now that the target is gone. False: it is noted already. */
  addGoneTold(queueRef: number, now: number): boolean {
    const known = this.#sql.exec("SELECT 1 FROM told WHERE queue_ref = ?", queueRef).toArray();
    if (known.length > 0) return false;
    this.#sql.exec("INSERT INTO told (queue_ref, gone_at) VALUES (?, ?)", queueRef, now);
    return true;
  }

  /** Forgets what was told at that instant or earlier. */
  forgetGoneTold(until: number): void {
    this.#sql.exec("DELETE FROM told WHERE gone_at <= ?", until);
  }

  /** Adds a change; the oldest goes. */
  addAudit(entry: BreakerAudit): void {
    this.#sql.exec("INSERT INTO audit (entry, part) VALUES (?, ?)", JSON.stringify(entry), this.#part);
    this.#sql.exec(
      `DELETE FROM audit WHERE part = ? AND seq <=
         (SELECT seq FROM audit WHERE part = ? ORDER BY seq DESC LIMIT 1 OFFSET ?)`,
      this.#part,
      this.#part,
      MAX_BREAKER_AUDIT,
    );
  }

  /** The latest changes, newest first. */
  audit(): BreakerAudit[] {
    const rows = this.#sql.exec("SELECT entry FROM audit WHERE part = ? ORDER BY seq DESC", this.#part);
    return rows.toArray().map((row) => JSON.parse(String(row.entry)));
  }
}

/** The parts of which anything is written. */
export function knownParts(sql: SqlPort): number[] {
  const rows = sql.exec(
    "SELECT part FROM parts UNION SELECT part FROM shards UNION SELECT 0 FROM breaker ORDER BY part",
  );
  return rows.toArray().map(({ part }) => Number(part));
}

function readHolds(text: SqlValue | undefined): Holds {
  if (typeof text !== "string") return NO_HOLDS;
  const { byQueue, endedAt } = JSON.parse(text) as { byQueue: [number, Hold][]; endedAt: number };
  return { byQueue: new Map(byQueue), endedAt };
}

/** Null: nothing to keep. */
function holdsText({ byQueue, endedAt }: Holds): string | null {
  return byQueue.size === 0 && endedAt === 0 ? null : JSON.stringify({ byQueue: [...byQueue], endedAt });
}

function rowToShard(row: SqlRow): ShardRow {
  return {
    shard: String(row.shard),
    queueRef: Number(row.queue_ref),
    parked: row.parked === null ? null : JSON.parse(String(row.parked)),
    probedAt: Number(row.probed_at),
    failures: Number(row.failures),
  };
}
