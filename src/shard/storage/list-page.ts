import { taskIdFloor } from "../../core/task/task-id.ts";
import type { SqlPort, SqlRow } from "../../platform/sql-port.ts";
import type { ListMessage } from "../../protocol/shard-api.ts";
import { kept } from "./task-rows.ts";

/** Rows that a page may examine at once, which is a few milliseconds: few first, since most pages are full by then. */
const EXAMINES = [200, 1_800];

/** Matching rows, newest first. */
export interface ListPage {
  rows: SqlRow[];
  /** How far down the page has looked; null: to the end. */
  examinedTo: string | null;
  /** How many rows it has looked at. */
  examined: number;
  /** It is full, or at the end: nothing is to be looked for. */
  isWhole: boolean;
}

/** What one look may cost: rows that it looks at, and rows that it gives. */
interface Most {
  rows: number;
  matches: number;
}

/** A page that has looked at nothing. */
export function pageStart({ before }: ListMessage): ListPage {
  return { rows: [], examinedTo: before, examined: 0, isWhole: false };
}

/** One page of rows, looked for at one go. Of those that do not match only the beginning is read, not the bodies in them. */
export function listPage(sql: SqlPort, query: ListMessage): ListPage {
  let page = pageStart(query);
  for (const rows of EXAMINES) {
    page = withSlice(sql, query, page, { rows, matches: query.limit });
    if (page.isWhole) break;
  }
  return page;
}

/** The page with what is found in the next rows. It stays short where there are more than these or more matches. */
export function withSlice(sql: SqlPort, query: ListMessage, page: ListPage, most: Most): ListPage {
  const matches = Math.min(most.matches, query.limit - page.rows.length);
  const { rows, examined, toMatch, last } = examine(
    sql,
    { ...query, before: page.examinedTo },
    most.rows,
    matches,
  );
  const isCut = rows.length === matches;
  const isWhole = page.rows.length + rows.length >= query.limit || (!isCut && examined < most.rows);
  const examinedTo = isCut ? String(rows.at(-1)?.id) : isWhole ? null : last;
  return {
    rows: [...page.rows, ...rows],
    examinedTo,
    examined: page.examined + (isCut ? toMatch : examined),
    isWhole,
  };
}

interface Examined {
  /** The matching ones. */
  rows: SqlRow[];
  examined: number;
  /** How many were looked at up to the last of `rows`. */
  toMatch: number;
  /** The last one looked at; null: there was none. */
  last: string | null;
}

/** Looks at the `most` rows below `before`, for up to `matches` that match. */
function examine(
  sql: SqlPort,
  { before, createdAfter, state, target, label, isOpen }: ListMessage,
  most: number,
  matches: number,
): Examined {
  const found = sql
    .exec(
      `WITH examined AS MATERIALIZED (
         SELECT id, state, target, labels FROM tasks WHERE id < ?1 AND id >= ?2 ORDER BY id DESC LIMIT ?7
       ), matching AS MATERIALIZED (
         SELECT id FROM examined WHERE instr(id, '~') = 0 AND (?3 IS NULL OR state = ?3) AND (?4 IS NULL OR target = ?4)
         AND (?8 = 0 OR state NOT IN ('succeeded', 'failed', 'cancelled'))
         AND (?5 IS NULL OR instr(labels, ?9) > 0 AND EXISTS (SELECT 1 FROM json_each(${kept("labels", "array", "'[]'")}) WHERE value = ?5)) LIMIT ?6
       ), whole AS (
         SELECT count(*) AS examined, min(id) AS last,
         (SELECT count(*) FROM examined WHERE id >= (SELECT min(id) FROM matching)) AS to_match FROM examined
       ) SELECT whole.*, tasks.* FROM whole LEFT JOIN matching LEFT JOIN tasks ON tasks.id = matching.id
       ORDER BY matching.id DESC`,
      before ?? "u",
      createdAfter === null ? "" : taskIdFloor(createdAfter),
      state,
      target,
      label,
      matches,
      most,
      isOpen === true ? 1 : 0,
      // As it stands in the JSON: to look for a text costs a tenth of taking the list apart.
      JSON.stringify(label),
    )
    .toArray();
  const rows = found.filter(({ id }) => id !== null);
  const { examined, to_match: toMatch, last } = found[0] ?? {};
  return {
    rows,
    examined: Number(examined),
    toMatch: Number(toMatch),
    last: (last ?? null) as string | null,
  };
}
