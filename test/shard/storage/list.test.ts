import { describe, expect, test } from "vitest";
import type { ListMessage } from "../../../src/protocol/shard-api.ts";
import { copyTask } from "../../support/shard/copy-task.ts";
import { ShardWorld } from "../../support/shard/shard-world.ts";

const ALL: ListMessage = {
  before: null,
  state: null,
  label: null,
  target: null,
  createdAfter: null,
  limit: 50,
};

/** A shard with so many tasks that wait, and one more. */
async function manyTasks(copies: number): Promise<ShardWorld> {
  const world = new ShardWorld({ concurrency: 1 });
  const { id } = await world.submit(world.taskTo("a", { delayMs: 1_000_000, call: { labels: ["eu"] } }));
  copyTask(world.storage.sql, { id, copies, targets: 1 });
  return world;
}

async function listed(world: ShardWorld, query: Partial<ListMessage> = {}): Promise<string[]> {
  return (await world.shard.list({ ...ALL, ...query })).tasks.map(({ id }) => id);
}

describe("list", () => {
  test("gives the newest first, page by page, each once", async () => {
    const world = new ShardWorld();
    const made: string[] = [];
    for (let i = 0; i < 25; i++) {
      made.push((await world.submit(world.taskTo("a"))).id);
      if (i % 3 === 0) world.now += 1;
    }
    const seen: string[] = [];
    for (let before: string | null = null; ; ) {
      const page = await world.shard.list({ ...ALL, before, limit: 10 });
      seen.push(...page.tasks.map(({ id }) => id));
      if (page.examinedTo === null) break;
      before = page.examinedTo;
    }
    expect(seen).toEqual(made.toReversed());
  });

  test("filters by state, target, label and time", async () => {
    const world = new ShardWorld();
    const { id: eu } = await world.submit(world.taskTo("a", { call: { labels: ["eu", "vip"] } }));
    const { id: us } = await world.submit(world.taskTo("b", { call: { labels: ["us"] } }));
    await world.serveRunners();
    world.now += 1_000;
    const { id: late } = await world.submit(world.taskTo("a", { delayMs: 60_000 }));
    expect(await listed(world, { state: "succeeded" })).toEqual([us, eu]);
    expect(await listed(world, { state: "pending" })).toEqual([late]);
    expect(await listed(world, { target: "https://a.example.com" })).toEqual([late, eu]);
    expect(await listed(world, { label: "vip" })).toEqual([eu]);
    expect(await listed(world, { label: "vi" })).toEqual([]);
    expect(await listed(world, { createdAfter: world.now })).toEqual([late]);
    expect(await listed(world, { target: "https://b.example.com", label: "us" })).toEqual([us]);
  });

  test("comes back short where too many rows do not match, and says how far it looked", async () => {
    const world = new ShardWorld();
    await world.configure({ paused: true });
    const { id: oldest } = await world.submit(world.taskTo("a", { call: { labels: ["rare"] } }));
    for (let i = 0; i < 2; i++) {
      await world.submitAll(Array.from({ length: 1_000 }, () => world.taskTo("a")));
    }
    const first = await world.shard.list({ ...ALL, label: "rare" });
    expect(first.tasks).toEqual([]);
    if (first.examinedTo === null) throw new Error("the end was not reached");
    const second = await world.shard.list({ ...ALL, label: "rare", before: first.examinedTo });
    expect(second).toMatchObject({ tasks: [{ id: oldest }], examinedTo: null });
  });

  test("says why each waits", async () => {
    const world = new ShardWorld({ concurrency: 1 });
    await world.submit(world.taskTo("a"));
    await world.submit(world.taskTo("b"));
    await world.submit(world.taskTo("c", { delayMs: 1_000 }));
    const { tasks } = await world.shard.list(ALL);
    expect(tasks.map(({ waiting_on }) => waiting_on)).toEqual(["schedule", "concurrency", null]);
  });
});

describe("stats", () => {
  test("counts states, callbacks that wait, and since when the oldest due task waits", async () => {
    const world = new ShardWorld({ concurrency: 1 });
    await world.submit(world.taskTo("a"));
    world.now += 500;
    await world.submit(world.taskTo("b"));
    world.now += 700;
    await world.submit(world.taskTo("c", { delayMs: 9_000 }));
    expect(await world.shard.stats()).toMatchObject({
      counts: { running: 1, pending: 2 },
      inFlight: 1,
      callbacksWaiting: 0,
      oldestDueAt: world.now - 700,
    });
  });

  test("counts the same after a loss of memory", async () => {
    const world = new ShardWorld();
    await world.settle(await world.submitGranted());
    await world.settle(await world.submitGranted(), { status: 400 });
    await world.submitGranted();
    const before = await world.counts();
    world.restart();
    expect(await world.counts()).toEqual(before);
    expect(before).toMatchObject({ succeeded: 1, failed: 1, running: 1 });
  });
});

describe("close", () => {
  test("waits for tasks and callbacks, then refuses submits until it is taken back", async () => {
    const world = new ShardWorld();
    const grant = await world.submitGranted();
    expect(await world.shard.close()).toBe(false);
    await world.settle(grant);
    expect(await world.shard.close()).toBe(true);
    world.restart();
    const [refused] = await world.submitAll([world.task()]);
    expect(refused).toMatchObject({ ok: false, code: "queue_not_found" });
    await world.shard.reopen();
    expect((await world.submit(world.task())).grant).not.toBeNull();
  });

  test("and destroy leave a shard that knows nothing", async () => {
    const world = new ShardWorld();
    const grant = await world.submitGranted();
    await world.settle(grant);
    await world.shard.close();
    await world.shard.destroy();
    world.onCatalog = () => null;
    world.onSql = () => {
      throw new Error("no such table: tasks");
    };
    expect(await world.shard.get(grant.id)).toMatchObject({ ok: false, code: "task_not_found" });
    expect(await world.settle(grant)).toMatchObject({ status: "stale" });
    expect(await world.shard.list(ALL)).toEqual({ tasks: [], examinedTo: null });
    await world.shard.alarm();
    expect(world.logged("alarm.failed")).toEqual([]);
  });
});

describe("what a page looks at", () => {
  test("is no more than 2,000 tasks, and the next page goes on there", async () => {
    const world = new ShardWorld({ concurrency: 1 });
    const { id } = await world.submit(world.taskTo("a", { delayMs: 1_000, call: { labels: ["eu"] } }));
    copyTask(world.storage.sql, { id, copies: 5_000, targets: 1 });
    let examined = 0;
    let pages = 0;
    for (let before: string | null = null; ; pages++) {
      const page = await world.shard.list({ ...ALL, before, label: "none" });
      expect(page.examined).toBeLessThanOrEqual(2_000);
      examined += page.examined ?? 0;
      if (page.examinedTo === null) break;
      before = page.examinedTo;
    }
    expect(examined).toBe(5_001);
    expect(pages).toBe(2);
  });

  test("is a slice at a time, and what is submitted meanwhile is done in between", async () => {
    const world = await manyTasks(1_000);
    const order: string[] = [];
    world.onWait = async () => {
      world.onWait = () => Promise.resolve();
      await world.shard.submit({ queueVersion: world.config.version, tasks: [world.taskTo("b")] });
      order.push("submitted");
    };
    const list = world.shard.list({ ...ALL, label: "none" }).then(() => order.push("listed"));
    await list;
    expect(order).toEqual(["submitted", "listed"]);
  });

  test("ends with the time that a page may take, and the next page goes on there", async () => {
    const world = await manyTasks(1_000);
    world.onWait = async (ms) => {
      // Others had their turns.
      world.now += ms + 48;
    };
    const first = await world.shard.list({ ...ALL, label: "none" });
    expect(first).toMatchObject({ tasks: [], examined: 600 });
    if (first.examinedTo === null) expect.fail("the end was not reached");
    const second = await world.shard.list({ ...ALL, label: "none", before: first.examinedTo });
    expect(second).toMatchObject({ tasks: [], examinedTo: null, examined: 401 });
  });

  test("is one slice where too many other lists of the process are under way, as long as they are", async () => {
    const world = await manyTasks(1_000);
    const ends = Array.from({ length: 60 }, () => world.lists.begin(world.now));
    expect((await world.shard.list({ ...ALL, label: "none" })).examined).toBe(200);
    for (const end of ends) end();
    expect((await world.shard.list({ ...ALL, label: "none" })).examined).toBe(1_001);
    // Those whose object is lost end by themselves.
    for (let i = 0; i < 60; i++) world.lists.begin(world.now);
    world.now += 5_000;
    expect((await world.shard.list({ ...ALL, label: "none" })).examined).toBe(1_001);
    expect(world.lists.count(world.now)).toBe(0);
  });

  test("counts only as far as the last task that it gives, and gives none twice", async () => {
    const world = await manyTasks(300);
    const page = await world.shard.list({ ...ALL, limit: 120 });
    expect(page.examined).toBe(120);
    expect(new Set(page.tasks.map(({ id }) => id)).size).toBe(120);
    expect(page.examinedTo).toBe(page.tasks.at(-1)?.id);
  });

  test("buries a row that cannot be read in a later slice, and goes on", async () => {
    const world = await manyTasks(300);
    const [row] = world.rows("SELECT id FROM tasks ORDER BY id LIMIT 1 OFFSET 20");
    world.storage.sql.exec("UPDATE tasks SET call = 'x' WHERE id = ?", String(row?.id));
    const { tasks } = await world.shard.list({ ...ALL, limit: 301 });
    expect(tasks).toHaveLength(301);
    expect(tasks.find(({ id }) => id === row?.id)).toMatchObject({ state: "failed", reason: "corrupt" });
  });

  test("has a label of any spelling found as it stands", async () => {
    const world = new ShardWorld();
    for (const label of ['a"b', "ä\u2028", "back\\slash", "%_"]) {
      const { id } = await world.submit(world.taskTo("a", { call: { labels: ["x", label] } }));
      expect(await listed(world, { label })).toEqual([id]);
    }
  });
});
