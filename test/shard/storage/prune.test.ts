import { describe, expect, test } from "vitest";
import { DAY_MS, HOUR_MS, MINUTE_MS } from "../../../src/schema/limits.ts";
import { HOOK } from "../../support/shard/shard-messages.ts";
import { ShardWorld } from "../../support/shard/shard-world.ts";

async function succeeded(world: ShardWorld, overrides = {}): Promise<string> {
  const grant = await world.submitGranted(overrides);
  await world.settle(grant, { body: "y".repeat(10_000) });
  return grant.id;
}

function ids(world: ShardWorld): string[] {
  return world.rows("SELECT id FROM tasks ORDER BY id").map(({ id }) => String(id));
}

/** True for the statement of a pass: the look for rows to write over asks for their bodies too. */
function isPass(query: string): boolean {
  return query.includes("lease_until FROM tasks WHERE id > ?");
}

describe("retention", () => {
  test("removes final tasks with their bodies, each state after its own time", async () => {
    const world = new ShardWorld({ retention: { succeeded: "1h", failed: "3h" } });
    const good = await succeeded(world, { call: { body: "x".repeat(10_000) } });
    const grant = await world.submitGranted();
    await world.settle(grant, { status: 400 });
    const { id: waiting } = await world.submit(world.taskTo("a", { delayMs: DAY_MS }));
    expect(world.rows("SELECT part FROM bodies WHERE id = ?", good)).toHaveLength(2);
    await world.advance(HOUR_MS - 1);
    expect(ids(world)).toContain(good);
    await world.advance(10 * MINUTE_MS);
    expect(ids(world)).toEqual([grant.id, waiting]);
    expect(world.rows("SELECT * FROM bodies")).toEqual([]);
    await world.advance(2 * HOUR_MS);
    expect(ids(world)).toEqual([waiting]);
    expect(await world.counts()).toMatchObject({ succeeded: 0, failed: 0, pending: 1 });
  });

  test("removes many in slices of one commit each, and keeps what is not over", async () => {
    const world = new ShardWorld({ retention: { succeeded: "1h" }, concurrency: 2_000 });
    await world.submitAll(Array.from({ length: 1_300 }, () => world.taskTo("a")));
    await world.serveRunners();
    await world.advance(30 * MINUTE_MS);
    const young = await succeeded(world);
    world.now += 30 * MINUTE_MS;
    const before = world.shard.group.commits;
    await world.alarm();
    expect(world.shard.group.commits - before).toBeGreaterThanOrEqual(3);
    expect(ids(world)).toEqual([young]);
    expect(await world.counts()).toMatchObject({ succeeded: 1 });
  });

  test("keeps a task while its callback is on its way", async () => {
    const world = new ShardWorld({ retention: { succeeded: "1s" } });
    const attempt = await world.submitGranted({ call: { callback: HOOK } });
    const { callback } = await world.settle(attempt);
    if (callback === null) throw new Error("no callback grant");
    await world.settle(callback, { status: 500 });
    await world.advance(2_000);
    expect(ids(world)).toEqual([attempt.id]);
    await world.advance(3_000);
    await world.serveRunners();
    await world.advance(10 * MINUTE_MS);
    expect(ids(world)).toEqual([]);
  });

  test("holds over losses of memory, with no wake in between", async () => {
    const world = new ShardWorld({ retention: { succeeded: "5h" } });
    const id = await succeeded(world);
    const before = world.alarmsRun;
    while (ids(world).includes(id) && world.alarmAt !== null) {
      world.restart();
      await world.advance(world.alarmAt - world.now);
    }
    expect(ids(world)).toEqual([]);
    // The edge lease's lapse, and the pass itself.
    expect(world.alarmsRun - before).toBeLessThanOrEqual(2);
    expect(world.alarmAt).toBeNull();
  });

  test("does not wait for what ends later, where an older task has to go later", async () => {
    const world = new ShardWorld({ retention: { succeeded: "1h", failed: "30d" } });
    await world.settle(await world.submitGranted(), { status: 400 });
    await succeeded(world);
    await world.advance(2 * HOUR_MS);
    const id = await succeeded(world);
    world.restart();
    await world.advance(HOUR_MS + 10 * MINUTE_MS);
    expect(ids(world)).not.toContain(id);
  });

  test("is not forgotten for what ends while a pass is under way", async () => {
    const world = new ShardWorld({ retention: { succeeded: "1h" }, concurrency: 2_000 });
    const early = await world.submitGranted({ call: { timeoutMs: 20_000 } });
    await world.submitAll(Array.from({ length: 600 }, () => world.taskTo("a")));
    for (const { grant } of [...world.handed]) await world.settle(grant);
    // The first task's attempt outlives the lease by far, since no alarm runs; it ends between two slices.
    world.now += HOUR_MS;
    const pass = world.alarm();
    await world.settle(early);
    await pass;
    await world.advance(2 * HOUR_MS);
    expect(ids(world)).toEqual([]);
  });

  test("follows settings that shorten it", async () => {
    const world = new ShardWorld({ retention: { succeeded: "7d" } });
    const id = await succeeded(world);
    await world.configure({}, { retention: { succeeded: 1_000, failed: 1_000 } });
    await world.advance(2 * MINUTE_MS);
    expect(ids(world)).not.toContain(id);
  });

  test("does not read rows that are too young for any retention to be over", async () => {
    const world = new ShardWorld({ retention: { succeeded: "2h", failed: "3h" }, concurrency: 2_000 });
    const old = await succeeded(world);
    await world.advance(HOUR_MS);
    await world.submitAll(Array.from({ length: 1_100 }, () => world.taskTo("a")));
    await world.serveRunners();
    let slices = 0;
    world.onSql = (query) => {
      if (isPass(query)) slices++;
    };
    await world.advance(HOUR_MS + 10 * MINUTE_MS);
    expect(ids(world)).not.toContain(old);
    expect(ids(world)).toHaveLength(1_100);
    expect(slices).toBe(1);
    await world.advance(HOUR_MS);
    expect(ids(world)).toEqual([]);
  });

  test("begins passes no oftener than once in a hundredth of the shortest retention", async () => {
    const world = new ShardWorld({ retention: { succeeded: "10d", failed: "90d" } });
    for (let i = 0; i < 48; i++) {
      await succeeded(world);
      await world.advance(30 * MINUTE_MS);
    }
    let passes = 0;
    world.onSql = (query) => {
      if (isPass(query)) passes++;
    };
    await world.advance(10 * DAY_MS);
    expect(ids(world)).toEqual([]);
    expect(passes).toBeGreaterThan(5);
    expect(passes).toBeLessThanOrEqual(11);
  });

  test("reads all rows at most once in ten minutes", async () => {
    const world = new ShardWorld({ retention: { succeeded: 0 } });
    let slices = 0;
    world.onSql = (query) => {
      if (isPass(query)) slices++;
    };
    for (let i = 0; i < 20; i++) {
      await succeeded(world);
      await world.advance(MINUTE_MS);
    }
    expect(slices).toBeLessThanOrEqual(3);
    expect(ids(world).length).toBeLessThan(12);
  });

  test("goes on a minute after a pass that broke off", async () => {
    const world = new ShardWorld({ retention: { succeeded: "1h" } });
    const id = await succeeded(world);
    let fails = true;
    world.onSql = (query) => {
      if (fails && query.startsWith("DELETE FROM tasks")) throw new Error("storage is away");
    };
    await world.advance(HOUR_MS);
    expect(ids(world)).toEqual([id]);
    expect(world.logged("alarm.failed")).toHaveLength(1);
    fails = false;
    await world.advance(2 * MINUTE_MS);
    expect(ids(world)).toEqual([]);
  });
});
