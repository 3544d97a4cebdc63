import { describe, expect, test } from "vitest";
import { Places, sharedPlaces } from "../../../src/shard/bounds/places.ts";
import { ShardWorld } from "../../support/shard/shard-world.ts";

/** Shards of several queues in one process, which wake each other. */
function process(total: number, ...names: string[]) {
  const places = new Places(total);
  const worlds = new Map<string, ShardWorld>();
  const woken: string[] = [];
  for (const name of names) {
    const world = new ShardWorld(
      { concurrency: 100 },
      { name: `queue-${name.slice(0, 2)}` },
      { name, clock },
    );
    world.places = places;
    world.restart();
    world.onWake = async (other) => {
      woken.push(other);
      const shard = worlds.get(other);
      await shard?.shard.wake();
      await shard?.settled();
    };
    worlds.set(name, world);
  }
  const world = (name: string) => worlds.get(name) ?? expect.fail(`no shard ${name}`);
  return { places, woken, world };
}

const clock = { now: Date.parse("2026-11-23T10:00:00Z") };

async function submit(world: ShardWorld, count: number): Promise<string[]> {
  const tasks = Array.from({ length: count }, () => world.taskTo(world.name));
  await world.submitAll(tasks);
  return tasks.map(({ id }) => id);
}

describe("the places for calls of a process", () => {
  test("are all one queue's while no other waits, and those beyond wait and say so", async () => {
    const { world } = process(10, "q1-0");
    const a = world("q1-0");
    const ids = await submit(a, 12);
    expect(a.handed).toHaveLength(10);
    expect(await a.view(ids[11] ?? "")).toMatchObject({
      waiting_on: "capacity",
      attempt_count: 0,
      summary: "Due, and waiting for other calls of this server to end; no attempt is used.",
    });
    expect((await a.submit(a.task())).grant).toBeNull();
    await a.serveRunners();
    expect(await a.counts()).toMatchObject({ succeeded: 13 });
  });

  test("go to who waits as calls end, one queue after the other, and none gets more than its share", async () => {
    const { world, woken } = process(10, "q1-0", "q2-0", "q3-0");
    const [a, b, c] = ["q1-0", "q2-0", "q3-0"].map(world);
    if (a === undefined || b === undefined || c === undefined) return;
    await submit(a, 40);
    await submit(b, 20);
    await submit(c, 20);
    expect([a, b, c].map(({ handed }) => handed.length)).toEqual([10, 0, 0]);
    for (let i = 0; i < 7; i++) await a.settle(a.nextHanded());
    expect([a, b, c].map(({ handed }) => handed.length)).toEqual([3, 3, 3]);
    expect(new Set(woken)).toEqual(new Set(["q2-0", "q3-0"]));
    for (let i = 0; i < 200; i++)
      for (const one of [a, b, c]) if (one.handed.length > 0) await one.settle(one.nextHanded());
    for (const [one, count] of [
      [a, 40],
      [b, 20],
      [c, 20],
    ] as const)
      expect(await one.counts()).toMatchObject({ succeeded: count });
  });

  test("are given back by an object that is lost, as its leases lapse", async () => {
    const { world, places } = process(4, "q1-0", "q2-0");
    const [a, b] = [world("q1-0"), world("q2-0")];
    await submit(a, 4);
    await submit(b, 1);
    expect(b.handed).toEqual([]);
    a.restart();
    await a.shard.wake();
    expect(places.left("queue-q2")).toBe(0);
    await a.advance(60_000);
    expect(b.handed).toHaveLength(1);
  });

  test("wake nobody where the other is away: it looks by itself within half a minute", async () => {
    const { world } = process(2, "q1-0", "q2-0");
    const [a, b] = [world("q1-0"), world("q2-0")];
    a.onWake = async () => {
      throw new Error("Network connection lost.");
    };
    await submit(a, 2);
    await submit(b, 1);
    await a.serveRunners();
    expect(b.handed).toEqual([]);
    await b.advance(31_000);
    expect(b.handed).toHaveLength(1);
  });

  test("do not bound anything where the limit of open files is not known", () => {
    expect([undefined, "", "0", "many"].map(sharedPlaces)).toEqual([null, null, null, null]);
    expect(sharedPlaces("1024")?.total).toBe(116);
    expect(sharedPlaces("1024")).toBe(sharedPlaces("1024"));
  });
});
