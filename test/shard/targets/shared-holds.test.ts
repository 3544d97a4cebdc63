import { describe, expect, test } from "vitest";
import type { BreakerSync } from "../../../src/protocol/breaker-api.ts";
import type { QueueSettingsInput } from "../../../src/schema/queue.ts";
import { API, outage, RETRY } from "../../support/server/outage.ts";
import { BreakerHost } from "../../support/shard/breaker-host.ts";
import type { ShardWorld } from "../../support/shard/shard-world.ts";

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

  test("reaches no further than the queue's own policy lets a target ask for, whatever the task's is", async () => {
    const { host, shards, first } = await callers({ retry: { ...RETRY.retry, max_retry_after: "5s" } });
    const refusedAt = await refuse(host, first, 60, { call: { retry: { max_retry_after: 3_600_000 } } });
    const [own] = first.rows("SELECT due_at FROM tasks WHERE state = 'retrying'");
    expect(Number(own?.due_at)).toBeGreaterThanOrEqual(refusedAt + 60_000);
    await submitAll(host, shards);
    await host.run(4_999);
    expect(host.callsTo(API, refusedAt)).toEqual([]);
    await host.run(1_000);
    const called = new Set(host.callsTo(API, refusedAt).map(({ shard }) => shard));
    expect([...called].sort()).toEqual(shards.map(({ name }) => name));
    expect(first.rows("SELECT due_at FROM tasks WHERE state = 'retrying'")).toEqual([own]);
  });

  test("holds the target though the task that was answered cares for no Retry-After", async () => {
    const { host, shards, first } = await callers();
    const refusedAt = await refuse(host, first, 60, { call: { retry: { max_retry_after: 0 } } });
    await submitAll(host, shards);
    await host.run(59_000);
    expect(host.callsTo(API, refusedAt)).toEqual([]);
  });

  test("survives the memory of the shards that were told, and leaves no row when it is over", async () => {
    const { host, shards, first } = await callers();
    const refusedAt = await refuse(host, first, 60);
    for (const world of shards) {
      expect(world.rows("SELECT * FROM targets")).toEqual([
        { key: API, breaker: null, held_from: refusedAt, held_until: refusedAt + 60_000, splits: null },
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

/** What holds have left on disk, over all shards. */
function heldRows(shards: readonly ShardWorld[]): unknown[] {
  return shards.flatMap((world) => world.rows("SELECT key FROM targets WHERE held_until IS NOT NULL"));
}

/** The queue lets a target ask for so much from now on, and so much it is told. */
async function allow(shards: readonly ShardWorld[], maxRetryAfterMs: number): Promise<void> {
  for (const world of shards) {
    const { retry } = world.config.settings;
    await world.configure({}, { retry: { ...retry, max_retry_after: maxRetryAfterMs } });
  }
}

describe("a hold for a day", () => {
  const DAY_S = 86_400;
  const PATIENT = { retry: { ...RETRY.retry, max_retry_after: "7d" } } as const;

  test("is over in all shards once the breaker is reset, which history tells", async () => {
    const { host, shards, first } = await callers(PATIENT);
    const refusedAt = await refuse(host, first, DAY_S);
    await submitAll(host, shards);
    await host.run(10_000);
    expect(host.view(API).knownHolds).toEqual([
      { queueRef: 1, from: refusedAt, until: refusedAt + DAY_S * 1_000 },
    ]);
    expect(host.callsTo(API, refusedAt)).toEqual([]);
    await host.reset(API);
    expect(heldRows(shards)).toEqual([]);
    expect(host.view(API)).toMatchObject({ knownHolds: [], audit: [{ to: "closed", holds_released: 1 }] });
    await host.run(20_000);
    const called = new Set(host.callsTo(API, refusedAt).map(({ shard }) => shard));
    expect([...called].sort()).toEqual(shards.map(({ name }) => name));
    for (const world of shards.slice(1))
      expect(await world.counts()).toMatchObject({ pending: 0, retrying: 0 });
  });

  test("is over once it is reset in a shard that could not be told, within a minute or at its next start", async () => {
    for (const restarts of [false, true]) {
      const { host, shards, first } = await callers(PATIENT);
      const refusedAt = await refuse(host, first, DAY_S);
      await submitAll(host, shards);
      await host.run(10_000);
      host.loses = (what) => what === "push";
      await host.reset(API);
      expect(heldRows(shards)).toHaveLength(SHARDS);
      host.loses = () => false;
      if (restarts) for (const world of shards) world.restart();
      await host.run(90_000);
      expect(heldRows(shards)).toEqual([]);
      expect(new Set(host.callsTo(API, refusedAt).map(({ shard }) => shard)).size).toBe(SHARDS);
    }
  });

  test("can be asked for again after a reset, also for less", async () => {
    const { host, shards, first } = await callers(PATIENT);
    await refuse(host, first, DAY_S);
    await host.reset(API);
    await host.run(90_000);
    const refusedAt = await refuse(host, first, 30);
    await submitAll(host, shards);
    await host.run(29_000);
    expect(host.callsTo(API, refusedAt)).toEqual([]);
    await host.run(20_000);
    expect(new Set(host.callsTo(API, refusedAt).map(({ shard }) => shard)).size).toBe(SHARDS);
  });

  test.each([0, 60_000])("is over as soon as the queue allows %i ms, and does not come back", async (ms) => {
    const { host, shards, first } = await callers(PATIENT);
    const refusedAt = await refuse(host, first, DAY_S);
    await submitAll(host, shards);
    await host.run(100_000);
    expect(host.callsTo(API, refusedAt)).toEqual([]);
    await allow(shards, ms);
    expect(heldRows(shards)).toEqual([]);
    await host.run(1_000);
    expect(new Set(host.callsTo(API, refusedAt).map(({ shard }) => shard)).size).toBe(SHARDS);
    await allow(shards, 7 * DAY_S * 1_000);
    for (const world of shards) world.restart();
    await host.run(60_000);
    expect(heldRows(shards)).toEqual([]);
    expect(host.view(API).knownHolds).toEqual([]);
  });

  test("is cut to what the queue allows now, counted from when the target asked", async () => {
    const { host, shards, first } = await callers(PATIENT);
    const refusedAt = await refuse(host, first, DAY_S);
    await submitAll(host, shards);
    await host.run(100_000);
    await allow(shards, 200_000);
    for (const world of shards) world.restart();
    await host.run(refusedAt + 199_999 - host.now);
    expect(host.callsTo(API, refusedAt)).toEqual([]);
    await host.run(2_000);
    expect(new Set(host.callsTo(API, refusedAt).map(({ shard }) => shard)).size).toBe(SHARDS);
  });

  test("is over in a shard that is told to release it, where no breaker is wanted", async () => {
    const { host, first } = await callers({ ...PATIENT, breaker: { enabled: false } });
    const refusedAt = await refuse(host, first, DAY_S);
    expect(await first.shard.hold(API, false)).toBe(refusedAt + DAY_S * 1_000);
    expect(await first.shard.hold(API, true)).toBe(refusedAt + DAY_S * 1_000);
    expect(await first.shard.hold(API, true)).toBeNull();
    expect(heldRows([first])).toEqual([]);
    await host.submit(first, "api", 1);
    expect(host.callsTo(API, refusedAt)).toHaveLength(1);
  });

  test("that a release wrote which did not say since when is no longer than the queue allows", async () => {
    const { host, first } = await callers({ retry: { ...RETRY.retry, max_retry_after: "5m" } });
    const until = host.now + DAY_S * 1_000;
    first.storage.sql.exec("INSERT INTO targets (key, breaker, held_until) VALUES (?, NULL, ?)", API, until);
    first.restart();
    const restartedAt = host.now;
    await host.submit(first, "api", 1);
    await host.run(299_000);
    expect(host.callsTo(API, restartedAt)).toEqual([]);
    await host.run(2_000);
    expect(host.callsTo(API, restartedAt).length).toBeGreaterThan(0);
  });

  test("makes a retry of a task that waits for it say so", async () => {
    const { host, first } = await callers(PATIENT);
    await refuse(host, first, DAY_S);
    const [id = ""] = await host.submit(first, "api");
    const answer = await first.operate(id, "retry");
    expect(answer).toMatchObject({ ok: true, task: { waiting_on: "rate", attempt_count: 0 } });
    expect(answer.ok && answer.task.summary).toMatch(
      /asked for it; it may be called again in (1 d|23 h 59 min)/,
    );
  });

  test("is listed with the targets that are down, however long ago they were called", async () => {
    const { host, first } = await callers(PATIENT);
    const refusedAt = await refuse(host, first, DAY_S);
    await host.run(2 * 3_600_000);
    expect(await first.shard.targets(10)).toMatchObject([
      { key: API, state: "closed", heldUntil: refusedAt + DAY_S * 1_000 },
    ]);
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
