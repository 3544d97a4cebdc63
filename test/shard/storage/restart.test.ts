import { describe, expect, test } from "vitest";
import { taskIdFloor } from "../../../src/core/task/task-id.ts";
import { migrate } from "../../../src/platform/migrate.ts";
import { buildNewTask, HOOK } from "../../support/shard/shard-messages.ts";
import { SHARD_MIGRATIONS, ShardWorld } from "../../support/shard/shard-world.ts";
import { memorySql } from "../../support/shard/sqlite.ts";

function flightRows(world: ShardWorld): string[][] {
  return world
    .rows("SELECT ids FROM flights ORDER BY seq")
    .map(({ ids }) => JSON.parse(String(ids)) as string[]);
}

describe("leases in flight when the object stops", () => {
  test("lapse on time, edge-first ones and runners' alike", async () => {
    const world = new ShardWorld();
    const edge = await world.submitGranted({ call: { timeoutMs: 1_000 } });
    const { id: run } = await world.submit(world.taskTo("a", { call: { timeoutMs: 5_000 } }));
    world.restart();
    await world.view(edge.id);
    await world.advance(10_999);
    expect(await world.counts()).toMatchObject({ running: 2 });
    await world.advance(1);
    expect(await world.view(edge.id)).toMatchObject({ state: "retrying" });
    expect(await world.view(run)).toMatchObject({ state: "running" });
    await world.advance(4_000);
    expect((await world.view(run)).attempts[0]).toMatchObject({ error_type: "interrupted" });
  });

  test("lapse by the alarm alone, with nobody asking", async () => {
    const world = new ShardWorld();
    const { id } = await world.submitGranted();
    world.restart();
    await world.advance(32_000);
    expect(world.nextHanded()).toMatchObject({ id, number: 2, lease: 2 });
  });

  test("hold their slots", async () => {
    const world = new ShardWorld({ concurrency: 2 });
    await world.submitGranted();
    await world.submit(world.taskTo("a"));
    world.restart();
    expect((await world.submit(world.task())).grant).toBeNull();
    expect(await world.shard.stats()).toMatchObject({ inFlight: 2 });
  });

  test("are settled as if nothing had happened", async () => {
    const world = new ShardWorld();
    const edge = await world.submitGranted({ call: { callback: HOOK } });
    await world.submit(world.taskTo("a", { call: { callback: HOOK } }));
    world.restart();
    for (const grant of [edge, world.nextHanded()]) {
      const { callback } = await world.settle(grant);
      world.restart();
      if (callback === null) throw new Error("no callback grant");
      expect(await world.settle(callback)).toMatchObject({ status: "accepted" });
    }
    world.restart();
    expect(await world.shard.stats()).toMatchObject({ inFlight: 0, counts: { succeeded: 2 } });
    expect(flightRows(world)).toEqual([]);
  });
});

describe("tasks that wait when the object stops", () => {
  test("are called when they are due", async () => {
    const world = new ShardWorld();
    const { id } = await world.submit(world.taskTo("a", { delayMs: 60_000 }));
    const { id: other } = await world.submit(world.taskTo("b", { delayMs: 90_000 }));
    world.restart();
    await world.advance(60_000);
    expect(world.handed.map(({ grant }) => grant.id)).toEqual([id]);
    world.restart();
    await world.advance(30_000);
    expect(world.handed.map(({ grant }) => grant.id)).toEqual([id, other]);
  });

  test("of many lanes are all found", async () => {
    const world = new ShardWorld();
    await world.configure({ paused: true });
    await world.submitAll(Array.from({ length: 60 }, (_, i) => world.taskTo(`host-${i}`)));
    world.restart();
    await world.configure({ paused: false });
    expect(world.handed).toHaveLength(60);
  });
});

describe("the flights table", () => {
  test("has a row for each commit that handed grants over, until its last id has settled", async () => {
    const world = new ShardWorld();
    await world.submitAll([world.taskTo("a"), world.taskTo("a")]);
    await world.submit(world.taskTo("b"));
    const [one, two, three] = world.handed.map(({ grant }) => grant);
    if (one === undefined || two === undefined || three === undefined) throw new Error("no grants");
    expect(flightRows(world)).toEqual([[one.id, two.id], [three.id]]);
    await world.settle(one);
    await world.settle(three);
    expect(flightRows(world)).toEqual([[one.id, two.id]]);
    await world.settle(two);
    expect(flightRows(world)).toEqual([]);
  });

  test("keeps the row of an attempt for the callback that follows it", async () => {
    const world = new ShardWorld();
    await world.submit(world.taskTo("a", { call: { callback: HOOK } }));
    const { callback } = await world.settle(world.nextHanded());
    expect(flightRows(world)).toHaveLength(1);
    if (callback !== null) await world.settle(callback);
    expect(flightRows(world)).toEqual([]);
  });

  test("loses no row to an older one that names the same task", async () => {
    // Long leases are listed, later ones too.
    const world = new ShardWorld({ timeout: "2m" });
    const [a, b] = [world.taskTo("a"), world.taskTo("a")];
    await world.submitAll([a, b]);
    const first = world.handed.find(({ grant }) => grant.id === b.id)?.grant;
    if (first === undefined) throw new Error("no grant");
    await world.settle(first, { status: 503 });
    await world.advance(1_000);
    expect(flightRows(world)).toEqual([[a.id, b.id], [b.id]]);
    world.restart();
    const again = world.handed.find(({ grant }) => grant.id === b.id)?.grant;
    if (again === undefined) throw new Error("no grant");
    await world.settle(again);
    const { id } = again;
    expect(await world.view(id)).toMatchObject({ state: "succeeded" });
    expect(flightRows(world)).toEqual([[a.id, b.id]]);
  });

  test("lists no later lease of a young task, which is found again all the same", async () => {
    const world = new ShardWorld();
    const { id } = await world.submit(world.taskTo("a", { delayMs: 1 }));
    await world.advance(1);
    await world.settle(world.nextHanded(), { status: 503 });
    await world.advance(1_000);
    expect(flightRows(world)).toEqual([]);
    world.restart();
    expect(await world.shard.stats()).toMatchObject({ inFlight: 1 });
    await world.advance(30_000);
    expect((await world.view(id)).attempts.at(-1)).toMatchObject({ error_type: "interrupted" });
  });

  test("lists later leases of a task below the watermark", async () => {
    const world = new ShardWorld({
      retry: { backoff: { strategy: "fixed", initial_interval: "5m", jitter: "none", max_interval: "5m" } },
    });
    const grant = await world.submitGranted();
    await world.settle(grant, { status: 503 });
    await world.advance(150_000);
    await world.submitGranted();
    await world.advance(150_000);
    expect(world.nextHanded()).toMatchObject({ id: grant.id, lease: 2 });
    expect(flightRows(world).flat()).toContain(grant.id);
    world.restart();
    await world.advance(30_000);
    expect((await world.view(grant.id)).attempts.at(-1)).toMatchObject({ error_type: "interrupted" });
  });

  test("has rows dropped at the start whose ids have all ended", async () => {
    const world = new ShardWorld();
    await world.submit(world.taskTo("a"));
    const { id } = world.nextHanded();
    world.rows("UPDATE tasks SET lease_until = NULL, lane = target, state = 'pending' WHERE id = ?", id);
    world.restart();
    expect(flightRows(world)).toEqual([]);
  });

  test("that cannot be read costs no lease", async () => {
    const world = new ShardWorld();
    await world.submit(world.taskTo("a", { delayMs: 600_000 }));
    await world.advance(600_000);
    const { id } = world.nextHanded();
    expect(id < world.shard.ctx.own.watermark).toBe(true);
    world.rows("UPDATE flights SET ids = ? WHERE 1", '["tsk_');
    world.restart();
    expect(await world.shard.stats()).toMatchObject({ inFlight: 1 });
    expect(flightRows(world)).toEqual([[id]]);
    await world.advance(32_000);
    expect(world.handed.at(-1)?.grant).toMatchObject({ id, lease: 2 });
    expect(world.logged("flights.poisoned")).toMatchObject([{ lost: 1 }]);
  });
});

describe("the watermark", () => {
  test("follows a minute behind the clock", async () => {
    const world = new ShardWorld();
    await world.submit(world.taskTo("a", { delayMs: 300_000 }));
    await world.advance(300_000);
    expect(world.shard.ctx.own.watermark).toBe(taskIdFloor(world.now - 60_000));
    expect(world.rows("SELECT watermark FROM shard")).toEqual([{ watermark: world.shard.ctx.own.watermark }]);
  });

  test("stays below the oldest edge-first lease", async () => {
    const world = new ShardWorld();
    // Its id was made long before it came, by a clock that is behind or by a client that tried for long.
    const { id, grant } = await world.submit(buildNewTask(world.now - 50_000));
    expect(grant).not.toBeNull();
    await world.submit(world.taskTo("a", { delayMs: 20_000 }));
    await world.advance(20_000);
    expect(world.shard.ctx.own.watermark).toBe(id);
    world.restart();
    expect([...world.shard.ctx.flights.all()].map((flight) => flight.id)).toContain(id);
  });

  test("is not written at every alarm", async () => {
    const world = new ShardWorld();
    let writes = 0;
    world.onSql = (query) => {
      if (query.includes("SET watermark")) writes++;
    };
    for (let i = 1; i <= 300; i++) await world.submit(world.taskTo("a", { delayMs: i * 1_000 }));
    await world.advance(300_000);
    expect(world.alarmsRun).toBeGreaterThanOrEqual(300);
    expect(writes).toBeLessThanOrEqual(10);
  });
});

describe("migrations", () => {
  test("bring an empty database to the newest schema, once", () => {
    const { sql, transaction } = memorySql();
    migrate(sql, (run) => transaction(run), SHARD_MIGRATIONS.slice(0, 1), 1);
    migrate(sql, (run) => transaction(run), SHARD_MIGRATIONS, 2);
    migrate(sql, (run) => transaction(run), SHARD_MIGRATIONS, 3);
    expect(sql.exec("SELECT * FROM _migrations ORDER BY name").toArray()).toEqual([
      { name: "0001_init", applied_at: 1 },
      { name: "0002_targets", applied_at: 2 },
      { name: "0003_polls", applied_at: 2 },
      { name: "0004_held_from", applied_at: 2 },
      { name: "0005_heavy", applied_at: 2 },
      { name: "0006_splits", applied_at: 2 },
    ]);
    expect(sql.exec("SELECT id, watermark, closed FROM shard").toArray()).toEqual([
      { id: 1, watermark: "", closed: 0 },
    ]);
  });

  test("leave what is stored as it is at each further start", async () => {
    const world = new ShardWorld();
    const { id } = await world.submitGranted();
    for (let i = 0; i < 3; i++) world.restart();
    expect(await world.view(id)).toMatchObject({ state: "running" });
  });

  test("apply what is new to a database of before, and its rows stay readable", async () => {
    const world = new ShardWorld();
    const { id } = await world.submitGranted();
    const { sql, transaction } = world.storage;
    const next = { name: "9999_note", sql: "ALTER TABLE tasks ADD COLUMN note TEXT" };
    migrate(sql, (run) => transaction(run), [...SHARD_MIGRATIONS, next], world.now);
    // The release before goes on with the newer schema.
    world.restart();
    expect(await world.view(id)).toMatchObject({ state: "running" });
    expect((await world.submit(world.task())).grant).not.toBeNull();
  });
});
