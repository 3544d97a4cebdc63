import { SharedBreaker } from "../../../src/breaker/shared-breaker.ts";
import type { Breaker, BreakerAudit } from "../../../src/core/breaker/breaker.ts";
import type { CountsReport } from "../../../src/core/breaker/counts.ts";
import type { SqlPort } from "../../../src/platform/sql-port.ts";
import type { BreakerSync } from "../../../src/protocol/breaker-api.ts";
import { BreakerSettings } from "../../../src/schema/breaker.ts";
import { memorySql } from "./sqlite.ts";

export const KEY = "https://api.example.com";
/** An instant at which a bucket begins. */
export const START = 1_800_000_000_000;
export const LEASE_MS = 30_000;

/** What a breaker told a shard. */
export interface Push {
  shard: string;
  breaker: Breaker;
  announce: BreakerAudit | null;
}

/** A message of a shard `q<ref>-<n>`, with what matters to a test. */
export function buildSync(shard: string, overrides: Partial<BreakerSync> = {}): BreakerSync {
  const queueRef = Number(/^q(\d+)-/.exec(shard)?.[1]);
  return {
    key: KEY,
    shard,
    queue: `queue-${queueRef}`,
    queueRef,
    settings: BreakerSettings.parse({ minimum: 10, share: "trusted" }),
    report: null,
    parked: null,
    wantLeaseMs: null,
    probed: null,
    load: { limit: 5, loadFactor: 0, budgetLeft: null },
    ...overrides,
  };
}

/** A report of calls in one bucket. */
export function buildReport(
  source: string,
  at: number,
  counts: { ok?: number; failed?: number },
): CountsReport {
  const { ok = 0, failed = 0 } = counts;
  const seq = ok + failed;
  const bucket = { start: Math.floor(at / 10_000) * 10_000, seq, ok, failed, slow: 0, connect: 0 };
  return { source, buckets: [bucket], reach: { seq, reachedAt: at, failedAt: [] } };
}

/** What a shard says that has tasks waiting and would probe. */
export function parked(tasks = 1, attemptsUsed = 1): Pick<BreakerSync, "parked" | "wantLeaseMs"> {
  return { parked: { tasks, probe: { attemptsUsed, attemptsLeft: 3 } }, wantLeaseMs: LEASE_MS };
}

/** A SharedBreaker on a real SQLite, with time and chance in the test's hands and shards that only listen. */
export class BreakerWorld {
  now = START;
  /** How far time goes on each time that it is asked. */
  ticks = 0;
  breaker: SharedBreaker;
  readonly pushes: Push[] = [];
  /** Shards that cannot be reached. */
  readonly away = new Set<string>();
  readonly log: Record<string, unknown>[] = [];
  /** Statements that wrote a row, as they begin. */
  readonly writes: string[] = [];
  /** Makes the next statement that begins so throw. */
  failOn: string | null = null;
  alarmAt: number | null = null;
  readonly #memory = memorySql();
  #pending: Promise<unknown>[] = [];

  constructor(migration: string) {
    this.#memory.sql.exec(migration);
    this.breaker = this.#make();
  }

  /** The object loses its memory. */
  evict(): void {
    this.breaker = this.#make();
  }

  /** Its rows become those of the release before, which knew no parts; the object loses its memory. */
  asBefore(): void {
    const { sql } = this.#memory;
    sql.exec("INSERT INTO breaker (id, key, state, counts) SELECT 1, ?, state, counts FROM parts", KEY);
    sql.exec("DELETE FROM parts");
    sql.exec("UPDATE shards SET part = 0");
    sql.exec("UPDATE audit SET part = 0");
    this.evict();
  }

  /** Waits until every push has ended, with those that follow from it. */
  async settled(): Promise<void> {
    while (this.#pending.length > 0) await Promise.all(this.#pending.splice(0));
  }

  /** Takes what was pushed since the last time. */
  async taken(): Promise<Push[]> {
    await this.settled();
    return this.pushes.splice(0);
  }

  /** Moves time to the alarm and runs it; throws where none is armed. */
  async runAlarm(): Promise<Push[]> {
    if (this.alarmAt === null) throw new Error("expected an alarm to be armed");
    this.now = Math.max(this.now, this.alarmAt);
    this.alarmAt = null;
    this.breaker.alarm();
    return this.taken();
  }

  #make(): SharedBreaker {
    return new SharedBreaker(KEY, false, {
      sql: this.#sql(),
      transaction: this.#memory.transaction,
      now: () => {
        this.now += this.ticks;
        return this.now;
      },
      random: () => 0.5,
      setAlarm: (at) => {
        this.alarmAt = at;
      },
      keepAlive: (promise) => this.#pending.push(promise),
      shard: (shard) => ({
        breakerChanged: async (_key, breaker, announce) => {
          if (this.away.has(shard)) throw new Error("Network connection lost.");
          this.pushes.push({ shard, breaker, announce });
        },
      }),
      log: (line) => this.log.push(line),
    });
  }

  #sql(): SqlPort {
    return {
      exec: (query, ...bindings) => {
        const statement = query.split(" (")[0] ?? query;
        if (this.failOn !== null && query.startsWith(this.failOn)) {
          this.failOn = null;
          throw new Error("disk full");
        }
        if (!query.startsWith("SELECT")) this.writes.push(statement);
        return this.#memory.sql.exec(query, ...bindings);
      },
    };
  }
}
