import { describe, expect, test } from "vitest";
import { DAY_MS } from "../../src/schema/limits.ts";
import { ShardWorld } from "../support/shard/shard-world.ts";

describe("the alarm", () => {
  test("is armed for the earliest of what can act", async () => {
    const world = new ShardWorld();
    await world.submit(world.taskTo("a", { delayMs: 60_000 }));
    expect(world.alarmAt).toBe(world.now + 60_000);
    await world.submitGranted();
    expect(world.alarmAt).toBe(world.now + 30_000);
    await world.submit(world.taskTo("b", { delayMs: 5_000 }));
    expect(world.alarmAt).toBe(world.now + 5_000);
  });

  test("is not set again while it is early enough", async () => {
    const world = new ShardWorld();
    const grants = [];
    for (let i = 0; i < 20; i++) {
      grants.push(await world.submitGranted());
      world.now += 100;
    }
    for (const grant of grants) await world.settle(grant);
    await world.submit(world.taskTo("a", { delayMs: 600_000 }));
    await world.view(grants[0]?.id ?? "");
    expect(world.alarmsSet).toBe(1);
  });

  test("finds nothing to do where all has settled before, and is armed for what comes next", async () => {
    const world = new ShardWorld();
    await world.settle(await world.submitGranted());
    await world.submit(world.taskTo("a", { delayMs: 600_000 }));
    await world.advance(30_000);
    expect(world.alarmAt).toBe(world.now + 570_000);
    expect(world.alarmsSet).toBe(2);
  });

  test("is never set for now or before, even where work is overdue", async () => {
    const world = new ShardWorld({ concurrency: 1 });
    await world.submit(world.taskTo("a", { delayMs: 1_000 }));
    world.now += 3_600_000;
    world.restart();
    const set: number[] = [];
    world.onSetAlarm = () => set.push(world.now);
    world.onRun = () => 0;
    await world.alarm();
    expect(set.length).toBeGreaterThan(0);
    expect(world.alarmAt).toBeGreaterThan(world.now);
  });

  test("is set at most 7 days ahead", async () => {
    const world = new ShardWorld();
    const { id } = await world.submit(world.taskTo("a", { delayMs: 20 * DAY_MS }));
    expect(world.alarmAt).toBe(world.now + 7 * DAY_MS);
    const before = world.alarmsRun;
    await world.advance(20 * DAY_MS);
    expect(world.nextHanded().id).toBe(id);
    expect(world.alarmsRun - before).toBe(3);
  });

  test("that fails is armed again, and what was due is done", async () => {
    const world = new ShardWorld();
    const { id } = await world.submit(world.taskTo("a", { delayMs: 1_000 }));
    world.onSql = (query) => {
      if (query.startsWith("INSERT INTO flights")) throw new Error("storage is full");
    };
    await world.advance(1_000);
    expect(world.logged("alarm.failed")).toMatchObject([{ error: "Error: storage is full" }]);
    expect(world.alarmAt).toBe(world.now + 5_000);
    expect(world.handed).toEqual([]);
    world.onSql = () => undefined;
    await world.advance(5_000);
    expect(world.nextHanded()).toMatchObject({ id, number: 1 });
  });

  test("fails to the platform, which runs it again, where it cannot be armed", async () => {
    const world = new ShardWorld();
    await world.submit(world.taskTo("a", { delayMs: 1_000 }));
    world.onSetAlarm = () => {
      throw new Error("storage is away");
    };
    await expect(world.advance(1_000)).rejects.toThrow("storage is away");
  });

  test("lets errors out with which the platform ends the object", async () => {
    const world = new ShardWorld();
    await world.submit(world.taskTo("a", { delayMs: 1_000 }));
    world.onSql = (query) => {
      if (query.startsWith("UPDATE tasks"))
        throw new Error("Durable Object reset because its code was updated.");
    };
    await expect(world.advance(1_000)).rejects.toThrow("code was updated");
    expect(world.logged("alarm.failed")).toEqual([]);
  });

  test("is armed again where it should have run long ago", async () => {
    const world = new ShardWorld();
    await world.submit(world.taskTo("a", { delayMs: 1_000 }));
    world.alarmAt = null;
    world.now += 60_000;
    await world.submit(world.taskTo("b", { delayMs: 600_000 }));
    expect(world.alarmAt).toBeNull();
    world.now += 120_000;
    await world.submit(world.taskTo("b", { delayMs: 600_000 }));
    expect(world.alarmAt).not.toBeNull();
  });

  test("is not armed where nothing is left that can act", async () => {
    const world = new ShardWorld({ retention: { succeeded: "1h" } });
    await world.settle(await world.submitGranted());
    await world.advance(2 * 3_600_000);
    expect(world.rows("SELECT id FROM tasks")).toEqual([]);
    expect(world.alarmAt).toBeNull();
  });
});
