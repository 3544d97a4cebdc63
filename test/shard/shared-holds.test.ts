import { describe, expect, test } from "vitest";
import type { BreakerSync } from "../../src/core/messages.ts";
import type { QueueSettingsInput } from "../../src/schema/queue.ts";
import { BreakerHost } from "../support/breaker-host.ts";
import { API, outage, RETRY } from "../support/outage.ts";
import type { ShardWorld } from "../support/shard-world.ts";

const SHARDS = 8;

/** A queue of eight shards, each of which calls the target, and a shard of another queue that does so too. */
async function callers(settings: QueueSettingsInput = {}) {
  const host = new BreakerHost();
  const config = { ...RETRY, ...settings, shards: SHARDS };
  for (let i = 0; i < SHARDS; i++) host.add(`q1-${i}`, config);
  const other = host.add("q2-0", { ...RETRY, ...settings });
  for (const world of host.shards) await host.submit(world, "api", 25);
  await host.run(20_000);
  const shards = host.shards.filter((world) => world !== other);
  return { host, shards, other, first: shards[0] as ShardWorld };
}

/** The target answers the next call of a shard by a 429, and all others by a 200. */
async function refuse(host: BreakerHost, world: ShardWorld, afterS: number, overrides = {}): Promise<number> {
  const { answer } = host;
  host.answer = () => ({ status: 429, headers: { "retry-after": String(afterS) } });
  await host.submitTasks(world, [world.taskTo("api", overrides)]);
  host.answer = answer;
  await host.run(host.latencyMs);
  return host.now;
}

/** Tasks for the target in every one of these shards, edge-first ones among them. */
async function submitAll(host: BreakerHost, shards: readonly ShardWorld[]): Promise<void> {
  for (const world of shards) for (const edge of [true, false]) await host.submit(world, "api", 5, edge);
}

describe("a Retry-After that one shard is answered", () => {
  test("holds the target for all shards of its queue, and for no other queue", async () => {
    const { host, shards, other, first } = await callers();
    const refusedAt = await refuse(host, first, 2);
    const syncs = shards.map((world) => world.syncs.length);
    await submitAll(host, shards);
    await submitAll(host, [other]);
    await host.run(1_999);
    const early = host.callsTo(API, refusedAt);
    expect(new Set(early.map(({ shard }) => shard))).toEqual(new Set(["q2-0"]));
    expect(early).toHaveLength(10);
    await host.run(1_000);
    const after = host.callsTo(API, refusedAt).filter(({ shard }) => shard !== "q2-0");
    expect(after.length).toBeGreaterThan(0);
    expect(Math.min(...after.map(({ startedAt }) => startedAt))).toBe(refusedAt + 2_000);
    await host.run(20_000);
    for (const world of shards) expect(await world.counts()).toMatchObject({ pending: 0, retrying: 0 });
    // The shard that was answered told it; those that were told ask nobody.
    expect(shards.slice(1).map((world) => world.syncs.length)).toEqual(syncs.slice(1));
  });

  test("is told by one call, and a burst of such answers by one more a second", async () => {
    const { host, first } = await callers();
    const before = first.syncs.length;
    host.answer = (_, to) => (to === API ? { status: 429, headers: { "retry-after": "30" } } : {});
    await host.submit(first, "api", 2);
    await host.run(5);
    await host.submit(first, "api", 1);
    await host.run(500);
    expect(first.syncs.length - before).toBe(1);
    await host.run(20_000);
    expect(first.syncs.length - before).toBe(2);
    expect(host.pushes.length).toBeLessThanOrEqual(2 * (SHARDS - 1));
  });

  test("is told of before the shorter one is over that others know of", async () => {
    const { host, shards, first } = await callers();
    let calls = 0;
    host.answer = (_, to) => {
      if (to !== API || calls > 1) return {};
      const [afterS, durationMs] = calls++ === 0 ? ["0.6", 20] : ["60", 320];
      return { status: 429, durationMs, headers: { "retry-after": afterS } };
    };
    await host.submit(first, "api", 2);
    await host.run(400);
    await submitAll(host, shards);
    await host.run(30_000);
    expect(calls).toBe(2);
    expect(host.callsTo(API, host.now - 30_000)).toEqual([]);
  });

  test("tells who waits, in a shard that never was refused", async () => {
    const { host, shards, first } = await callers();
    await refuse(host, first, 60);
    const world = shards[5] as ShardWorld;
    const [id = ""] = await host.submit(world, "api");
    expect(await world.view(id)).toMatchObject({ waiting_on: "rate", attempt_count: 0 });
  });

  test("reaches no further in other shards than the queue's own policy lets a target ask for", async () => {
    const { host, shards, first } = await callers({ retry: { ...RETRY.retry, max_retry_after: "5s" } });
    const refusedAt = await refuse(host, first, 60, { call: { retry: { max_retry_after: 3_600_000 } } });
    await submitAll(host, shards);
    await host.run(4_999);
    expect(host.callsTo(API, refusedAt)).toEqual([]);
    await host.run(1_000);
    const called = new Set(host.callsTo(API, refusedAt).map(({ shard }) => shard));
    expect([...called].sort()).toEqual(shards.slice(1).map(({ name }) => name));
  });

  test("survives the memory of the shards that were told, and leaves no row when it is over", async () => {
    const { host, shards, first } = await callers();
    const refusedAt = await refuse(host, first, 60);
    for (const world of shards) {
      expect(world.rows("SELECT key, breaker, held_until FROM targets")).toEqual([
        { key: API, breaker: null, held_until: refusedAt + 60_000 },
      ]);
      world.restart();
    }
    await submitAll(host, shards);
    await host.run(59_000);
    expect(host.callsTo(API, refusedAt)).toEqual([]);
    await host.run(90_000);
    for (const world of shards) {
      world.restart();
      expect(world.rows("SELECT * FROM targets")).toEqual([]);
    }
  });

  test("that could not be told holds in its own shard, and is told when the next message gets through", async () => {
    const { host, shards, first } = await callers();
    host.loses = () => true;
    const refusedAt = await refuse(host, first, 60);
    await host.submit(first, "api", 5);
    await host.run(2_000);
    expect(host.callsTo(API, refusedAt)).toEqual([]);
    host.loses = () => false;
    await host.run(5_000);
    await submitAll(host, shards);
    await host.run(10_000);
    expect(host.callsTo(API, refusedAt)).toEqual([]);
  });

  test("holds a shard that is new to the target from its first word on", async () => {
    const { host, first } = await callers();
    const late = host.add("q1-9", { ...RETRY, shards: SHARDS });
    const refusedAt = await refuse(host, first, 60);
    host.answer = () => ({ status: 500 });
    await host.submit(late, "api", 1);
    await host.run(200);
    host.answer = () => ({});
    await host.submit(late, "api", 20);
    await host.run(30_000);
    expect(host.callsTo(API, refusedAt)).toHaveLength(1);
  });

  test("holds its own shard alone where the Breaker object is of a release that knows nothing of holds", async () => {
    const { host, shards, first } = await callers();
    for (const world of shards) {
      const { onBreaker } = world;
      world.onBreaker = async (message, name) => {
        const { holdUntil: _, ...known }: BreakerSync = message;
        return onBreaker(known, name);
      };
    }
    const refusedAt = await refuse(host, first, 60);
    await submitAll(host, shards);
    await host.run(30_000);
    const called = new Set(host.callsTo(API, refusedAt).map(({ shard }) => shard));
    expect([...called].sort()).toEqual(shards.slice(1).map(({ name }) => name));
    // It has told once, and does not ask again and again.
    expect(first.syncs.filter(({ holdUntil }) => holdUntil !== undefined)).toHaveLength(1);
  });

  test("holds its own shard alone in a queue that wants no breaker", async () => {
    const { host, shards, first } = await callers({ breaker: { enabled: false } });
    const refusedAt = await refuse(host, first, 60);
    await submitAll(host, shards);
    await host.run(30_000);
    const called = new Set(host.callsTo(API, refusedAt).map(({ shard }) => shard));
    expect([...called].sort()).toEqual(shards.slice(1).map(({ name }) => name));
    expect(host.shards.flatMap(({ syncs }) => syncs)).toEqual([]);
  });
});

describe("a burst of 429s", () => {
  const refusing = { ...RETRY, retry_budget: { enabled: false } } as const;

  test("opens no breaker, whatever its length, and cuts the limit", async () => {
    const host = new BreakerHost();
    const world = host.add("q1-0", { ...refusing, retry: { ...RETRY.retry, max_attempts: 100 } });
    host.answer = () => ({ status: 429 });
    await host.submit(world, "api", 100);
    await host.run(60_000);
    expect(host.callsTo(API).length).toBeGreaterThan(100);
    expect(host.view(API)).toMatchObject({ state: "closed", windows: { ok: 0, failed: 0 }, limit: 1 });
    expect(host.view(API).audit).toEqual([]);
    host.answer = () => ({});
    await host.run(60_000);
    expect(await world.counts()).toMatchObject({ succeeded: 100 });
  });

  test("does not hide an outage that comes with it", async () => {
    const host = new BreakerHost();
    const world = host.add("q1-0", refusing);
    let call = 0;
    host.answer = () => ({ status: call++ % 2 === 0 ? 429 : 500 });
    await host.submit(world, "api", 60);
    await host.run(5_000);
    expect(host.view(API).state).toBe("open");
  });

  test("answered to a probe keeps the breaker from closing, and its Retry-After puts the next probe off", async () => {
    const { host, world } = await outage();
    host.down.clear();
    host.answer = () => ({ status: 429, headers: { "retry-after": "100" } });
    await host.submit(world, "api", 20);
    const before = host.calls.length;
    await host.runUntil(() => host.calls.length > before, 30_000, 10);
    await host.run(host.latencyMs);
    const refusedAt = host.now;
    expect(host.view(API)).toMatchObject({ state: "open" });
    host.answer = () => ({});
    await host.run(99_000);
    expect(host.calls.length - before).toBe(1);
    await host.runUntil(() => host.calls.length - before > 1, 30_000);
    expect(host.callsTo(API).at(-1)?.startedAt).toBeGreaterThanOrEqual(refusedAt + 100_000);
    await host.run(200_000);
    expect(await world.counts()).toMatchObject({ succeeded: 25 });
  });
});
