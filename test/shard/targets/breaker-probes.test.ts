import { describe, expect, test } from "vitest";
import { API, mostAtOnce, outage, RETRY, states, TRUSTED } from "../../support/server/outage.ts";
import { BreakerHost } from "../../support/shard/breaker-host.ts";

describe("probes", () => {
  test("are attempts of the parked tasks that have used the fewest, one task after the other", async () => {
    const { host, world, failed } = await outage();
    const fresh = await host.submit(world, "api", 3);
    await host.run(200_000);
    const probes = host.calls.slice(5);
    expect(probes.length).toBeGreaterThanOrEqual(3);
    expect(new Set(probes.slice(0, 3).map(({ grant }) => grant.id))).toEqual(new Set(fresh));
    for (const probe of probes.slice(3)) expect([...failed, ...fresh]).toContain(probe.grant.id);
    // Nobody has used two attempts more than anybody else, so nobody dies of probing.
    const used = await Promise.all(
      [...failed, ...fresh].map(async (id) => (await world.view(id)).attempt_count),
    );
    expect(Math.max(...used) - Math.min(...used)).toBeLessThanOrEqual(1);
  });

  test("open the breaker for longer where they fail: 10 s, 20 s, 40 s, then 60 s, half of it by chance", async () => {
    const { host, world } = await outage();
    await host.submit(world, "api", 60);
    await host.run(300_000);
    const at = host.calls.slice(4).map(({ startedAt }) => startedAt);
    const gaps = at.slice(1).map((time, i) => Math.round((time - (at[i] ?? 0)) / 1_000));
    expect(gaps.slice(0, 5)).toEqual([8, 15, 30, 45, 45]);
  });

  test("close it after three successes, whoever made them", async () => {
    const { host, world } = await outage();
    await host.submit(world, "api", 20);
    host.down.clear();
    await host.runUntil(() => host.view(API).state === "closed", 20_000, 10);
    const probes = host.calls.slice(5).filter(({ isProbe }) => isProbe);
    expect(probes).toHaveLength(3);
    expect(new Set(probes.map(({ grant }) => grant.id)).size).toBe(3);
    expect(mostAtOnce(probes)).toBe(1);
  });

  test("come one at a time over two queues and eight shards", async () => {
    const host = new BreakerHost();
    const worlds = ["q1", "q2"].flatMap((queue) =>
      [0, 1, 2, 3].map((shard) => host.add(`${queue}-${shard}`, { ...TRUSTED, shards: 4 })),
    );
    host.down.add(API);
    host.latencyMs = 1_500;
    for (const world of worlds) await host.submit(world, "api", 2);
    await host.run(3_000);
    await host.runUntil(() => host.view(API).state === "open", 30_000);
    await host.run(3_000);
    for (const world of worlds) await host.submit(world, "api", 20);
    const since = host.now;
    await host.run(300_000);
    const probes = host.callsTo(API, since);
    expect(probes.length).toBeGreaterThan(4);
    expect(probes.length).toBeLessThan(16);
    expect(mostAtOnce(probes)).toBe(1);
    expect(new Set(probes.map(({ shard }) => shard)).size).toBeGreaterThan(4);
    host.down.clear();
    const total = 8 * 22;
    await host.runUntil(async () => {
      const all = await Promise.all(worlds.map(states));
      return all.reduce((sum, { succeeded = 0 }) => sum + succeeded, 0) === total;
    }, 240_000);
  });

  test("go to a task of another shard where the one that had the probe is gone", async () => {
    const { host, world } = await outage();
    const other = host.add("q2-0", RETRY);
    await host.submit(other, "api", 5);
    await host.run(1_000);
    host.calls.length = 0;
    // The first prober's runner dies with its call.
    host.latencyMs = 20;
    await host.runUntil(() => host.callsTo(API).length > 0, 30_000, 10);
    const first = host.callsTo(API)[0];
    host.kill(first?.shard === world.name ? world : other);
    await host.run(60_000);
    expect(new Set(host.callsTo(API).map(({ shard }) => shard)).size).toBe(2);
  });

  test("are no more than one, though the shard that makes it loses its memory", async () => {
    const { host, world } = await outage();
    await host.submit(world, "api", 5);
    host.latencyMs = 5_000;
    await host.runUntil(() => host.calls.length === 6, 20_000, 10);
    world.restart();
    await world.view(host.calls[5]?.grant.id ?? "");
    await host.run(4_000);
    expect(host.calls).toHaveLength(6);
    // Its result counts all the same: the target is still down, and stays alone for longer.
    await host.run(2_000);
    expect(host.view(API)).toMatchObject({ state: "open", trips: 2 });
  });

  test("give their lease back where the last parked task is cancelled before it is called", async () => {
    const { host, world, failed } = await outage();
    for (const id of failed.slice(1)) await world.operate(id, "cancel");
    await world.operate(failed[0] ?? "", "cancel");
    await host.run(20_000);
    const syncs = world.syncs.length;
    await host.run(120_000);
    expect(host.calls).toHaveLength(5);
    expect(world.syncs.length).toBe(syncs);
    expect(host.view(API).parked).toBe(0);
    host.down.clear();
    const [id = ""] = await host.submit(world, "api");
    await host.run(10_000);
    expect(await world.view(id)).toMatchObject({ state: "succeeded", attempt_count: 1 });
  });

  test("wait while the queue is paused, and go on when it does", async () => {
    const { host, world } = await outage();
    await host.submit(world, "api", 5);
    await world.configure({ paused: true });
    await host.run(120_000);
    expect(host.calls).toHaveLength(5);
    host.down.clear();
    await world.configure({ paused: false });
    await host.runUntil(async () => (await states(world)).succeeded === 10, 60_000);
  });

  test("whose outcome says nothing of the target free the lease for the next", async () => {
    const { host, world } = await outage();
    const short = world.taskTo("api", { call: { timeoutMs: 1_000 } });
    await world.submitAll([short]);
    host.down.clear();
    let asked = 0;
    host.answer = (grant) => {
      asked++;
      return grant.id === short.id
        ? { status: 0, durationMs: 1_000, error: { name: "TimeoutError", message: "" } }
        : {};
    };
    await host.runUntil(() => host.view(API).state === "closed", 60_000);
    expect(asked).toBeGreaterThanOrEqual(4);
    expect(host.calls[5]?.grant.id).toBe(short.id);
  });
});

describe("a probe that is not made after all", () => {
  test.each(["a task's call", "a readiness URL's"])(
    "gives its lease back, and the next is made soon: %s",
    async (what) => {
      const readiness =
        what === "a task's call" ? {} : { readiness: { url: `${API}/ready`, timeout: "5s" as const } };
      const { host, world } = await outage({ breaker: readiness });
      await host.submit(world, "api", 3);
      world.onRun = () => 0;
      await host.run(9_000);
      expect(host.calls).toHaveLength(5);
      expect(world.shard.ctx.flights.size).toBeLessThanOrEqual(1);
      world.onRun = (grants) => grants.length;
      host.down.clear();
      await host.runUntil(async () => (await states(world)).succeeded === 8, 5_000);
    },
  );

  test("since its row cannot be read goes to the next row, and the other is buried", async () => {
    const { host, world } = await outage();
    const [broken = ""] = await host.submit(world, "api", 1);
    world.storage.sql.exec("UPDATE tasks SET call = '[]' WHERE id = ?", broken);
    host.down.clear();
    await host.runUntil(async () => (await states(world)).succeeded === 5, 30_000);
    expect(await world.view(broken)).toMatchObject({ state: "failed", reason: "corrupt" });
  });

  test("since its work fails goes to the next row too, again and again", async () => {
    const { host, world } = await outage();
    const [broken = ""] = await host.submit(world, "api", 1);
    world.onSql = (query, bindings) => {
      if (query.startsWith("UPDATE tasks SET state") && bindings.at(-1) === broken)
        throw new Error("this row is too big");
    };
    host.down.clear();
    await host.runUntil(async () => (await states(world)).succeeded === 5, 30_000);
    world.onSql = () => undefined;
    await host.runUntil(async () => (await states(world)).succeeded === 6, 30_000);
  });

  test("since its max_age is over ends that row, and is another's call", async () => {
    const { host, world } = await outage();
    const task = world.taskTo("api", { call: { retry: { max_age: 5_000 } } });
    await host.submitTasks(world, [task]);
    host.down.clear();
    await host.runUntil(async () => (await states(world)).succeeded === 5, 30_000);
    expect(await world.view(task.id)).toMatchObject({ state: "failed", reason: "max_age", attempt_count: 0 });
  });

  test("for want of a slot is made when one is free", async () => {
    const { host, world } = await outage({ concurrency: 2 });
    host.answer = (_, to) => (to === API ? {} : { durationMs: 12_000 });
    await host.submit(world, "slow", 2);
    await host.run(10_000);
    expect(host.callsTo(API)).toHaveLength(5);
    await host.runUntil(async () => (await states(world)).succeeded === 7, 20_000);
  });
});

describe("a readiness URL", () => {
  const readiness = { url: `${API}/ready`, timeout: "5s" } as const;

  test("is probed in place of a task, which uses no attempt", async () => {
    const { host, world, failed } = await outage({ breaker: { readiness } });
    await host.run(120_000);
    const probes = host.calls.slice(5);
    expect(probes.length).toBeGreaterThan(2);
    expect(
      new Set(probes.map(({ grant }) => `${grant.kind} ${grant.request.method} ${grant.request.url}`)),
    ).toEqual(new Set([`probe GET ${readiness.url}`]));
    expect(mostAtOnce(probes)).toBe(1);
    for (const id of failed) expect(await world.view(id)).toMatchObject({ attempt_count: 1 });
    host.down.clear();
    await host.runUntil(async () => (await states(world)).succeeded === 5, 120_000);
  });

  test.each([404, 500, 302])("says by a %i that the target is not ready", async (status) => {
    const { host } = await outage({ breaker: { readiness } });
    host.answer = () => ({ status });
    await host.run(60_000);
    expect(host.view(API).trips).toBeGreaterThan(1);
    expect(host.calls.slice(5).every(({ grant }) => grant.kind === "probe")).toBe(true);
  });

  test("speaks for its own origin only", async () => {
    const host = new BreakerHost();
    const world = host.add("q1-0", { ...RETRY, breaker: { readiness } });
    host.down.add("https://other.example.com");
    await host.submit(world, "other", 8);
    await host.run(30_000);
    expect(host.callsTo(API)).toEqual([]);
    expect(host.calls.length).toBeGreaterThan(8);
  });

  test("whose runner dies is asked again", async () => {
    const { host, world } = await outage({ breaker: { readiness } });
    await host.runUntil(() => host.calls.length === 6, 20_000, 10);
    host.kill(world);
    await host.runUntil(() => host.calls.length === 7, 60_000);
    expect(world.shard.ctx.flights.size).toBeLessThanOrEqual(1);
  });
});
