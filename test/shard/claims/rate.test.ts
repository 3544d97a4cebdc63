import { describe, expect, test } from "vitest";
import { BreakerHost } from "../../support/shard/breaker-host.ts";
import { HOOK } from "../../support/shard/shard-messages.ts";
import { ShardWorld } from "../../support/shard/shard-world.ts";

const API = "https://api.example.com";
const FIXED = {
  backoff: { strategy: "fixed", initial_interval: "1s", jitter: "none", adaptive: "off" },
} as const;
const NO_BREAKER = { breaker: { enabled: false } } as const;

describe("the rate of a queue", () => {
  const rated = {
    ...NO_BREAKER,
    adaptive_concurrency: false,
    rate: { limit: 10, per: "1s", burst: 5 },
  } as const;

  test("lets a burst go, then so many a second, over all targets", async () => {
    const host = new BreakerHost();
    const world = host.add("q1-0", rated);
    const since = host.now;
    for (const name of ["a", "b", "c"]) await host.submit(world, name, 20);
    expect(host.calls).toHaveLength(5);
    await host.run(2_000);
    expect(host.calls).toHaveLength(25);
    await host.run(10_000);
    expect(await world.counts()).toMatchObject({ succeeded: 60 });
    for (let from = since; from < since + 6_000; from += 130) {
      const inSecond = host.calls.filter(({ startedAt }) => startedAt >= from && startedAt < from + 1_000);
      expect(inSecond.length).toBeLessThanOrEqual(15);
    }
  });

  test("binds edge-first attempts too, and tells who waits for it", async () => {
    const host = new BreakerHost();
    const world = host.add("q1-0", rated);
    const results = await world.submitAll(Array.from({ length: 8 }, () => world.task()));
    expect(results.map((result) => result.ok && result.grant !== null)).toEqual([
      ...Array(5).fill(true),
      ...Array(3).fill(false),
    ]);
    expect(results[7]).toMatchObject({ task: { waiting_on: null } });
    const id = results[7]?.ok ? results[7].task.id : "";
    expect(await world.view(id)).toMatchObject({
      waiting_on: "rate",
      summary:
        "Due, and waiting for the rate of its queue; the next call may go in 0.1 s; no attempt is used.",
    });
  });

  test("is split over the queue's shards", async () => {
    const host = new BreakerHost();
    const world = host.add("q1-0", { ...rated, shards: 2, rate: { limit: 10, per: "1s", burst: 4 } });
    await host.submit(world, "api", 40);
    expect(host.calls).toHaveLength(2);
    await host.run(4_000);
    expect(host.calls).toHaveLength(22);
  });

  test("loses nothing to a clock of whole milliseconds, with a burst of one", async () => {
    const host = new BreakerHost();
    const world = host.add("q1-0", { ...rated, rate: { limit: 300, per: "1s", burst: 1 } });
    await host.submit(world, "api", 1_000);
    await host.run(3_000);
    expect(host.calls.length).toBeGreaterThanOrEqual(897);
    expect(host.calls.length).toBeLessThanOrEqual(901);
    expect(new Set(host.calls.map(({ startedAt }) => startedAt)).size).toBe(host.calls.length);
  });

  test("holds after a loss of memory: it is written with the claim", async () => {
    const host = new BreakerHost();
    const world = host.add("q1-0", { ...rated, rate: { limit: 1, per: "60s" } });
    await host.submit(world, "api", 3);
    for (let i = 0; i < 5; i++) {
      world.restart();
      await world.alarm();
      await host.submit(world, "api", 1, true);
    }
    expect(host.calls).toHaveLength(1);
    await host.run(61_000);
    expect(host.calls).toHaveLength(2);
  });

  test("does not count deliveries of callbacks", async () => {
    const host = new BreakerHost();
    const world = host.add("q1-0", { ...rated, rate: { limit: 1, per: "60s", burst: 3 } });
    await world.submitAll(Array.from({ length: 3 }, () => world.taskTo("api", { call: { callback: HOOK } })));
    await host.run(1_000);
    expect(host.calls).toHaveLength(6);
  });

  test("lets no more probes go than attempts", async () => {
    const host = new BreakerHost();
    const world = host.add("q1-0", { retry: FIXED, rate: { limit: 6, per: "60s", burst: 5 } });
    host.down.add(API);
    await host.submit(world, "api", 10);
    await host.run(600_000);
    const inMinute = (from: number) =>
      host.calls.filter(({ startedAt }) => startedAt >= from && startedAt < from + 60_000).length;
    for (let from = host.now - 600_000; from < host.now; from += 5_000)
      expect(inMinute(from)).toBeLessThanOrEqual(11);
    host.down.clear();
    await host.runUntil(async () => (await world.counts()).succeeded === 10, 600_000, 1_000);
  });

  test("costs a queue that has none nothing", async () => {
    const world = new ShardWorld();
    const writes: string[] = [];
    world.onSql = (query) => {
      if (query.includes("rate_free_at =")) writes.push(query);
    };
    await world.settle(await world.submitGranted());
    expect(writes).toEqual([]);
  });
});

describe("adaptive waits", () => {
  test("by load stretch a retry by what the target says of itself", async () => {
    const host = new BreakerHost();
    const world = host.add("q1-0", {
      ...NO_BREAKER,
      retry: { backoff: { ...FIXED.backoff, adaptive: "load" } },
    });
    host.answer = (grant) => ({ status: grant.number === 1 ? 500 : 200, headers: { "redrive-load": "0.8" } });
    const [, id = ""] = await host.submit(world, "api", 2);
    await host.run(10);
    await host.run(5_000);
    expect((await world.view(id)).attempts[0]).toMatchObject({ delay_ms: 1_800 });
  });

  test("by queue double a retry, step by step, while over a hundred tasks of the target wait", async () => {
    const host = new BreakerHost();
    const world = host.add("q1-0", {
      ...NO_BREAKER,
      retry_budget: { enabled: false },
      concurrency: 1,
      retry: { max_attempts: 100, backoff: { ...FIXED.backoff, adaptive: "queue" } },
    });
    host.down.add(API);
    host.latencyMs = 1_500;
    await host.submit(world, "api", 150);
    await host.run(9_100);
    const delays = world
      .rows(
        "SELECT value ->> '$.delayMs' AS delay FROM tasks, json_each(history) WHERE delay > 0 ORDER BY delay",
      )
      .map(({ delay }) => delay);
    expect(delays).toEqual([2_000, 4_000, 8_000, 16_000, 32_000, 64_000]);
  });
});
