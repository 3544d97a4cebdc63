import { describe, expect, test } from "vitest";
import { API, RETRY } from "../../support/server/outage.ts";
import { BreakerHost } from "../../support/shard/breaker-host.ts";
import { HOOK } from "../../support/shard/shard-messages.ts";
import type { ShardWorld } from "../../support/shard/shard-world.ts";

const BAD = `${API}/bad`;

/** Shards, and an origin of which one path fails until it is mended. */
function oneIsBad(shards: number, settings: Parameters<BreakerHost["add"]>[1] = RETRY) {
  const host = new BreakerHost();
  const worlds = Array.from({ length: shards }, (_, i) => host.add(`q1-${i}`, settings, { shards }));
  const bad = { paths: ["/bad"], status: 500 };
  host.answer = ({ request }) => ({
    status: bad.paths.some((path) => new URL(request.url).pathname.startsWith(path)) ? bad.status : 200,
  });
  return { host, worlds, world: worlds[0] as ShardWorld, bad };
}

function submit(host: BreakerHost, world: ShardWorld, path: string, count = 1, call = {}) {
  const task = () => world.taskTo("api", { call: { url: API + path, ...call } });
  return host.submitTasks(world, Array.from({ length: count }, task));
}

/** Calls of both paths in all shards, one of each every 100 ms; returns the good ones. */
async function steady(host: BreakerHost, worlds: readonly ShardWorld[], forMs: number, badPath = "/bad") {
  const good: { world: ShardWorld; id: string }[] = [];
  for (const until = host.now + forMs; host.now < until; await host.run(100)) {
    for (const world of worlds) {
      for (const id of await submit(host, world, "/good")) good.push({ world, id });
      await submit(host, world, badPath);
    }
  }
  return good;
}

/** Numbers in [0, 1), the same for the same seed. */
function chance(seed: number): () => number {
  let state = seed * 7919;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
}

function splitsOf({ shard }: ShardWorld): string[] {
  return shard.ctx.targets.splitsOf(API).map(({ path }) => path);
}

function lines(worlds: readonly ShardWorld[], event: string) {
  return worlds.flatMap((world) => world.logged(event));
}

describe("a path that fails while others of its origin succeed", () => {
  test("is stopped by itself in every shard, and the others are called all along", async () => {
    const { host, worlds } = oneIsBad(4);
    const good = await steady(host, worlds, 10_000);
    await host.run(1_000);
    for (const { world, id } of good) expect(await world.view(id)).toMatchObject({ state: "succeeded" });
    expect(worlds.map(splitsOf)).toEqual([["/bad"], ["/bad"], ["/bad"], ["/bad"]]);
    expect(host.view(BAD)).toMatchObject({ state: "open", key: BAD });
    for (const { shard } of worlds) expect(shard.ctx.targets.get(API).local.breaker.state).toBe("closed");
    expect(host.pushes.filter(({ key, breaker }) => key === API && breaker.state !== "closed")).toEqual([]);
    const since = host.now;
    await steady(host, worlds, 4_000);
    // Probes alone.
    expect(
      host.calls.filter(({ grant, startedAt }) => grant.request.url === BAD && startedAt > since).length,
    ).toBeLessThan(4);
    expect(lines(worlds, "path.split")).toHaveLength(4);
    expect(lines(worlds, "path.split")[0]).toMatchObject({ target: BAD, path: "/bad" });
  });

  test.each([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])(
    "is stopped by itself where nothing was called before, and shards get both by chance (seed %i)",
    async (seed) => {
      const { host, worlds } = oneIsBad(4);
      const random = chance(seed);
      for (let round = 0; round < 60; round++) {
        for (const path of ["/bad", "/good"]) {
          await submit(host, worlds[Math.floor(random() * worlds.length)] as ShardWorld, path, 2);
        }
        await host.run(50);
      }
      expect(host.pushes.filter(({ key, breaker }) => key === API && breaker.state !== "closed")).toEqual([]);
      expect(worlds.map(splitsOf)).toEqual([["/bad"], ["/bad"], ["/bad"], ["/bad"]]);
    },
  );

  test("is split off by a shard that sees hardly any success itself, since others do", async () => {
    const { host, worlds } = oneIsBad(2);
    const [busy, lonely] = worlds as [ShardWorld, ShardWorld];
    await submit(host, busy, "/bad");
    for (let i = 0; i < 12; i++) {
      await submit(host, busy, "/good", 2);
      await submit(host, busy, "/bad");
      await submit(host, lonely, "/bad");
      await host.run(250);
    }
    expect(lonely.shard.ctx.targets.get(API).local.own.buckets.map(({ ok }) => ok)).toEqual([0]);
    expect(splitsOf(lonely)).toEqual(["/bad"]);
  });

  test("is stopped for the queue that saw it fail; another queue goes by what it sees itself", async () => {
    const { host, world } = oneIsBad(1);
    const other = host.add("q2-0", RETRY);
    await steady(host, [world], 5_000);
    expect(splitsOf(world)).toEqual(["/bad"]);
    await submit(host, other, "/good", 5);
    await submit(host, other, "/bad");
    await host.run(500);
    expect(splitsOf(other)).toEqual([]);
    expect(other.rows("SELECT DISTINCT target FROM tasks")).toEqual([{ target: API }]);
    await steady(host, [other], 5_000);
    expect(splitsOf(other)).toEqual(["/bad"]);
  });

  test("takes the tasks with it that wait, in slices, so that those behind them are called", async () => {
    const { host, world } = oneIsBad(1, { ...RETRY, concurrency: 4 });
    await submit(host, world, "/good", 3);
    await host.run(100);
    const mixed = Array.from({ length: 12 }, (_, i) => (i % 2 === 0 ? "/bad/x" : "/good"));
    await host.submitTasks(
      world,
      mixed.map((path) => world.taskTo("api", { call: { url: API + path } })),
    );
    await submit(host, world, "/bad/x", 1_500);
    const behind = await submit(host, world, "/good", 20);
    await host.run(2_000);
    for (const id of behind) expect(await world.view(id)).toMatchObject({ state: "succeeded" });
    const [waiting] = world.rows(
      `SELECT count(*) AS number FROM tasks WHERE target = '${BAD}' AND lane IS NOT NULL`,
    );
    expect(Number(waiting?.number)).toBeGreaterThan(1_450);
    expect(world.shard.ctx.targets.get(API).local.breaker.state).toBe("closed");
  });

  test("takes callbacks with it, those too that wait", async () => {
    const { host, world } = oneIsBad(1);
    const callback = (path: string) => ({
      url: "https://pay.example.com/",
      callback: { ...HOOK, url: API + path },
    });
    for (let i = 0; i < 30; i++) {
      await submit(host, world, "/", 1, callback("/good"));
      await submit(host, world, "/", 1, callback("/bad"));
      await host.run(100);
    }
    await host.run(5_000);
    expect(splitsOf(world)).toEqual(["/bad"]);
    await host.runUntil(
      () => world.rows(`SELECT id FROM tasks WHERE lane = '>${BAD}'`).length >= 25,
      120_000,
    );
    expect(host.view(BAD)).toMatchObject({ state: "open" });
    const [id = ""] = await submit(host, world, "/", 1, callback("/good"));
    await host.run(1_000);
    expect((await world.view(id)).callback).toMatchObject({ state: "delivered" });
    host.answer = () => ({});
    await host.run(300_000);
    expect(world.rows("SELECT id FROM tasks WHERE lane IS NOT NULL")).toEqual([]);
  });

  test("stays split off where its shard starts anew", async () => {
    const { host, world } = oneIsBad(1);
    await steady(host, [world], 5_000);
    world.restart();
    host.kill(world);
    expect(splitsOf(world)).toEqual(["/bad"]);
    const [id = ""] = await submit(host, world, "/bad/other");
    expect(await world.view(id)).toMatchObject({ target: BAD, waiting_on: "breaker" });
    const shown = (await world.shard.targets(10)).find(({ key }) => key === BAD);
    expect(shown).toMatchObject({
      split: { reason: expect.stringMatching(/^[5-9] calls in a row failed on this path while/) },
    });
  });

  test("goes by its origin again once it has been well for ten minutes", async () => {
    const { host, world, worlds, bad } = oneIsBad(1);
    await steady(host, worlds, 5_000);
    bad.status = 200;
    await host.runUntil(() => host.view(BAD).state === "closed", 120_000);
    for (let minute = 0; minute < 8; minute++) {
      await submit(host, world, "/bad", 2);
      await host.run(60_000);
    }
    expect(splitsOf(world)).toEqual(["/bad"]);
    for (let minute = 0; minute < 4; minute++) {
      await submit(host, world, "/good");
      await host.run(60_000);
    }
    expect(splitsOf(world)).toEqual([]);
    expect(lines(worlds, "path.merged")).toMatchObject([{ target: BAD, path: "/bad" }]);
    const [id = ""] = await submit(host, world, "/bad");
    await host.run(1_000);
    expect(await world.view(id)).toMatchObject({ state: "succeeded", target: API });
    world.restart();
    expect(splitsOf(world)).toEqual([]);
    expect(world.rows("SELECT key FROM targets")).toEqual([]);
  });

  test("goes by its origin again, whatever its breaker is, where nothing has waited for it for ten minutes", async () => {
    const { host, world } = oneIsBad(1, { retry: { max_attempts: 1 } });
    await steady(host, [world], 3_000);
    for (const { id } of world.rows(`SELECT id FROM tasks WHERE lane = '${BAD}'`))
      await world.operate(String(id), "cancel");
    expect(host.view(BAD)).toMatchObject({ state: "open" });
    await host.run(660_000);
    await submit(host, world, "/good");
    expect(splitsOf(world)).toEqual([]);
  });

  test("stays split off while an operator holds it", async () => {
    const { host, world, bad } = oneIsBad(1);
    await steady(host, [world], 3_000);
    bad.status = 200;
    await host.isolate(BAD);
    await host.run(3_600_000);
    expect(splitsOf(world)).toEqual(["/bad"]);
    const [id = ""] = await submit(host, world, "/bad");
    await host.run(60_000);
    expect(await world.view(id)).toMatchObject({ state: "pending", waiting_on: "breaker" });
    await host.reset(BAD);
    await host.run(1_800_000);
    expect(await world.view(id)).toMatchObject({ state: "succeeded" });
    expect(splitsOf(world)).toEqual([]);
  });

  test("is one of four at most, however many paths fail one after the other", async () => {
    const { host, world, bad } = oneIsBad(1);
    for (const path of ["/b1", "/b2", "/b3", "/b4", "/b5", "/b6"]) {
      bad.paths = [path];
      await steady(host, [world], 1_500, path);
    }
    expect(splitsOf(world)).toEqual(["/b1", "/b2", "/b3", "/b4"]);
    expect(Number(world.rows("SELECT count(DISTINCT target) AS number FROM tasks")[0]?.number)).toBe(5);
  });

  test("has what its calls under way say, though they were let go for the origin", async () => {
    const { host, world } = oneIsBad(1);
    await steady(host, [world], 300);
    const { answer } = host;
    host.answer = (grant, to) => ({
      ...answer(grant, to),
      durationMs: grant.request.url.endsWith("/bad/slow") ? 2_000 : 20,
    });
    await submit(host, world, "/bad/slow", 2);
    const good = await steady(host, [world], 1_500);
    expect(splitsOf(world)).toEqual(["/bad"]);
    const before = host.view(BAD).windows.failed;
    const atOrigin = world.shard.ctx.targets.get(API).local.own.reach.seq;
    await host.run(2_000);
    expect(host.view(BAD).windows.failed).toBeGreaterThan(before);
    expect(world.shard.ctx.targets.get(API).local.own.reach.seq - atOrigin).toBeLessThan(good.length);
  });

  test("is where a rekey takes a task back to", async () => {
    const { host, world } = oneIsBad(1);
    await steady(host, [world], 3_000);
    const task = world.taskTo("api", { target: "key:queue-1/mine", call: { url: `${BAD}/x` } });
    const [id = ""] = await host.submitTasks(world, [task]);
    await world.shard.rekeyTask(id, null);
    expect(await world.view(id)).toMatchObject({ target: BAD });
  });
});

describe("a path that fails", () => {
  test.each([
    ["where the queue does not want it", { breaker: { split: false } }],
    ["where the queue wants no breaker", { breaker: { enabled: false } }],
  ])("is not split off %s", async (_, settings) => {
    const { host, world } = oneIsBad(1, { ...RETRY, ...settings });
    await steady(host, [world], 5_000);
    expect(splitsOf(world)).toEqual([]);
    expect(world.rows("SELECT DISTINCT target FROM tasks")).toEqual([{ target: API }]);
  });

  test("is not split off a target that tasks name themselves", async () => {
    const { host, world } = oneIsBad(1);
    for (let i = 0; i < 30; i++) {
      const tasks = ["/good", "/bad"].map((path) =>
        world.taskTo("api", { target: "key:queue-1/mine", call: { url: API + path } }),
      );
      await host.submitTasks(world, tasks);
      await host.run(100);
    }
    expect(world.rows("SELECT DISTINCT target FROM tasks")).toEqual([{ target: "key:queue-1/mine" }]);
  });

  test("goes by its origin as soon as the queue does not want it to be split off any more", async () => {
    const { host, world } = oneIsBad(1);
    await steady(host, [world], 3_000);
    await world.configure({}, { breaker: { ...world.config.settings.breaker, split: false } });
    const [id = ""] = await submit(host, world, "/bad");
    expect(await world.view(id)).toMatchObject({ target: API });
    await host.run(60_000);
    await submit(host, world, "/good");
    expect(splitsOf(world)).toEqual([]);
  });

  test.each([true, false])(
    "with all others opens the origin's breaker as soon as ever (split: %s)",
    async (split) => {
      const { host, world, bad } = oneIsBad(1, { ...RETRY, breaker: { split } });
      bad.paths = [];
      await steady(host, [world], 2_000);
      bad.paths = ["/"];
      const tookMs = await host.runUntil(
        async () => {
          await submit(host, world, "/good");
          await submit(host, world, "/bad");
          return host.view(API).state === "open";
        },
        10_000,
        100,
      );
      expect(tookMs).toBeLessThanOrEqual(2_500);
      expect(splitsOf(world)).toEqual([]);
    },
  );
});
