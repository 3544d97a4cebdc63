import { describe, expect, test } from "vitest";
import { AGED_EVERY } from "../../../src/core/pressure/ageing.ts";
import { ShardWorld } from "../../support/shard/shard-world.ts";

/** Serves grant after grant, two of priority 9 coming in with each, and tells after how many `id` has its turn. */
async function grantsUntil(world: ShardWorld, id: string, most: number): Promise<number> {
  for (let grants = 1; grants <= most; grants++) {
    const grant = world.nextHanded();
    if (grant.id === id) return grants;
    await world.submitAll([1, 2].map(() => world.taskTo("a", { priority: 9 })));
    world.now += 10;
    await world.settle(grant);
  }
  return Number.POSITIVE_INFINITY;
}

/** A shard with one slot, taken, and tasks of these priorities that wait, in this order; their ids. */
async function shardWith(...priorities: number[]): Promise<{ world: ShardWorld; ids: string[] }> {
  const world = new ShardWorld({ concurrency: 1 });
  const ids: string[] = [];
  await world.submit(world.taskTo("a", { priority: 9 }));
  for (const priority of priorities) {
    world.now += 10;
    ids.push((await world.submit(world.taskTo("a", { priority }))).id);
  }
  return { world, ids };
}

describe("a task of priority 0 behind ever more of priority 9", () => {
  test("has its turn within eight grants of its lane", async () => {
    const { world, ids } = await shardWith(0);
    expect(await grantsUntil(world, ids[0] ?? "", 100)).toBeLessThanOrEqual(AGED_EVERY + 1);
  });

  test("has its turn within eight times its place by due time", async () => {
    const { world, ids } = await shardWith(0, 1, 0, 3, 0);
    expect(await grantsUntil(world, ids[4] ?? "", 100)).toBeLessThanOrEqual(5 * AGED_EVERY + 1);
  });

  test("lets at least seven of eight go before it by priority", async () => {
    const { world, ids } = await shardWith(0);
    expect(await grantsUntil(world, ids[0] ?? "", 100)).toBeGreaterThanOrEqual(AGED_EVERY);
  });

  test("has its turn though the shard starts anew before each grant", async () => {
    const { world, ids } = await shardWith(0);
    for (let grants = 0; grants < AGED_EVERY && world.nextHanded().id !== ids[0]; grants++) {
      // Each of the eight places to begin at, in turn.
      world.random = () => grants / AGED_EVERY;
      await world.submitAll([1, 2].map(() => world.taskTo("a", { priority: 9 })));
      const grant = world.nextHanded();
      world.restart();
      await world.settle(grant);
    }
    expect(world.nextHanded().id).toBe(ids[0]);
  });

  test("has its turn where many slots come free at once", async () => {
    const world = new ShardWorld({ concurrency: 16 });
    await world.configure({ paused: true });
    const { id } = await world.submit(world.taskTo("a", { priority: 0 }));
    world.now += 10;
    await world.submitAll(Array.from({ length: 40 }, () => world.taskTo("a", { priority: 9 })));
    await world.configure({ paused: false });
    expect(world.handed.map(({ grant }) => grant.id)).toContain(id);
  });
});

describe("a slot that comes free", () => {
  test("is for what has waited for it, not for a submit of the same moment to another target", async () => {
    const world = new ShardWorld({ concurrency: 1 });
    const block = await world.submitGranted({ call: { url: "https://a.example.com/" } });
    const { id } = await world.submit(world.taskTo("b"));
    const [, late] = await Promise.all([world.settle(block), world.submit(world.task())]);
    expect(late.grant).toBeNull();
    expect(world.handed.map(({ grant }) => grant.id)).toEqual([id]);
  });

  test("goes to the highest priority of a batch, wherever it stands", async () => {
    const world = new ShardWorld({ concurrency: 2 });
    const tasks = [0, 2, 9, 1, 4].map((priority) => world.task({ priority }));
    const results = await world.submitAll(tasks);
    const granted = results.map((result) => result.ok && result.grant !== null);
    expect(granted).toEqual([false, false, true, false, true]);
    expect(results.map((result) => result.ok && result.task.id)).toEqual(tasks.map(({ id }) => id));
  });
});
