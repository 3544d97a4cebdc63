import type { SqlPort } from "../../../src/platform/sql-port.ts";

/** How many copies of which waiting task, over how many targets. */
export interface Copies {
  id: string;
  copies: number;
  targets: number;
}

/** Copies a waiting task in its shard's storage; ids stay valid and go up, the targets go round. */
export function copyTask(sql: SqlPort, { id, copies, targets }: Copies): void {
  if (copies <= 0) return;
  const columns = sql.exec("SELECT name FROM pragma_table_info('tasks')").toArray();
  // Numbers are bound as REAL, and 7.0 is no part of a host.
  const host = "'https://h' || (i % CAST(?2 AS INTEGER)) || '.example.com'";
  const values: Record<string, string> = {
    id: "substr(id, 1, 14) || printf('9%014d', i)",
    target: host,
    lane: host,
    due_at: "due_at + i",
  };
  const names = columns.map(({ name }) => String(name));
  sql.exec(
    `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
     INSERT INTO tasks (${names.join(", ")})
     SELECT ${names.map((name) => values[name] ?? name).join(", ")} FROM n, tasks WHERE tasks.id = ?3`,
    copies,
    targets,
    id,
  );
}
