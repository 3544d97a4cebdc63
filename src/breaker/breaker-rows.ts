import type { Breaker, BreakerAudit } from "../core/breaker.ts";
import type { BreakerCounts } from "../core/breaker-counts.ts";
import type { Hold } from "../core/hold.ts";
import type { SqlPort, SqlRow, SqlValue } from "../core/sql-port.ts";
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

/** The breaker's only row. */
export interface BreakerRow {
  key: string;
  breaker: Breaker;
  counts: BreakerCounts;
  holds: Holds;
}

/** A breaker's rows: one method for each verb, the statement in it. */
export class BreakerRows {
  readonly #sql: SqlPort;

  constructor(sql: SqlPort) {
    this.#sql = sql;
  }

  /** Null: nobody has told this breaker anything. */
  read(): BreakerRow | null {
    const [row] = this.#sql.exec("SELECT key, state, counts, holds FROM breaker").toArray();
    if (row === undefined) return null;
    return {
      key: String(row.key),
      breaker: JSON.parse(String(row.state)),
      counts: new Map(JSON.parse(String(row.counts))),
      holds: readHolds(row.holds),
    };
  }

  write({ key, breaker, counts }: Omit<BreakerRow, "holds">): void {
    const text = JSON.stringify([...counts]);
    this.#sql.exec(
      `INSERT INTO breaker (id, key, state, counts) VALUES (1, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET state = excluded.state, counts = excluded.counts`,
      key,
      JSON.stringify(breaker),
      text.length > MAX_COUNTS_LENGTH ? "[]" : text,
    );
  }

  writeHolds({ byQueue, endedAt }: Holds): void {
    const text =
      byQueue.size === 0 && endedAt === 0 ? null : JSON.stringify({ byQueue: [...byQueue], endedAt });
    this.#sql.exec("UPDATE breaker SET holds = ? WHERE id = 1", text);
  }

  shards(): ShardRow[] {
    return this.#sql.exec("SELECT * FROM shards ORDER BY shard").toArray().map(rowToShard);
  }

  writeShard({ shard, queueRef, parked, probedAt, failures }: ShardRow): void {
    this.#sql.exec(
      `INSERT INTO shards (shard, queue_ref, parked, probed_at, failures) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (shard) DO UPDATE SET parked = excluded.parked, probed_at = excluded.probed_at, failures = excluded.failures`,
      shard,
      queueRef,
      parked === null ? null : JSON.stringify(parked),
      probedAt,
      failures,
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
    this.#sql.exec("INSERT INTO audit (entry) VALUES (?)", JSON.stringify(entry));
    this.#sql.exec("DELETE FROM audit WHERE seq <= (SELECT max(seq) FROM audit) - ?", MAX_BREAKER_AUDIT);
  }

  /** The latest changes, newest first. */
  audit(): BreakerAudit[] {
    const rows = this.#sql.exec("SELECT entry FROM audit ORDER BY seq DESC").toArray();
    return rows.map((row) => JSON.parse(String(row.entry)));
  }
}

function readHolds(text: SqlValue | undefined): Holds {
  if (typeof text !== "string") return NO_HOLDS;
  const { byQueue, endedAt } = JSON.parse(text) as { byQueue: [number, Hold][]; endedAt: number };
  return { byQueue: new Map(byQueue), endedAt };
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
