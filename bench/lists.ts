import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startServer, type TestServer } from "../test/support/server/server.ts";
import { copyTask } from "../test/support/shard/copy-task.ts";
import { fileSql } from "../test/support/shard/sqlite.ts";
import { quantile } from "./stats.ts";

const TASKS = 1_000_000;
const TARGETS = 100;
const REPEATS = 20;
/** What each page asks for; the last three match nothing or next to nothing. */
const FILTERS = [
  "",
  "&state=pending",
  "&target=https://h7.example.com",
  "&created_after=2020-01-01T00:00:00Z",
  "&queue=default",
  "&state=failed",
  "&label=rare",
  "&target=https://nobody.example.com",
];

/**
 * What a page of `GET /v1/tasks` takes over a million tasks, with each filter, as rows of a table: on the standalone server, over all
 * shards. Nearly all tasks are copies, made in the shards' files while the server is stopped.
 */
export async function lists(): Promise<string[][]> {
  const dataDir = await mkdtemp(join(tmpdir(), "redrive-lists-"));
  try {
    await fill(dataDir);
    const server = await startServer({ dataDir });
    try {
      const rows: string[][] = [];
      // The shards start, and their pages come from the disk.
      for (const filter of FILTERS) await measure(server, filter);
      for (const filter of FILTERS) rows.push(await measure(server, filter));
      return [["page of 50 over 1,000,000 tasks", "tasks found", "median ms", "longest ms"], ...rows];
    } finally {
      await server.stop();
    }
  } finally {
    await rm(dataDir, { recursive: true });
  }
}

async function measure(server: TestServer, filter: string): Promise<string[]> {
  const tookMs: number[] = [];
  let found = 0;
  for (let i = 0; i < REPEATS; i++) {
    const startAt = performance.now();
    const { tasks } = (await ask(server, `/v1/tasks?limit=50${filter}`)) as { tasks: unknown[] };
    tookMs.push(performance.now() - startAt);
    found = tasks.length;
  }
  const label = filter === "" ? "no filter" : filter.slice(1);
  return [label, String(found), quantile(tookMs, 0.5).toFixed(1), quantile(tookMs, 1).toFixed(1)];
}

/** A task in each shard through the API, then its copies. */
async function fill(dataDir: string): Promise<void> {
  const server = await startServer({ dataDir });
  const task = { url: "https://h0.example.com/", delay: "30d", labels: ["common"] };
  await ask(server, "/v1/tasks/batch", { tasks: Array.from({ length: 100 }, () => task) });
  await server.stop();
  const folder = join(dataDir, "do", "redrive-shard");
  const files = (await readdir(folder)).filter((file) => /^[0-9a-f]{64}\.sqlite$/.test(file));
  for (const file of files) {
    const { sql } = fileSql(join(folder, file));
    const id = String(sql.exec("SELECT max(id) AS id FROM tasks").toArray()[0]?.id);
    copyTask(sql, { id, copies: TASKS / files.length, targets: TARGETS });
  }
}

async function ask(server: TestServer, path: string, body?: object): Promise<unknown> {
  const response = await fetch(server.url + path, {
    method: body === undefined ? "GET" : "POST",
    headers: { authorization: `Bearer ${server.apiKey}`, "content-type": "application/json" },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  if (!response.ok) throw new Error(`${path} was answered ${response.status}: ${await response.text()}`);
  return response.json();
}
