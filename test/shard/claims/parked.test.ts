import { describe, expect, test } from "vitest";
import { HOOK } from "../../support/shard/shard-messages.ts";
import { ShardWorld } from "../../support/shard/shard-world.ts";

const SHORT = { retry: { max_age: 90_000 } };

describe("a paused queue", () => {
  test("calls no target, and goes on where it stopped", async () => {
    const world = new ShardWorld();
    await world.configure({ paused: true });
    const { id } = await world.submit(world.taskTo("a"));
    await world.advance(600_000);
    expect(world.handed).toEqual([]);
    expect(await world.view(id)).toMatchObject({ state: "pending", waiting_on: "paused", attempt_count: 0 });
    await world.configure({ paused: false });
    expect(world.nextHanded()).toMatchObject({ id, number: 1 });
  });

  test("delivers callbacks, retries of deliveries included", async () => {
    const world = new ShardWorld();
    const attempt = await world.submitGranted({ call: { callback: HOOK } });
    await world.configure({ paused: true });
    const { callback } = await world.settle(attempt);
    if (callback === null) throw new Error("no callback grant");
    await world.settle(callback, { status: 500 });
    await world.advance(4_000);
    expect(world.nextHanded()).toMatchObject({ kind: "callback", number: 2 });
    await world.serveRunners();
    expect((await world.view(attempt.id)).callback).toMatchObject({ state: "delivered" });
  });

  test("takes results in, and retries when it goes on", async () => {
    const world = new ShardWorld();
    const attempt = await world.submitGranted();
    await world.configure({ paused: true });
    await world.settle(attempt, { status: 503 });
    await world.advance(60_000);
    expect(await world.view(attempt.id)).toMatchObject({ state: "retrying", waiting_on: "paused" });
    await world.configure({ paused: false });
    expect(world.nextHanded()).toMatchObject({ number: 2 });
  });

  test("wakes for its parked tasks no more than twice a minute", async () => {
    const world = new ShardWorld();
    await world.configure({ paused: true });
    await world.submitAll(Array.from({ length: 10 }, (_, i) => world.taskTo(`host-${i}`)));
    const before = world.alarmsRun;
    await world.advance(600_000);
    expect(world.alarmsRun - before).toBeLessThanOrEqual(20);
  });
});

describe("max_age of a parked task", () => {
  test("ends it within a minute while the queue is paused, and its callback goes out", async () => {
    const world = new ShardWorld();
    await world.configure({ paused: true });
    const { id } = await world.submit(world.taskTo("a", { call: { ...SHORT, callback: HOOK } }));
    await world.advance(89_999);
    expect(await world.view(id)).toMatchObject({ state: "pending" });
    await world.advance(60_000);
    expect(await world.view(id)).toMatchObject({ state: "failed", reason: "max_age", attempt_count: 0 });
    expect(world.nextHanded()).toMatchObject({ kind: "callback", id });
  });

  test("ends it within a minute while no slot is free", async () => {
    const world = new ShardWorld({ concurrency: 1 });
    await world.submit(world.taskTo("slow", { call: { timeoutMs: 600_000 } }));
    const { id } = await world.submit(world.taskTo("a", { call: SHORT }));
    await world.advance(150_000);
    expect(await world.view(id)).toMatchObject({ state: "failed", reason: "max_age" });
  });

  test("ends one within a minute that became due when no slot was free any more", async () => {
    const world = new ShardWorld({ concurrency: 1 });
    const { id } = await world.submit(world.taskTo("a", { delayMs: 20_000, call: SHORT }));
    await world.submit(world.taskTo("slow", { call: { timeoutMs: 600_000 } }));
    await world.advance(20_000 + 150_000);
    expect(await world.view(id)).toMatchObject({ state: "failed", reason: "max_age" });
  });

  test("ends it in time though the object loses its memory again and again", async () => {
    const world = new ShardWorld();
    await world.configure({ paused: true });
    const { id } = await world.submit(world.taskTo("a", { call: SHORT }));
    for (let waited = 0; waited < 150_000; waited += 15_000) {
      world.restart();
      await world.view(id);
      await world.advance(15_000);
    }
    expect(await world.view(id)).toMatchObject({ state: "failed", reason: "max_age" });
  });

  test("ends thousands within a minute", async () => {
    const world = new ShardWorld();
    await world.configure({ paused: true });
    await world.submitAll(Array.from({ length: 2_000 }, () => world.taskTo("a", { call: SHORT })));
    await world.advance(150_000);
    expect(await world.counts()).toMatchObject({ pending: 0, failed: 2_000 });
  });

  test("is not asked again and again of those that are final and wait to tell it", async () => {
    const world = new ShardWorld({ concurrency: 1 });
    await world.submit(world.taskTo("slow", { call: { timeoutMs: 600_000 } }));
    const call = { ...SHORT, callback: HOOK };
    await world.submitAll(Array.from({ length: 600 }, () => world.taskTo("a", { call })));
    await world.advance(150_000);
    expect(await world.counts()).toMatchObject({ failed: 600 });
    const before = world.alarmsRun;
    await world.advance(120_000);
    expect(world.alarmsRun - before).toBeLessThanOrEqual(4);
  });

  test("counts from the first due time, not from the submit", async () => {
    const world = new ShardWorld();
    const { id } = await world.submit(world.taskTo("a", { delayMs: 3_600_000, call: SHORT }));
    await world.advance(3_600_000);
    expect(world.nextHanded().id).toBe(id);
  });

  test("ends a task that is due too late instead of calling it", async () => {
    const world = new ShardWorld();
    const { id } = await world.submit(world.taskTo("a", { delayMs: 1_000, call: SHORT }));
    world.now += 200_000;
    await world.alarm();
    expect(world.handed).toEqual([]);
    expect(await world.view(id)).toMatchObject({ state: "failed", reason: "max_age" });
  });
});
