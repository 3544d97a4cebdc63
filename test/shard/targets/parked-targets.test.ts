import { describe, expect, test } from "vitest";
import { BreakerHost } from "../../support/shard/breaker-host.ts";
import type { ShardWorld } from "../../support/shard/shard-world.ts";

const RETRY = { retry: { backoff: { strategy: "fixed", initial_interval: "1s", jitter: "none" } } } as const;
const GOOD = "https://good.example.com";
const RESERVE = { concurrency: 64, ...RETRY } as const;

/** Counts the statements that a shard runs while something happens. */
async function statements(world: ShardWorld, happens: () => Promise<unknown>): Promise<number> {
  let count = 0;
  world.onSql = () => {
    count++;
  };
  await happens();
  world.onSql = () => undefined;
  return count;
}

/** Tasks submitted in batches, as the API would. */
async function submitMany(host: BreakerHost, world: ShardWorld, name: string, count: number): Promise<void> {
  for (let left = count; left > 0; left -= 1_000) await host.submit(world, name, Math.min(1_000, left));
}

describe("a hundred thousand tasks that wait for one target", () => {
  test("are in nobody's way: ten for another go at once, and a claim costs what it always does", async () => {
    const host = new BreakerHost();
    const world = host.add("q1-0", RESERVE);
    host.latencyMs = 10_000;
    const alone = await statements(world, () => host.submit(world, "good", 10));
    host.latencyMs = 20;
    await host.run(60_000);
    host.down.add("https://dead.example.com");
    await host.submit(world, "dead", 5);
    await host.run(2_000);
    await submitMany(host, world, "dead", 100_000);
    expect((await world.counts()).pending).toBe(100_000);
    expect(host.callsTo("https://dead.example.com")).toHaveLength(5);
    host.latencyMs = 10_000;
    const beside = await statements(world, () => host.submit(world, "good", 10));
    expect(host.callsTo(GOOD)).toHaveLength(20);
    expect(beside).toBeLessThanOrEqual(alone + 2);
    const startedAt = performance.now();
    await host.run(30_000);
    // Probes, the sweep for expired tasks, and what the Breaker object is told.
    expect(performance.now() - startedAt).toBeLessThan(5_000);
    expect(host.callsTo("https://dead.example.com").length).toBeLessThan(12);
  }, 60_000);
});

describe("a thousand targets that are down, with one task each", () => {
  test("are in nobody's way either", async () => {
    const host = new BreakerHost();
    const world = host.add("q1-0", { ...RESERVE, breaker: { consecutive_connect_failures: 1 } });
    host.answer = (grant, to) =>
      to === GOOD ? {} : { status: 0, error: { name: "Error", message: `connect ECONNREFUSED ${grant.id}` } };
    for (let i = 0; i < 1_000; i += 50) {
      for (let j = i; j < i + 50; j++) await host.submit(world, `dead-${j}`, 1);
      await host.run(100);
    }
    await host.run(2_000);
    const gates: number[] = [];
    const { lanes } = world.shard.ctx;
    gates.push(lanes.ready(host.now).size);
    expect(lanes.due(host.now).length).toBeGreaterThan(900);
    const used = await statements(world, () => host.submit(world, "good", 10));
    expect(host.callsTo(GOOD)).toHaveLength(10);
    // None of the thousand is looked at.
    expect(gates).toEqual([0]);
    expect(used).toBeLessThan(60);
  }, 60_000);
});

describe("a shard that meets very many targets", () => {
  test("remembers those that matter, and forgets the others", async () => {
    const host = new BreakerHost();
    const world = host.add("q1-0", { ...RETRY, concurrency: 1_000 });
    host.down.add("https://dead.example.com");
    await host.submit(world, "dead", 6);
    await host.run(100);
    host.latencyMs = 1;
    for (let i = 0; i < 24_000; i += 500) {
      const tasks = Array.from({ length: 500 }, (_, j) => world.taskTo(`host-${i + j}`));
      await world.submitAll(tasks);
      await host.run(5);
    }
    const known = await world.shard.targets(100_000);
    expect(known.length).toBeLessThanOrEqual(22_000);
    expect(known[0]).toMatchObject({ key: "https://dead.example.com", state: "open" });
  }, 60_000);
});
