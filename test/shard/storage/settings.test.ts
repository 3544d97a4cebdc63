import { describe, expect, test } from "vitest";
import type { QueueConfig } from "../../../src/protocol/queue-config.ts";
import { ShardWorld } from "../../support/shard/shard-world.ts";

describe("settings", () => {
  test("hold for waiting tasks too, but a task's own win field by field", async () => {
    const world = new ShardWorld();
    const own = { retry: { max_attempts: 2 } };
    const { id: plain } = await world.submit(world.taskTo("a", { delayMs: 1_000 }));
    const { id: special } = await world.submit(world.taskTo("a", { delayMs: 1_000, call: own }));
    await world.configure({}, { timeout: 7_000, retry: { max_attempts: 9, max_age: 3_600_000 } });
    await world.advance(1_000);
    expect(world.handed.map(({ grant }) => grant.request.timeoutMs)).toEqual([7_000, 7_000]);
    expect(await world.view(plain)).toMatchObject({ max_attempts: 9 });
    expect(await world.view(special)).toMatchObject({ max_attempts: 2 });
  });

  test("of before, or the same, change nothing", async () => {
    const world = new ShardWorld();
    await world.configure({ paused: true });
    const writes: string[] = [];
    world.onSql = (query) => {
      if (query.startsWith("UPDATE shard SET config")) writes.push(query);
    };
    await world.shard.configure({ ...world.config, version: 1, paused: false });
    await world.shard.configure({ ...world.config, paused: false });
    expect(world.shard.ctx.queue.paused).toBe(true);
    expect(writes).toEqual([]);
  });

  test("are pulled where a submit knows of newer ones", async () => {
    const world = new ShardWorld();
    await world.submit(world.task());
    world.config = { ...world.config, version: 5, paused: true };
    const [result] = await world.submitAll([world.task()]);
    expect(result).toMatchObject({ ok: true, task: { waiting_on: "paused" } });
  });

  test("stay as they are while the catalog is away", async () => {
    const world = new ShardWorld();
    await world.submit(world.task());
    world.onCatalog = () => {
      throw new Error("the catalog is away");
    };
    const [result] = await world.shard.submit({ queueVersion: 9, tasks: [world.task()] });
    expect(result).toMatchObject({ ok: true });
    expect(world.logged("settings.stale")).toHaveLength(1);
  });

  test("are asked for by the alarm, at most once a minute", async () => {
    const world = new ShardWorld();
    let asked = 0;
    world.onCatalog = () => {
      asked++;
      return world.config;
    };
    for (let i = 1; i <= 60; i++) await world.submit(world.taskTo("a", { delayMs: i * 3_000 }));
    asked = 0;
    await world.advance(180_000);
    expect(asked).toBeGreaterThanOrEqual(2);
    expect(asked).toBeLessThanOrEqual(4);
  });

  test("survive a loss of memory", async () => {
    const world = new ShardWorld();
    await world.configure({ paused: true });
    world.restart();
    expect(world.shard.ctx.own.config).toEqual(world.config);
  });

  test("of an older release get the defaults of what it did not know", async () => {
    const world = new ShardWorld();
    const { concurrency: _, retention: __, callback: ___, ...known } = world.config.settings;
    const { previousSecretUntil: ____, ...rest } = world.config;
    const old = { ...rest, settings: known } as unknown as QueueConfig;
    world.onCatalog = () => old;
    const first = await world.submitGranted();
    await world.settle(first);
    world.restart();
    expect(world.shard.ctx.slots.capacity).toBe(256);
    expect(world.shard.ctx.queue.settings.retention).toEqual(world.config.settings.retention);
    await world.submitGranted();
  });

  test("of a newer release may say what this one does not know, and it is kept", async () => {
    const world = new ShardWorld();
    const settings = { ...world.config.settings, mood: { of: "queue" } };
    world.onCatalog = () => ({ ...world.config, settings, colour: "red" }) as QueueConfig;
    await world.submitGranted();
    const [row] = world.rows("SELECT config FROM shard");
    expect(JSON.parse(String(row?.config))).toMatchObject({
      colour: "red",
      settings: { mood: { of: "queue" } },
    });
  });
});
