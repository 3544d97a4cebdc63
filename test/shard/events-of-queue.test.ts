import { describe, expect, test } from "vitest";
import type { QueueSettingsInput } from "../../src/schema/queue.ts";
import { API, RETRY } from "../support/server/outage.ts";
import { BreakerHost } from "../support/shard/breaker-host.ts";
import type { ShardWorld } from "../support/shard/shard-world.ts";

const OPS = "https://ops.example.com";
const MINUTE_MS = 60_000;
const SHARDS = 4;

/** A queue of four shards, whose operators want to hear of these events. */
function queue(host: BreakerHost, ref: number, settings: QueueSettingsInput): ShardWorld[] {
  return Array.from({ length: SHARDS }, (_, i) =>
    host.add(`q${ref}-${i}`, { ...RETRY, ...settings, shards: SHARDS }),
  );
}

/** What operators were sent, as `<type> <queue>`, oldest first. */
function told(host: BreakerHost): string[] {
  return host.callsTo(OPS).map(({ grant }) => {
    const { type, data } = JSON.parse(String(grant.request.body));
    return `${type} ${data.queue}`;
  });
}

describe("target.gone", () => {
  const events = { url: OPS, on: ["target.gone"] } satisfies QueueSettingsInput["events"];

  function gone(settings: QueueSettingsInput = {}) {
    const host = new BreakerHost();
    host.answer = (_, to) => ({ status: to === OPS ? 200 : 410 });
    return { host, shards: [1, 2].flatMap((ref) => queue(host, ref, { events, ...settings })) };
  }

  async function call(host: BreakerHost, shards: readonly ShardWorld[]): Promise<void> {
    for (const world of shards) await host.submit(world, "api", 5);
    await host.run(5_000);
  }

  test("is told once an hour to each queue, not by each of its shards", async () => {
    const { host, shards } = gone();
    await call(host, shards);
    expect(told(host)).toEqual(["target.gone queue-1", "target.gone queue-2"]);
    const syncs = shards.flatMap((world) => world.syncs).length;
    await call(host, shards);
    expect(told(host)).toHaveLength(2);
    expect(shards.flatMap((world) => world.syncs)).toHaveLength(syncs);
    await host.run(60 * MINUTE_MS);
    await call(host, shards);
    expect(told(host)).toHaveLength(4);
  });

  test("is told once though every shard loses its memory", async () => {
    const { host, shards } = gone();
    await call(host, shards);
    for (const world of shards) world.restart();
    await call(host, shards);
    expect(told(host)).toHaveLength(2);
  });

  test("is told by each shard where the Breaker object cannot be asked, or its answer is lost", async () => {
    for (const lost of ["sync", "answer"]) {
      const { host, shards } = gone();
      host.loses = (what) => what === lost;
      await call(host, shards);
      expect(told(host)).toHaveLength(2 * SHARDS);
      await call(host, shards);
      expect(told(host)).toHaveLength(2 * SHARDS);
    }
  });

  test("is told where the Breaker object has not been reached in so long that it is asked no more", async () => {
    const { host, shards } = gone();
    const { answer } = host;
    host.loses = (what) => what === "sync";
    host.answer = () => ({ status: 500 });
    await host.submit(shards[0] as ShardWorld, "api");
    await host.run(60 * MINUTE_MS);
    host.answer = answer;
    await call(host, shards.slice(0, 1));
    await host.run(MINUTE_MS);
    expect(told(host)).toEqual(["target.gone queue-1"]);
  });

  test("is told by each shard where the Breaker object is of a release that does not say who tells", async () => {
    const { host, shards } = gone();
    for (const world of shards) {
      const { onBreaker } = world;
      world.onBreaker = async ({ gone: _, ...known }, name) => onBreaker(known, name);
    }
    await call(host, shards);
    expect(told(host)).toHaveLength(2 * SHARDS);
  });

  test("is told by each shard of a queue that wants no breaker, which asks nobody", async () => {
    const { host, shards } = gone({ breaker: { enabled: false } });
    await call(host, shards);
    await call(host, shards);
    expect(told(host)).toHaveLength(2 * SHARDS);
    expect(shards.flatMap((world) => world.syncs)).toEqual([]);
  });
});

describe("queue.stalled", () => {
  const events = { url: OPS, on: ["queue.stalled"] } satisfies QueueSettingsInput["events"];

  /** A queue with tasks in all shards but the first, whose target is not called. */
  async function stalled() {
    const host = new BreakerHost();
    const [first, ...others] = queue(host, 1, { events });
    await host.isolate(API);
    for (const world of others) await host.submit(world, "api", 3);
    return { host, first: first as ShardWorld, others };
  }

  test("is told once an hour for the queue, though three of its shards are", async () => {
    const { host } = await stalled();
    await host.run(14 * MINUTE_MS);
    expect(told(host)).toEqual([]);
    await host.run(5 * MINUTE_MS);
    expect(told(host)).toEqual(["queue.stalled queue-1"]);
    await host.run(50 * MINUTE_MS);
    expect(told(host)).toHaveLength(1);
    await host.run(10 * MINUTE_MS);
    expect(told(host)).toHaveLength(2);
  });

  test("is told by the first shard where it is the one that is stalled, and by no other then", async () => {
    const { host, first } = await stalled();
    await host.submit(first, "api", 3);
    await host.run(30 * MINUTE_MS);
    expect(told(host)).toEqual(["queue.stalled queue-1"]);
  });

  test("is told once though all shards lose their memory", async () => {
    const { host } = await stalled();
    await host.run(16 * MINUTE_MS);
    for (const world of host.shards) {
      world.restart();
      await world.alarm();
    }
    await host.run(20 * MINUTE_MS);
    expect(told(host)).toHaveLength(1);
  });

  test("is told by each shard where the first one cannot be asked", async () => {
    const { host, others } = await stalled();
    for (const world of others) world.onMayTellStalled = () => Promise.reject(new Error("away"));
    await host.run(40 * MINUTE_MS);
    expect(told(host)).toHaveLength(SHARDS - 1);
  });

  test("is not lost where a shard cannot store what it may tell", async () => {
    const { host, others } = await stalled();
    const [world] = others as [ShardWorld];
    for (const other of others.slice(1)) {
      other.onMayTellStalled = async () => false;
    }
    let refusals = 0;
    world.onSql = (query) => {
      if (!query.startsWith("UPDATE shard SET stalled") || refusals++ > 2) return;
      throw new Error("database or disk is full");
    };
    await host.run(20 * MINUTE_MS);
    expect(refusals).toBeGreaterThan(3);
    expect(told(host)).toEqual(["queue.stalled queue-1"]);
  });
});
