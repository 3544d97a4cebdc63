import { expect, test } from "vitest";
import type { Breaker } from "../../../src/core/breaker/breaker.ts";
import { copyTask } from "../../support/shard/copy-task.ts";
import { ShardWorld } from "../../support/shard/shard-world.ts";

const PARKED = 1_000_000;
const HOST = "h0";

test("with a million tasks parked for one target, ten for another go at once; waiting writes nothing", async () => {
  const world = new ShardWorld({ breaker: {} });
  const since = world.now;
  const isolated: Breaker = { state: "isolated", version: since + 1, since, reason: "moving" };
  world.onBreaker = () => isolated;
  await world.shard.submit({ queueVersion: 1, tasks: [] });
  await world.shard.breakerChanged(`https://${HOST}.example.com`, isolated, null);
  const { id } = await world.submit(world.taskTo(HOST));
  copyTask(world.storage.sql, { id, copies: PARKED - 1, targets: 1 });
  // All of them are due.
  world.now += PARKED;
  world.restart();
  await world.alarm();
  expect(world.handed).toEqual([]);

  let rowsGiven = 0;
  const { sql } = world.storage;
  const exec = sql.exec;
  sql.exec = (query, ...bindings) => {
    const cursor = exec(query, ...bindings);
    rowsGiven += cursor.toArray().length;
    return cursor;
  };
  await world.submitAll(Array.from({ length: 10 }, () => world.taskTo("other")));
  expect(world.handed.map(({ grant }) => grant.request.url)).toEqual(
    Array<string>(10).fill("https://other.example.com/"),
  );
  expect(rowsGiven).toBeLessThan(50);
  await world.serveRunners();

  const writes: string[] = [];
  world.onSql = (query) => {
    if (!/^\s*(SELECT|WITH)/.test(query)) writes.push(query);
  };
  const before = world.alarmsRun;
  await world.advance(10 * 60_000);
  expect(writes.filter((query) => /\btasks\b/.test(query))).toEqual([]);
  expect(world.alarmsRun - before).toBeLessThanOrEqual(40);
  const parked = await world.view(id);
  expect(parked).toMatchObject({ state: "pending", waiting_on: "breaker", attempt_count: 0 });
}, 120_000);
