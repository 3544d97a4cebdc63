import { describe, expect, test } from "vitest";
import { copyTask } from "../../support/shard/copy-task.ts";
import { ShardWorld } from "../../support/shard/shard-world.ts";

const COPIES = 50_000;

/** A shard that has just started on its rows, with many tasks that wait. */
async function started(): Promise<{ world: ShardWorld; first: string }> {
  const world = new ShardWorld({ concurrency: 1_000, retention: { succeeded: "90d", failed: "90d" } });
  const first = (await world.submit(world.taskTo("a", { delayMs: 3_600_000 }))).id;
  copyTask(world.storage.sql, { id: first, copies: COPIES, targets: 10 });
  world.restart();
  return { world, first };
}

describe("counts by state", () => {
  test("are made of slices, so that a shard with many tasks goes on meanwhile", async () => {
    const { world } = await started();
    let longest = 0;
    const { sql } = world.storage;
    world.onSql = (query, bindings) => {
      if (query.includes("GROUP BY")) longest = Math.max(longest, Number(bindings.at(-1)));
    };
    const before = world.shard.group.commits;
    const stats = world.shard.stats();
    const submitted = world.submit(world.taskTo("b", { delayMs: 60_000 }));
    expect((await stats).counts).toMatchObject({ pending: COPIES + 2, succeeded: 0 });
    await submitted;
    expect(longest).toBeLessThanOrEqual(5_000);
    expect(world.shard.group.commits - before).toBeGreaterThanOrEqual(3);
    expect(sql.exec("SELECT count(*) AS n FROM tasks").toArray()[0]?.n).toBe(COPIES + 2);
  });

  test("take in what changes between two slices, on either side", async () => {
    const { world, first } = await started();
    const last = String(world.rows("SELECT max(id) AS id FROM tasks")[0]?.id);
    const stats = world.shard.stats();
    await world.operate(last, "cancel");
    await world.operate(first, "cancel");
    await world.settle(await world.submitGranted());
    const counted = await stats;
    const exact = async () => {
      const rows = world.rows("SELECT state, count(*) AS n FROM tasks GROUP BY state");
      return Object.fromEntries(rows.map(({ state, n }) => [String(state), n]));
    };
    expect((await world.shard.stats()).counts).toMatchObject(await exact());
    expect(counted.counts.pending + counted.counts.cancelled).toBe(COPIES + 1);
  });

  test("let a shard close only once all is counted", async () => {
    const { world } = await started();
    expect(await world.shard.close()).toBe(false);
    world.rows("DELETE FROM tasks WHERE id > ?", "");
    world.restart();
    expect(await world.shard.close()).toBe(true);
  });
});
