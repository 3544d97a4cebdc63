import type { SqlPort, SqlRow } from "../../platform/sql-port.ts";
import type { Probe } from "../../schema/policy.ts";

/** A URL that is polled for held tasks. */
export interface Poll {
  url: string;
  /** The target key, in whose line it waits. */
  lane: string;
  dueAt: number;
  periodMs: number;
  timeoutMs: number;
  /** Answers in a row that were no success. */
  failures: number;
  /** Successes in a row, by the number of them that is wanted; those who want one have no entry. */
  streaks: Record<string, number>;
  /** How long the answer took by which tasks are being set free; null: none are. */
  readyMs: number | null;
  /** The last probe all of whose tasks are free; null: none yet. */
  readyAfter: string | null;
  lease: number;
  leaseUntil: number | null;
}

/** The URLs that held tasks of one shard wait for, as rows: one method for each verb, the statement in it. */
export class PollRows {
  readonly #sql: SqlPort;

  constructor(sql: SqlPort) {
    this.#sql = sql;
  }

  /** A task waits for this probe: its URL is polled by `dueAt`, at least as often and for as long as the task asks. */
  want({ url, period, timeout, success_threshold }: Probe, lane: string, dueAt: number): void {
    this.#sql.exec(
      `INSERT INTO polls (url, lane, due_at, period, timeout, failures, streaks, lease)
       VALUES (?, ?, ?, ?, ?, 0, '{}', 0)
       ON CONFLICT (url) DO UPDATE SET due_at = min(due_at, excluded.due_at),
         period = min(period, excluded.period), timeout = max(timeout, excluded.timeout)
       WHERE excluded.due_at < due_at OR excluded.period < period OR excluded.timeout > timeout`,
      url,
      lane,
      dueAt,
      period,
      timeout,
    );
    if (success_threshold === 1) return;
    const path = `$."${success_threshold}"`;
    this.#sql.exec(
      "UPDATE polls SET streaks = json_insert(streaks, ?2, 0) WHERE url = ?1 AND json_type(streaks, ?2) IS NULL",
      url,
      path,
    );
  }

  /** Null where the URL is not polled. */
  read(url: string): Poll | null {
    const row = this.#sql.exec("SELECT * FROM polls WHERE url = ?", url).toArray()[0];
    return row === undefined ? null : pollOf(row);
  }

  /** Writes all of a poll that changes. */
  put(poll: Poll): void {
    this.#sql.exec(
      `UPDATE polls SET due_at = ?, failures = ?, streaks = ?, ready_ms = ?, ready_after = ?, lease = ?,
         lease_until = ? WHERE url = ?`,
      poll.dueAt,
      poll.failures,
      JSON.stringify(poll.streaks),
      poll.readyMs,
      poll.readyAfter,
      poll.lease,
      poll.leaseUntil,
      poll.url,
    );
  }

  /** Makes a poll due at another time, whatever else is in its row. */
  putDue(url: string, dueAt: number): void {
    this.#sql.exec("UPDATE polls SET due_at = ? WHERE url = ?", dueAt, url);
  }

  delete(url: string): void {
    this.#sql.exec("DELETE FROM polls WHERE url = ?", url);
  }

  /** The URLs of a lane that are due, the first one first. */
  due(lane: string, now: number, limit: number): string[] {
    return this.#sql
      .exec(
        "SELECT url FROM polls WHERE lane = ? AND lease_until IS NULL AND due_at <= ? ORDER BY due_at LIMIT ?",
        lane,
        now,
        limit,
      )
      .toArray()
      .map((row) => String(row.url));
  }

  /** The URLs that wait for longer than until `at`; `lane` null: of all lanes. */
  waitingBeyond(at: number, lane: string | null): Poll[] {
    const query =
      "SELECT * FROM polls WHERE lease_until IS NULL AND due_at > ?1 AND (?2 IS NULL OR lane = ?2)";
    return this.#sql.exec(query, at, lane).toArray().map(pollOf);
  }

  /** When the first URL of a lane is due; null where none waits. */
  firstDueAt(lane: string): number | null {
    const row = this.#sql
      .exec("SELECT min(due_at) AS at FROM polls WHERE lane = ? AND lease_until IS NULL", lane)
      .toArray()[0];
    return (row?.at ?? null) as number | null;
  }

  /** All lanes in which a URL waits: a skip from lane to lane over the index. */
  lanes(): string[] {
    return this.#sql
      .exec(
        `WITH RECURSIVE found(lane) AS (
           SELECT min(lane) FROM polls WHERE lease_until IS NULL
           UNION ALL
           SELECT (SELECT min(lane) FROM polls WHERE lease_until IS NULL AND lane > found.lane)
           FROM found WHERE found.lane IS NOT NULL
         ) SELECT lane FROM found WHERE lane IS NOT NULL`,
      )
      .toArray()
      .map((row) => String(row.lane));
  }

  /** The URLs that have a lease. */
  leased(): string[] {
    return this.#sql
      .exec("SELECT url FROM polls WHERE lease_until IS NOT NULL")
      .toArray()
      .map((row) => String(row.url));
  }

  /** Keys of the probes of this URL that tasks are held on, from the one after `after` on. Skips over the index. */
  probesHeldOn(url: string, after: string | null, limit: number): string[] {
    const from = keysOf(url);
    return this.#sql
      .exec(
        `WITH RECURSIVE found(key) AS (
           SELECT min(probe) FROM tasks WHERE probe > ?1 AND probe < ?2
           UNION ALL
           SELECT (SELECT min(probe) FROM tasks WHERE probe > found.key AND probe < ?2)
           FROM found WHERE found.key IS NOT NULL
           LIMIT ?3
         ) SELECT key FROM found WHERE key IS NOT NULL`,
        after ?? from,
        // What follows the URL in a key is a number: all of them are below the colon.
        `${from}:`,
        limit,
      )
      .toArray()
      .map((row) => String(row.key));
  }

  /**
   * Probes as the releases before wrote them, a row for each with its own times: their URLs are polled from now on.
   * A lease of theirs has no grant that this release would know.
   */
  adopt(now: number, laneOf: (url: string) => string): void {
    const rows = this.#sql.exec("SELECT key, due_at FROM probes").toArray();
    for (const row of rows) {
      const probe = probeOf(String(row.key));
      this.want(probe, laneOf(probe.url), Math.max(now, Number(row.due_at)));
    }
    if (rows.length > 0) this.#sql.exec("DELETE FROM probes");
  }
}

/** A probe's key is all there is to know about it. */
export function probeOf(key: string): Probe {
  const [url, period, timeout, success_threshold] = JSON.parse(key);
  return { url, period, timeout, success_threshold };
}

/** What the keys of all probes of a URL begin with. */
function keysOf(url: string): string {
  return `${JSON.stringify([url]).slice(0, -1)},`;
}

function pollOf(row: SqlRow): Poll {
  return {
    url: String(row.url),
    lane: String(row.lane),
    dueAt: Number(row.due_at),
    periodMs: Number(row.period),
    timeoutMs: Number(row.timeout),
    failures: Number(row.failures),
    streaks: JSON.parse(String(row.streaks)),
    readyMs: row.ready_ms as number | null,
    readyAfter: row.ready_after as string | null,
    lease: Number(row.lease),
    leaseUntil: row.lease_until as number | null,
  };
}
