import { describe, expect, test } from "vitest";
import { HOOK } from "../../support/shard/shard-messages.ts";
import { ShardWorld } from "../../support/shard/shard-world.ts";

/** Hosts (or receivers) in the order in which runners got their grants. */
function handedHosts(world: ShardWorld): string[] {
  return world.handed.map(({ grant }) => new URL(grant.request.url).hostname.split(".")[0] ?? "");
}

describe("claims within a lane", () => {
  test("take the higher priority first, then what was due first", async () => {
    const world = new ShardWorld({ concurrency: 1 });
    const block = await world.submitGranted({ call: { url: "https://a.example.com/" } });
    const add = (priority: number, delayMs: number) =>
      world.submit(world.taskTo("a", { priority, delayMs })).then(({ id }) => id);
    const late = await add(5, 20);
    const early = await add(5, 10);
    const low = await add(0, 0);
    const high = await add(9, 30);
    await world.advance(50);
    const served: string[] = [];
    await world.settle(block);
    for (let i = 0; i < 4; i++) {
      const grant = world.nextHanded();
      served.push(grant.id);
      await world.settle(grant);
    }
    expect(served).toEqual([high, early, late, low]);
  });

  test("leave what is not due yet, whatever its priority", async () => {
    const world = new ShardWorld();
    const { id: soon } = await world.submit(world.taskTo("a", { priority: 9, delayMs: 1_000 }));
    const { id: now } = await world.submit(world.taskTo("a", { priority: 0 }));
    expect(world.handed.map(({ grant }) => grant.id)).toEqual([now]);
    await world.advance(1_000);
    expect(world.handed.map(({ grant }) => grant.id)).toEqual([now, soon]);
  });

  test("know since when a row of a lower priority is due where the higher one fills all slots", async () => {
    const world = new ShardWorld({ concurrency: 1, shards: 1 });
    const block = await world.submitGranted({ call: { url: "https://a.example.com/" } });
    await world.submit(world.taskTo("a", { priority: 0, delayMs: 10 }));
    await world.submit(world.taskTo("a", { priority: 9, delayMs: 20 }));
    await world.submit(world.taskTo("a", { priority: 9, delayMs: 30 }));
    const firstDueAt = world.now + 10;
    await world.advance(50);
    await world.settle(block);
    expect(world.shard.ctx.lanes.oldest(world.now, () => true)?.dueAt).toBe(firstDueAt);
  });

  test("reach a due row behind many that are not", async () => {
    const world = new ShardWorld({ concurrency: 2 });
    await world.submitAll(
      Array.from({ length: 20 }, () => world.taskTo("a", { priority: 9, delayMs: 60_000 })),
    );
    const { id } = await world.submit(world.taskTo("a", { priority: 1 }));
    expect(world.nextHanded().id).toBe(id);
  });
});

describe("claims over lanes", () => {
  test("take turns", async () => {
    const world = new ShardWorld({ concurrency: 6 });
    await world.configure({ paused: true });
    const hosts = ["a", "a", "a", "a", "b", "b", "c"];
    for (const host of hosts) await world.submit(world.taskTo(host));
    await world.configure({ paused: false });
    expect(handedHosts(world).sort()).toEqual(["a", "a", "a", "b", "b", "c"]);
  });

  test("give each lane a turn while only one slot is free", async () => {
    const world = new ShardWorld({ concurrency: 1 });
    await world.configure({ paused: true });
    for (const host of ["a", "a", "a", "b", "b", "c"]) await world.submit(world.taskTo(host));
    await world.configure({ paused: false });
    const order: string[] = [];
    while (world.handed.length > 0) {
      order.push(...handedHosts(world));
      await world.settle(world.nextHanded());
    }
    expect(order).toEqual(["a", "b", "c", "a", "b", "a"]);
  });

  test("let a lane hold at most half of the slots while another waits, and all while none does", async () => {
    const world = new ShardWorld({ concurrency: 8 });
    await world.submitAll(Array.from({ length: 10 }, () => world.taskTo("hung")));
    expect(world.handed).toHaveLength(8);
    await world.submitAll(Array.from({ length: 10 }, () => world.taskTo("other")));
    const hung = world.handed.filter(({ grant }) => grant.request.url.includes("hung"));
    for (const { grant } of hung.slice(0, 6)) await world.settle(grant);
    expect(handedHosts(world).filter((host) => host === "hung").length).toBe(4);
    expect(handedHosts(world).filter((host) => host === "other").length).toBe(4);
  });

  test("keep half for others where a target hangs from the start", async () => {
    const world = new ShardWorld({ concurrency: 4 });
    await world.configure({ paused: true });
    await world.submitAll([
      ...Array.from({ length: 50 }, () => world.taskTo("hung")),
      ...Array.from({ length: 3 }, () => world.taskTo("good")),
    ]);
    await world.configure({ paused: false });
    expect(handedHosts(world).sort()).toEqual(["good", "good", "hung", "hung"]);
    const good = world.handed.find(({ grant }) => grant.request.url.includes("good"))?.grant;
    if (good === undefined) throw new Error("no grant");
    await world.settle(good);
    expect(handedHosts(world).filter((host) => host === "good")).toHaveLength(2);
  });

  test("let receivers of callbacks that hang hold no more either", async () => {
    const world = new ShardWorld({ concurrency: 4 });
    await world.configure({ paused: true });
    await world.submitAll([
      ...Array.from({ length: 6 }, () => world.taskTo("a", { call: { callback: HOOK } })),
      ...Array.from({ length: 6 }, () => world.taskTo("b")),
    ]);
    await world.configure({ paused: false });
    for (let i = 0; i < 8; i++) {
      const attempt = world.handed.find(({ grant }) => grant.kind === "attempt")?.grant;
      if (attempt === undefined) break;
      const { callback } = await world.settle(attempt);
      if (callback !== null) world.handed.push({ runner: 0, grant: callback });
    }
    const hosts = handedHosts(world);
    expect(hosts.filter((host) => host === "me").length).toBe(2);
    expect(await world.shard.stats()).toMatchObject({ inFlight: 4 });
  });

  test("leave the odd slot free without running the alarm in a loop", async () => {
    const world = new ShardWorld({ concurrency: 3 });
    await world.configure({ paused: true });
    await world.submitAll(["a", "a", "a", "b", "b", "b"].map((host) => world.taskTo(host)));
    await world.configure({ paused: false });
    expect(handedHosts(world)).toEqual(["a", "b"]);
    const before = world.alarmsRun;
    await world.advance(5_000);
    expect(world.alarmsRun - before).toBe(0);
  });

  test("work off more lanes than one pass looks into", async () => {
    const world = new ShardWorld({ concurrency: 5_000 });
    await world.configure({ paused: true });
    await world.submitAll(Array.from({ length: 2_500 }, (_, i) => world.taskTo(`host-${i}`)));
    await world.configure({ paused: false });
    await world.advance(50);
    expect(world.handed).toHaveLength(2_500);
  });
});

describe("a row whose work fails for another reason than its form", () => {
  test("stands in nobody's way, and is tried again after 5 s", async () => {
    const world = new ShardWorld({ concurrency: 1 });
    await world.configure({ paused: true });
    const broken = world.taskTo("a", { priority: 9 });
    const good = world.taskTo("a");
    await world.submitAll([broken, good]);
    let fails = true;
    world.onSql = (query, bindings) => {
      if (fails && query.startsWith("UPDATE tasks SET state") && bindings.at(-1) === broken.id)
        throw new Error("this row is too big");
    };
    await world.configure({ paused: false });
    expect(world.nextHanded().id).toBe(good.id);
    expect(world.logged("row.failed")).toMatchObject([{ task: broken.id }]);
    await world.settle(world.nextHanded());
    await world.advance(4_000);
    expect(world.handed).toEqual([]);
    fails = false;
    await world.advance(1_000);
    expect(world.nextHanded().id).toBe(broken.id);
  });

  test("whose lapsed lease cannot be ended does not run the alarm in a loop", async () => {
    const world = new ShardWorld();
    const grant = await world.submitGranted();
    world.onSql = (query, bindings) => {
      if (query.startsWith("UPDATE tasks SET state") && bindings.at(-1) === grant.id)
        throw new Error("this row is too big");
    };
    await world.advance(30_000);
    const before = world.alarmsRun;
    await world.advance(20_000);
    expect(world.alarmsRun - before).toBe(4);
    world.onSql = () => undefined;
    await world.advance(5_000);
    expect(await world.view(grant.id)).toMatchObject({ state: "retrying" });
  });
});

describe("slots", () => {
  test("count edge-first attempts, runners' attempts and callbacks together", async () => {
    const world = new ShardWorld({ concurrency: 3 });
    const edge = await world.submitGranted({ call: { callback: HOOK } });
    await world.submit(world.taskTo("b"));
    await world.submit(world.taskTo("c"));
    const fourth = await world.submit(world.task());
    expect(fourth.grant).toBeNull();
    expect(world.handed).toHaveLength(2);
    const { callback } = await world.settle(edge);
    expect(callback).not.toBeNull();
    expect(world.handed).toHaveLength(2);
    if (callback !== null) await world.settle(callback);
    expect(world.handed.map(({ grant }) => grant.id)).toContain(fourth.id);
  });

  test("are a shard's share of its queue's concurrency", () => {
    const world = new ShardWorld({ concurrency: 10, shards: 4 });
    world.shard.ctx.own.found({ config: world.config, closed: false, watermark: "", stalledToldAt: 0 });
    expect(world.shard.ctx.slots.capacity).toBe(3);
  });

  test("follow new settings, and grants in flight beyond them go on", async () => {
    const world = new ShardWorld({ concurrency: 4 });
    await world.submitAll(Array.from({ length: 6 }, () => world.taskTo("a")));
    expect(world.handed).toHaveLength(4);
    await world.configure({}, { concurrency: 1 });
    await world.settle(world.nextHanded());
    await world.settle(world.nextHanded());
    expect(world.handed).toHaveLength(2);
    await world.configure({}, { concurrency: 6 });
    expect(world.handed).toHaveLength(4);
  });
});
