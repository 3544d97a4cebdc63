import { describe, expect, test } from "vitest";
import { API, mostAtOnce, outage, RETRY, states, waves } from "../../support/server/outage.ts";
import { BreakerHost } from "../../support/shard/breaker-host.ts";
import { HOOK } from "../../support/shard/shard-messages.ts";

describe("a target that goes down", () => {
  test("is called no more as soon as the shard's own counts say so, before any Breaker object has answered", async () => {
    const host = new BreakerHost();
    const world = host.add("q1-0", RETRY);
    host.loses = () => true;
    host.down.add(API);
    await host.submit(world, "api", 5);
    await host.run(20);
    await host.submit(world, "api", 100);
    await host.run(5_000);
    expect(host.calls).toHaveLength(5);
  });

  test("parks its tasks: they wait for the breaker, say so, and use no attempt", async () => {
    const { host, world, failed } = await outage();
    const [parked = ""] = await host.submit(world, "api");
    await host.run(2_000);
    expect(await world.view(parked)).toMatchObject({
      state: "pending",
      waiting_on: "breaker",
      attempt_count: 0,
      summary: `Waiting for the breaker of ${API} (open since 2.1 s, 5 calls in a row could not connect); next probe in 5.4 s; no attempt is used.`,
    });
    expect(await world.view(failed[0] ?? "")).toMatchObject({
      state: "retrying",
      waiting_on: "breaker",
      attempt_count: 1,
    });
    expect(host.calls).toHaveLength(5);
  });

  test("gets no edge-first attempt either, and the submitter hears why", async () => {
    const { world } = await outage();
    const [result] = await world.submitAll([world.task()]);
    expect(result).toMatchObject({
      ok: true,
      grant: null,
      task: { state: "pending", waiting_on: "breaker" },
    });
  });

  test("stands in nobody's way", async () => {
    const { host, world } = await outage({ concurrency: 4 });
    await host.submit(world, "api", 50);
    const before = host.calls.length;
    await host.submit(world, "other", 10);
    await host.run(500);
    expect(host.calls.slice(before).map(({ to }) => to)).toEqual(Array(10).fill("https://other.example.com"));
  });

  test("costs its parked tasks no row, and the shard one alarm until it is asked about", async () => {
    const { host, world } = await outage({ breaker: { open: "60s" } });
    await host.submit(world, "api", 200);
    await host.run(2_000);
    const writes: string[] = [];
    world.onSql = (query) => {
      if (!/^\s*(SELECT|WITH)/.test(query)) writes.push(query);
    };
    const alarms = world.alarmsSet;
    const calls = world.syncs.length;
    await host.run(25_000);
    expect(writes).toEqual([]);
    expect(world.alarmsSet - alarms).toBeLessThanOrEqual(1);
    expect(world.syncs.length).toBe(calls);
    // From then on it is probed, again and again, and its tasks still cost nothing but the probes' rows.
    await host.run(60_000);
    const probes = host.callsTo(API, host.now - 60_000).length;
    expect(probes).toBeGreaterThan(0);
    expect(writes.filter((query) => query.startsWith("UPDATE tasks")).length).toBe(2 * probes);
  });

  test("still lets the max_age of parked tasks end them", async () => {
    const { host, world } = await outage();
    const task = world.taskTo("api", { call: { retry: { max_age: 90_000 }, callback: HOOK } });
    await world.submitAll([task]);
    await host.run(150_000);
    expect(await world.view(task.id)).toMatchObject({
      state: "failed",
      reason: "max_age",
      callback: { state: "delivered" },
    });
  });

  test("is called again as if nothing had been, once it is back", async () => {
    const { host, world } = await outage();
    await host.submit(world, "api", 100);
    await host.run(30_000);
    host.down.clear();
    await host.runUntil(async () => (await states(world)).succeeded === 105, 90_000);
    expect(host.view(API)).toMatchObject({ state: "closed", parked: 0, reason: null });
    const before = host.calls.length;
    await host.submit(world, "api", 10, true);
    expect(host.calls.length - before).toBe(10);
    expect(world.rows("SELECT * FROM targets")).toEqual([]);
  });
});

describe("a breaker that closes", () => {
  test("lets load come back as a ramp: one call at a time, then two, four, eight", async () => {
    const { host, world } = await outage();
    await host.submit(world, "api", 200);
    host.down.clear();
    host.latencyMs = 100;
    await host.runUntil(() => host.view(API).state === "closed", 30_000, 10);
    expect(await waves(host, 400)).toEqual([1, 2, 4, 8, 14]);
    const since = host.now;
    await host.run(5_000);
    expect(mostAtOnce(host.callsTo(API, since))).toBeLessThanOrEqual(64);
  });

  test("lets it come back to the limit of before, however many probes have failed", async () => {
    const { host, world } = await outage();
    await host.submit(world, "api", 200);
    await host.run(600_000);
    expect(host.calls.filter(({ isProbe }) => isProbe).length).toBeGreaterThan(10);
    host.down.clear();
    host.latencyMs = 100;
    await host.runUntil(() => host.view(API).state === "closed", 90_000, 10);
    expect(await waves(host, 500)).toEqual([1, 2, 4, 8, 14, 15]);
  });

  test("begins the ramp anew, to the same end, where the target went down in the middle of it", async () => {
    const { host, world } = await outage();
    await host.submit(world, "api", 200);
    host.down.clear();
    host.latencyMs = 100;
    await host.runUntil(() => host.view(API).state === "closed", 90_000, 10);
    await host.run(150);
    host.down.add(API);
    await host.runUntil(() => host.view(API).state === "open", 5_000, 10);
    host.down.clear();
    await host.runUntil(() => host.view(API).state === "closed", 90_000, 10);
    expect(await waves(host, 400)).toEqual([1, 2, 4, 8, 9]);
  });

  test("opens again at once where the target falls over under the ramp", async () => {
    const { host, world } = await outage();
    await host.submit(world, "api", 200);
    host.down.clear();
    await host.runUntil(() => host.view(API).state === "closed", 30_000, 10);
    await host.run(100);
    const before = host.calls.length;
    host.down.add(API);
    await host.run(3_000);
    expect(host.view(API).state).toBe("open");
    expect(host.calls.length - before).toBeLessThan(40);
  });
});

describe("a target with a name of its own", () => {
  test("has a breaker by that name, whatever the URLs of its tasks", async () => {
    const host = new BreakerHost();
    const world = host.add("q1-0", RETRY);
    const target = "key:queue-1/stripe";
    for (const origin of ["https://a.example.com", "https://b.example.com"]) host.down.add(origin);
    const submit = (name: string) => world.submitAll([world.taskTo(name, { target })]);
    for (const name of ["a", "b", "a", "b", "a"]) await submit(name);
    await host.run(100);
    await submit("c");
    await host.run(2_000);
    expect(host.calls).toHaveLength(5);
    expect(host.view(target)).toMatchObject({ key: target, state: "open", parked: 6 });
    host.down.clear();
    await host.runUntil(async () => (await states(world)).succeeded === 6, 60_000);
  });
});

describe("a queue that wants no breaker", () => {
  test("calls a dead target as often as its tasks say", async () => {
    const { host, world } = await outage({ breaker: { enabled: false }, retry_budget: { enabled: false } });
    await host.submit(world, "api", 20);
    await host.run(60_000);
    expect(await states(world)).toEqual({ failed: 25 });
    expect(host.calls).toHaveLength(125);
    expect(world.syncs).toEqual([]);
  });

  test("that wants it no longer goes on at once", async () => {
    const { host, world } = await outage();
    await host.submit(world, "api", 3);
    host.down.clear();
    await world.configure({}, { breaker: { ...world.config.settings.breaker, enabled: false } });
    await host.run(2_000);
    expect(await states(world)).toEqual({ succeeded: 8 });
  });

  test("that shares with none has breakers of its own", async () => {
    const host = new BreakerHost();
    const alone = host.add("q1-0", { ...RETRY, breaker: { share: "queue" } });
    const shared = host.add("q2-0", RETRY);
    host.down.add(API);
    await host.submit(alone, "api", 5);
    await host.run(1_000);
    expect(host.view(`q1 ${API}`)).toMatchObject({ key: API, state: "open" });
    host.down.clear();
    await host.submit(shared, "api", 5);
    await host.run(1_000);
    expect(await states(shared)).toEqual({ succeeded: 5 });
  });
});
