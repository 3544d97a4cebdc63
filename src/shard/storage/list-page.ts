import { taskIdFloor } from "../../core/task/task-id.ts";
import type { SqlPort, SqlRow } from "../../platform/sql-port.ts";
import type { ListMessage } from "../../protocol/shard-api.ts";
import { kept } from "./task-rows.ts";

/**
 * Rows that one list page may examine in a shard: few first, since most pages are full by then. All of them take a few
 * milliseconds, for which nothing else of the shard goes on.
 */
const EXAMINES = [200, 1_800];

/** Matching rows, newest first; `examinedTo`: how far down the page has looked; null: to the end. */
export interface ListPage {
  rows: SqlRow[];
  examinedTo: string | null;
  /** How many rows it has looked at. */
  examined: number;
}

/** One page of rows. Of those that do not match only the beginning is read, not the bodies in them. */
export function listPage(sql: SqlPort, query: ListMessage): ListPage {
  const page: ListPage = { rows: [], examinedTo: query.before, examined: 0 };
  for (const most of EXAMINES) {
    const { rows, examined, last } = examine(
      sql,
      { ...query, before: page.examinedTo },
      {
        most,
        limit: query.limit - page.rows.length,
      },
    );
    page.rows.push(...rows);
    page.examined += examined;
    if (page.rows.length >= query.limit) return { ...page, examinedTo: String(page.rows.at(-1)?.id) };
    page.examinedTo = last;
    if (examined < most) return { ...page, examinedTo: null };
  }
  return page;
}

/** The matching ones of the `most` rows below `before`; how many there were, and the last of them. */
function examine(
  sql: SqlPort,
  { before, createdAfter, state, target, label, isOpen }: ListMessage,
  { most, limit }: { most: number; limit: number },
): { rows: SqlRow[]; examined: number; last: string | null } {
  const found = sql
    .exec(
      `WITH examined AS MATERIALIZED (
         SELECT id, state, target, labels FROM tasks WHERE id < ?1 AND id >= ?2 ORDER BY id DESC LIMIT ?7
       ), matching AS (
         SELECT id FROM examined WHERE instr(id, '~') = 0 AND (?3 IS NULL OR state = ?3) AND (?4 IS NULL OR target = ?4)
         AND (?8 = 0 OR state NOT IN ('succeeded', 'failed', 'cancelled'))
         AND (?5 IS NULL OR instr(labels, ?9) > 0 AND EXISTS (SELECT 1 FROM json_each(${kept("labels", "array", "'[]'")}) WHERE value = ?5)) LIMIT ?6
       ), whole AS (
         SELECT count(*) AS examined, min(id) AS last FROM examined
       ) SELECT whole.*, tasks.* FROM whole LEFT JOIN matching LEFT JOIN tasks ON tasks.id = matching.id
       ORDER BY matching.id DESC`,
      before ?? "u",
      createdAfter === null ? "" : taskIdFloor(createdAfter),
      state,
      target,
      label,
      limit,
      most,
      isOpen === true ? 1 : 0,
      // As it stands in the JSON: to look for a text costs a tenth of taking the list apart.
      JSON.stringify(label),
    )
    .toArray();
  const rows = found.filter(({ id }) => id !== null);
  return { rows, examined: Number(found[0]?.examined), last: (found[0]?.last ?? null) as string | null };
}
