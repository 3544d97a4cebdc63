import type { SqlPort, SqlRow } from "../../platform/sql-port.ts";

const HIGHEST_BELOW =
  "(SELECT priority FROM tasks WHERE lane = ?1 AND priority < ?2 ORDER BY priority DESC LIMIT 1)";

/** What waits in the lanes of one shard, by the index over it: one method for each question, the statement in it. */
export class LaneRows {
  readonly #sql: SqlPort;

  constructor(sql: SqlPort) {
    this.#sql = sql;
  }

  /** How many rows wait in these lanes, counted up to `most`. Reads the index only. */
  countWaiting(lanes: readonly string[], most: number): number {
    let count = 0;
    for (const lane of lanes) {
      const row = this.#sql
        .exec(
          "SELECT count(*) AS number FROM (SELECT 1 FROM tasks WHERE lane = ? LIMIT ?)",
          lane,
          most - count,
        )
        .toArray()[0];
      count += Number(row?.number ?? 0);
    }
    return count;
  }

  /** When the first row of a lane is due; null where it has none. Skips from priority to priority over the index. */
  firstDueAt(lane: string): number | null {
    const row = this.#sql
      .exec(
        `WITH RECURSIVE found(priority) AS (
           SELECT max(priority) FROM tasks WHERE lane = ?1
           UNION ALL
           SELECT (SELECT max(priority) FROM tasks WHERE lane = ?1 AND priority < found.priority)
           FROM found WHERE found.priority IS NOT NULL
         ) SELECT min((SELECT min(due_at) FROM tasks WHERE lane = ?1 AND priority = found.priority)) AS at
         FROM found WHERE priority IS NOT NULL`,
        lane,
      )
      .toArray()[0];
    return (row?.at ?? null) as number | null;
  }

  /** Some due rows of a lane, to choose one from; the first in turn. Reads no others. */
  sampleDue(lane: string, now: number, limit: number): SqlRow[] {
    // With the priorities named, the index leads to the due rows of each; else all rows of the lane would be read.
    return this.#sql
      .exec(
        `SELECT * FROM tasks WHERE lane = ? AND priority IN (9, 8, 7, 6, 5, 4, 3, 2, 1, 0) AND due_at <= ?
         ORDER BY priority DESC LIMIT ?`,
        lane,
        now,
        limit,
      )
      .toArray();
  }

  /**
   * The due rows of a lane in its highest priority below `belowPriority`, by due time, at most `limit`. Reads no other
   * rows.
   */
  due(lane: string, belowPriority: number, now: number, limit: number): SqlRow[] {
    return this.#sql
      .exec(
        `SELECT * FROM tasks WHERE lane = ?1 AND priority = ${HIGHEST_BELOW} AND due_at <= ?3
         ORDER BY due_at, expires_at LIMIT ?4`,
        lane,
        belowPriority,
        now,
        limit,
      )
      .toArray();
  }

  /**
   * The row of a lane that has been due longest, whatever its priority; null where none is due. Reads the first row of
   * each of the ten priorities.
   */
  oldestDue(lane: string, now: number): SqlRow | null {
    const firsts = `SELECT (SELECT id FROM tasks WHERE lane = ?1 AND priority = one.value AND due_at <= ?2
      ORDER BY due_at, expires_at LIMIT 1) AS id FROM json_each('[9,8,7,6,5,4,3,2,1,0]') AS one`;
    return (
      this.#sql
        .exec(
          `SELECT tasks.* FROM (${firsts}) AS firsts JOIN tasks USING (id)
           ORDER BY tasks.due_at, tasks.expires_at, tasks.id LIMIT 1`,
          lane,
          now,
        )
        .toArray()[0] ?? null
    );
  }

  /** The row after the first `skip` ones of the same priority, due or not; null where it has none. Reads the index only. */
  waitingAfter(
    lane: string,
    belowPriority: number,
    skip: number,
  ): { priority: number; dueAt: number } | null {
    const row = this.#sql
      .exec(
        `SELECT priority, due_at FROM tasks WHERE lane = ?1 AND priority = ${HIGHEST_BELOW}
         ORDER BY due_at, expires_at LIMIT 1 OFFSET ?3`,
        lane,
        belowPriority,
        skip,
      )
      .toArray()[0];
    return row === undefined ? null : { priority: Number(row.priority), dueAt: Number(row.due_at) };
  }

  /** All lanes in which something waits: a skip from lane to lane over the index, not a scan of its rows. */
  lanes(): string[] {
    return this.#sql
      .exec(
        `WITH RECURSIVE found(lane) AS (
           SELECT min(lane) FROM tasks WHERE lane IS NOT NULL
           UNION ALL
           SELECT (SELECT min(lane) FROM tasks WHERE lane > found.lane) FROM found WHERE found.lane IS NOT NULL
         ) SELECT lane FROM found WHERE lane IS NOT NULL`,
      )
      .toArray()
      .map((row) => String(row.lane));
  }

  /** Ids of a lane's rows whose max_age is over. Reads the lane's index until it has enough. */
  expired(lane: string, now: number, limit: number): string[] {
    return this.#sql
      .exec("SELECT id FROM tasks WHERE lane = ? AND expires_at <= ? LIMIT ?", lane, now, limit)
      .toArray()
      .map((row) => String(row.id));
  }

  /** When the max_age of a lane's first row is over; null where it has none. Reads the lane's whole index. */
  firstExpiresAt(lane: string): number | null {
    const row = this.#sql.exec("SELECT min(expires_at) AS at FROM tasks WHERE lane = ?", lane).toArray()[0];
    return (row?.at ?? null) as number | null;
  }

  /** How many callbacks wait for a delivery, operator events aside. Reads the index of what waits. */
  callbacksWaiting(): number {
    const row = this.#sql
      .exec(
        "SELECT count(*) AS number FROM tasks WHERE lane >= '>' AND lane < '?' AND instr(id, '~event') = 0",
      )
      .toArray()[0];
    return Number(row?.number ?? 0);
  }
}
