import { describe, expect, test } from "vitest";
import type { SqlValue } from "../../../src/platform/sql-port.ts";
import { copyTask } from "../../support/shard/copy-task.ts";
import { HOOK } from "../../support/shard/shard-messages.ts";
import { ShardWorld } from "../../support/shard/shard-world.ts";

const DAY_MS = 24 * 3_600_000;

/** A statement as it was run, and how many rows it gave. */
interface Ran {
  query: string;
  rows: number;
}

type Bindings = Map<string, SqlValue[]>;

/** A shard in which so many tasks wait for next month, which has been up for a while. */
async function shardWith(waiting: number, targets: number): Promise<ShardWorld> {
  const world = new ShardWorld({
    concurrency: 1_000,
    breaker: {},
    retention: { succeeded: "90d", failed: "90d" },
  });
  if (waiting > 0) {
    const { id } = await world.submit(world.taskTo("h0", { delayMs: 30 * DAY_MS }));
    copyTask(world.storage.sql, { id, copies: waiting - 1, targets });
    world.restart();
    // A shard that has just started asks the rows of each lane once.
    for (let i = 0; i < targets; i += 8) await world.alarm();
  }
  return world;
}

/** What the shard asks of its storage meanwhile, query by query; `bound` learns with what. */
async function statements(
  world: ShardWorld,
  run: () => Promise<unknown>,
  bound: Bindings = new Map(),
): Promise<Ran[]> {
  const ran: Ran[] = [];
  const { sql } = world.storage;
  const original = sql.exec;
  sql.exec = (query: string, ...bindings: SqlValue[]) => {
    const cursor = original(query, ...bindings);
    ran.push({ query, rows: cursor.toArray().length });
    bound.set(query, bindings);
    return cursor;
  };
  await run();
  sql.exec = original;
  return ran;
}

/** What a submit, a settle, a claim and a delivery ask, each of one task. */
async function work(world: ShardWorld, bound: Bindings = new Map()): Promise<Record<string, Ran[]>> {
  const ask = (run: () => Promise<unknown>) => statements(world, run, bound);
  const call = { callback: HOOK };
  let granted = await world.submitGranted({ call });
  await world.settle(granted);
  await world.alarm();
  const submit = await ask(async () => {
    granted = await world.submitGranted({ call });
  });
  const settle = await ask(() => world.settle(granted));
  await world.submit(world.taskTo("h1", { delayMs: 1_000, call }));
  world.now += 1_000;
  const claim = await ask(() => world.alarm());
  const deliver = await ask(() => world.serveRunners());
  return { submit, settle, claim, deliver };
}

describe("what a task's way asks of the storage", () => {
  test("is the same, statement by statement, whether none or 20,000 tasks wait, for one target or a thousand", async () => {
    const empty = await work(await shardWith(0, 1));
    for (const targets of [1, 1_000]) {
      const full = await work(await shardWith(20_000, targets));
      for (const [kind, ran] of Object.entries(full)) {
        expect(ran.map(({ query }) => query)).toEqual(empty[kind]?.map(({ query }) => query));
        // A claim sees the first row after those that it takes, too.
        for (const [i, { query, rows }] of ran.entries()) {
          expect(rows, query).toBeLessThanOrEqual((empty[kind]?.[i]?.rows ?? 0) + 1);
        }
      }
    }
  });

  test("finds every row by a key or an index", async () => {
    const world = await shardWith(100, 10);
    const bound: Bindings = new Map();
    await work(world, bound);
    const explained = [...bound].filter(([query]) => !query.startsWith("INSERT"));
    expect(explained.length).toBeGreaterThanOrEqual(3);
    for (const [query, bindings] of explained) {
      const steps = world
        .rows(`EXPLAIN QUERY PLAN ${query}`, ...bindings)
        .map(({ detail }) => String(detail));
      expect(steps.length, query).toBeGreaterThan(0);
      for (const step of steps) expect(step, query).not.toMatch(/SCAN (tasks|bodies|flights|targets)/);
    }
  });
});
