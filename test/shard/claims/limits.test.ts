import { describe, expect, test } from "vitest";
import { BreakerHost } from "../../support/shard/breaker-host.ts";
import { HOOK } from "../../support/shard/shard-messages.ts";

const API = "https://api.example.com";
const FIXED = {
  backoff: { strategy: "fixed", initial_interval: "1s", jitter: "none", adaptive: "off" },
} as const;
const NO_BREAKER = { breaker: { enabled: false } } as const;

describe("a Retry-After", () => {
  /** A queue whose target has asked for a minute of peace by a 429. */
  async function asked(status = 429, settings: Parameters<BreakerHost["add"]>[1] = {}) {
    const host = new BreakerHost();
    const world = host.add("q1-0", { retry: FIXED, ...settings });
    host.answer = () => ({ status, headers: { "retry-after": "60" } });
    const [first = ""] = await host.submit(world, "api");
    await host.run(100);
    host.answer = () => ({});
    return { host, world, first };
  }

  test.each([429, 503])("of a %i holds the whole target, edge-first attempts too", async (status) => {
    const { host, world } = await asked(status);
    const [id = ""] = await host.submit(world, "api", 3, true);
    await host.run(59_000);
    expect(host.calls).toHaveLength(1);
    expect(await world.view(id)).toMatchObject({
      state: "pending",
      waiting_on: "rate",
      attempt_count: 0,
      summary: `Waiting since ${API} asked for it; it may be called again in 0.9 s; no attempt is used.`,
    });
    await host.run(2_000);
    expect(await world.counts()).toMatchObject({ succeeded: 3 });
    // The one that was refused waits for longer, by chance.
    await host.run(60_000);
    expect(await world.counts()).toMatchObject({ succeeded: 4 });
  });

  test("survives a loss of memory, and leaves no row when it is over", async () => {
    const { host, world } = await asked();
    await host.submit(world, "api", 3);
    world.restart();
    await world.alarm();
    await host.run(30_000);
    world.restart();
    await host.submit(world, "api", 3, true);
    await host.run(29_000);
    expect(host.calls).toHaveLength(1);
    await host.run(60_000);
    expect(await world.counts()).toMatchObject({ succeeded: 7 });
    world.restart();
    expect(world.rows("SELECT * FROM targets")).toEqual([]);
  });

  test("stands in no other target's way, and wakes the shard once for all who wait", async () => {
    const { host, world } = await asked();
    await host.submit(world, "api", 50);
    await host.submit(world, "other", 5);
    const alarms = world.alarmsRun;
    await host.run(55_000);
    expect(host.callsTo("https://other.example.com")).toHaveLength(5);
    expect(world.alarmsRun - alarms).toBeLessThanOrEqual(3);
  });

  test("holds no longer than the policy lets a target ask for", async () => {
    const { host, world } = await asked(429, { retry: { ...FIXED, max_retry_after: "5s" } });
    await host.submit(world, "api", 3);
    await host.run(6_000);
    expect((await world.counts()).succeeded).toBeGreaterThanOrEqual(3);
  });

  test("of a receiver of callbacks holds its deliveries", async () => {
    const host = new BreakerHost();
    const world = host.add("q1-0");
    const receiver = new URL(HOOK.url).origin;
    host.answer = (_, to) => (to === receiver ? { status: 429, headers: { "retry-after": "60" } } : {});
    await world.submitAll([world.taskTo("api", { call: { callback: HOOK } })]);
    await host.run(100);
    host.answer = () => ({});
    await world.submitAll(Array.from({ length: 3 }, () => world.taskTo("api", { call: { callback: HOOK } })));
    await host.run(50_000);
    expect(host.callsTo(receiver)).toHaveLength(1);
    await host.run(20_000);
    expect(host.callsTo(receiver)).toHaveLength(5);
  });
});

describe("the limit of a target", () => {
  test("starts at the queue's 20, and grows while the target answers well", async () => {
    const host = new BreakerHost();
    const world = host.add("q1-0", { ...NO_BREAKER, concurrency: 200 });
    host.latencyMs = 100;
    await host.submit(world, "api", 600);
    expect(host.calls).toHaveLength(20);
    await host.run(2_000);
    expect(await world.counts()).toMatchObject({ succeeded: 600 });
    const at = (ms: number) =>
      host.calls.filter(({ startedAt }) => startedAt === host.now - 2_000 + ms).length;
    expect([at(0), at(100), at(200)]).toEqual([20, 40, 80]);
  });

  test("is shared by the shards of the queue", async () => {
    const host = new BreakerHost();
    const world = host.add("q1-0", { ...NO_BREAKER, shards: 4 });
    await host.submit(world, "api", 100);
    expect(host.calls).toHaveLength(5);
  });

  test.each([
    ["a refusal", { status: 503 }],
    ["a 429", { status: 429 }],
    ["a timeout", { status: 0, error: { name: "TimeoutError", message: "" } }],
  ])("falls by %s, and the rest waits for a slot of it", async (_, answer) => {
    const host = new BreakerHost();
    const world = host.add("q1-0", {
      ...NO_BREAKER,
      retry_budget: { enabled: false },
      retry: { max_attempts: 1 },
    });
    host.latencyMs = 1_100;
    host.answer = () => answer;
    await host.submit(world, "api", 100);
    const [, last = ""] = await host.submit(world, "api", 2);
    const most: number[] = [];
    for (let i = 0; i < 4; i++) {
      most.push(world.shard.ctx.flights.inLane(API));
      await host.run(1_100);
    }
    expect(most).toEqual([20, 14, 9, 6]);
    expect(await world.view(last)).toMatchObject({
      waiting_on: "concurrency",
      summary: `Due, and waiting for other calls of ${API} to end; no attempt is used.`,
    });
  });

  test("does not bind where the queue says so", async () => {
    const host = new BreakerHost();
    const world = host.add("q1-0", { ...NO_BREAKER, adaptive_concurrency: false });
    await host.submit(world, "api", 300);
    expect(host.calls).toHaveLength(256);
  });

  test("counts what is in flight after a loss of memory too, retries as such", async () => {
    const host = new BreakerHost();
    const world = host.add("q1-0", { ...NO_BREAKER, retry: FIXED, retry_budget: { enabled: false } });
    host.answer = (grant) => ({
      status: grant.number === 1 ? 500 : 200,
      durationMs: grant.number === 1 ? 1 : 3_000,
    });
    await host.submit(world, "api", 15);
    await host.run(1_500);
    expect(world.shard.ctx.flights.retriesOf(API)).toBe(15);
    world.restart();
    await world.alarm();
    expect(world.shard.ctx.flights.retriesOf(API)).toBe(15);
    await host.submit(world, "api", 20);
    expect(world.shard.ctx.flights.inLane(API)).toBe(20);
  });

  test("lets retries hold at most half of it while first attempts wait", async () => {
    const host = new BreakerHost();
    const world = host.add("q1-0", { ...NO_BREAKER, retry: FIXED, retry_budget: { enabled: false } });
    host.answer = (grant) => ({
      status: grant.number === 1 ? 500 : 200,
      durationMs: grant.number === 1 ? 1 : 60_000,
    });
    await host.submit(world, "api", 20);
    await host.run(10);
    host.answer = () => ({ durationMs: 60_000 });
    await world.configure({ paused: true });
    await host.submit(world, "api", 40);
    await host.run(2_000);
    await world.configure({ paused: false });
    await host.settled();
    const { flights } = world.shard.ctx;
    expect([flights.inLane(API), flights.retriesOf(API)]).toEqual([20, 10]);
  });
});

describe("the retry budget of a target that fails", () => {
  const settings = { ...NO_BREAKER, adaptive_concurrency: false, retry: FIXED } as const;

  test("delays retries beyond a fifth of first attempts and ten a minute, and drops none", async () => {
    const host = new BreakerHost();
    const world = host.add("q1-0", settings);
    host.down.add(API);
    const [last = ""] = (await host.submit(world, "api", 100)).slice(-1);
    await host.run(30_000);
    expect(host.calls.length - 100).toBe(30);
    expect(await world.view(last)).toMatchObject({
      state: "retrying",
      waiting_on: "budget",
      attempt_count: 1,
    });
    expect((await world.view(last)).summary).toMatch(
      /Waiting for the retry budget of .+; there may be more in \d+ s; no attempt is used\.$/,
    );
    host.down.clear();
    await host.runUntil(async () => (await world.counts()).succeeded === 100, 900_000, 1_000);
  });

  test("does not bind while more than a quarter of calls succeed", async () => {
    const host = new BreakerHost();
    const world = host.add("q1-0", settings);
    host.answer = ({ number, request }) => ({
      status: number === 3 || request.url.endsWith("/ok") ? 200 : 500,
    });
    const call = { url: `${API}/ok` };
    await world.submitAll(Array.from({ length: 61 }, () => world.taskTo("api", { call })));
    await host.submit(world, "api", 60);
    await host.run(5_000);
    expect(await world.counts()).toMatchObject({ succeeded: 121 });
  });

  test("lets first attempts go as ever", async () => {
    const host = new BreakerHost();
    const world = host.add("q1-0", settings);
    host.down.add(API);
    await host.submit(world, "api", 100);
    await host.run(30_000);
    const before = host.calls.length;
    await host.submit(world, "api", 40, true);
    const calls = host.calls.slice(before);
    expect(calls.filter(({ grant }) => grant.number === 1)).toHaveLength(40);
    // And for each five of them a retry.
    expect(calls).toHaveLength(48);
  });

  test("does not bind where the queue says so", async () => {
    const host = new BreakerHost();
    const world = host.add("q1-0", { ...settings, retry_budget: { enabled: false } });
    host.down.add(API);
    await host.submit(world, "api", 100);
    await host.run(30_000);
    expect(host.calls).toHaveLength(500);
  });

  test("runs the alarm for it once in ten seconds, not in a loop", async () => {
    const host = new BreakerHost();
    const world = host.add("q1-0", { ...settings, retry: { ...FIXED, max_attempts: 100 } });
    host.down.add(API);
    await host.submit(world, "api", 100);
    await host.run(30_000);
    const before = world.alarmsRun;
    await host.run(60_000);
    expect(world.alarmsRun - before).toBeLessThanOrEqual(60);
  });
});
