import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env as rawEnv } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Breaker as BreakerObject } from "../../src/breaker/breaker.ts";
import { type Breaker, newBreaker, type ProbeLease } from "../../src/core/breaker/breaker.ts";
import type { Env } from "../../src/platform/env.ts";
import type { BreakerPort, BreakerSync } from "../../src/protocol/breaker-api.ts";
import { breakerName } from "../../src/protocol/names.ts";
import { BreakerSettings } from "../../src/schema/breaker.ts";
import { QueueShard } from "../../src/shard/queue-shard.ts";

const env = rawEnv as unknown as Env;
const LEASE_MS = 30_000;

let key: string;
let count = 0;
let halfOpenAt = 0;
/** What shards were told, in order. */
let told: { shard: string; breaker: Breaker; announced: boolean }[];
/** Shards that throw when they are told something. */
const away = new Set<string>();

beforeEach(() => {
  key = `https://t${++count}.example.com`;
  told = [];
  away.clear();
  vi.spyOn(QueueShard.prototype, "breakerChanged").mockImplementation(async function (
    this: QueueShard,
    _key,
    breaker,
    announce,
  ) {
    const shard = (this as unknown as { ctx: DurableObjectState }).ctx.id.name ?? "";
    if (away.has(shard)) throw new Error("away");
    told.push({ shard, breaker, announced: announce !== null });
  });
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** A new stub of this test's own breaker. */
function stub(name = key): DurableObjectStub & BreakerPort {
  return env.BREAKER.getByName(name);
}

function inside<R>(run: (state: DurableObjectState) => R | Promise<R>): Promise<R> {
  return runInDurableObject(stub() as unknown as DurableObjectStub<BreakerObject>, (_, state) => run(state));
}

function sync(shard: string, more: Partial<BreakerSync> = {}): Promise<Breaker> {
  const queueRef = Number(/^q(\d+)-/.exec(shard)?.[1]);
  return stub().sync({
    key,
    shard,
    queue: `queue-${queueRef}`,
    queueRef,
    settings: BreakerSettings.parse({ minimum: 10, share: "trusted" }),
    report: null,
    parked: null,
    wantLeaseMs: null,
    probed: null,
    load: { limit: 20, loadFactor: 0.25, budgetLeft: 3 },
    ...more,
  });
}

/** Ten failures of a shard's, in the bucket of now. */
function failures(shard: string, failed = 10): Pick<BreakerSync, "report"> {
  const start = Math.floor(Date.now() / 10_000) * 10_000;
  const bucket = { start, seq: failed, ok: 0, failed, slow: 0, connect: 0 };
  return {
    report: {
      source: `${shard}/1`,
      buckets: [bucket],
      reach: { seq: failed, reachedAt: start, failedAt: [] },
    },
  };
}

const PARKED = { parked: { tasks: 4, probe: { attemptsUsed: 1, attemptsLeft: 2 } }, wantLeaseMs: LEASE_MS };

/** Opens the breaker for these shards, each with tasks parked. */
async function open(...shards: string[]): Promise<void> {
  for (const shard of shards) await sync(shard);
  const [first = ""] = shards;
  expect(await sync(first, failures(first))).toMatchObject({ state: "open" });
  for (const shard of shards) await sync(shard, PARKED);
}

/** Moves time past the open breaker's `until`, and runs its alarm; `halfOpenAt` is that time. */
async function halfOpen(): Promise<ProbeLease> {
  halfOpenAt = Date.now() + 11_000;
  vi.useFakeTimers({ toFake: ["Date"], now: halfOpenAt });
  expect(await runDurableObjectAlarm(stub())).toBe(true);
  return probeOf(await lastTold());
}

function probeOf(breaker: Breaker): ProbeLease {
  if (breaker.state !== "half_open" || breaker.probe === null) throw new Error(`no probe: ${breaker.state}`);
  return breaker.probe;
}

/** What was told last, once every push has come. */
async function lastTold(): Promise<Breaker> {
  const { audit } = (await stub().view()) ?? {};
  return vi.waitFor(() => {
    const last = told.at(-1);
    if (last === undefined || last.breaker.state !== audit?.[0]?.to) throw new Error("not told yet");
    return last.breaker;
  });
}

describe("Breaker", () => {
  test("knows nothing of a target that nobody has called", async () => {
    expect(await stub().view()).toBeNull();
  });

  test("opens by what shards of two queues tell, and tells every shard", async () => {
    await sync("q1-0", failures("q1-0", 4));
    await sync("q2-0", failures("q2-0", 4));
    await sync("q2-1");
    expect(await sync("q1-1", failures("q1-1", 2))).toMatchObject({ state: "open", trips: 1 });
    await vi.waitFor(() =>
      expect(told.map(({ shard }) => shard).sort()).toEqual(["q1-0", "q1-1", "q2-0", "q2-1"]),
    );
    expect(told.filter(({ announced }) => announced)).toHaveLength(2);
    expect(await stub().view()).toMatchObject({
      key,
      state: "open",
      windows: { ok: 0, failed: 10 },
      failure_rate: 1,
      limit: 80,
      load_factor: 0.25,
      budget_left: 12,
      audit: [{ from: "closed", to: "open", by: "counts" }],
    });
  });

  test("forgets nothing but the latest counts when its object is evicted", async () => {
    await open("q1-0", "q2-0");
    const before = await stub().view();
    await evictDurableObject(stub());
    const after = await stub().view();
    // What shards told of themselves is told again with their next word.
    expect(after).toEqual({ ...before, limit: null, load_factor: null, budget_left: null });
    await inside(async ({ storage }) => {
      expect(await storage.getAlarm()).toBe(Date.parse(after?.until ?? ""));
    });
  });

  test("goes on after an eviction: half open, one probe, for a shard that has tasks", async () => {
    await open("q1-0", "q2-0");
    told = [];
    await evictDurableObject(stub());
    const probe = await halfOpen();
    await vi.waitFor(() => expect(told.map(({ shard }) => shard).sort()).toEqual(["q1-0", "q2-0"]));
    expect(probe).toEqual({ lease: expect.any(Number), shard: "q1-0", until: halfOpenAt + LEASE_MS });
    for (const { breaker } of told) expect(probeOf(breaker)).toEqual(probe);
  });

  test("leases one probe at a time over two shards of two queues, and closes after three", async () => {
    await open("q1-0", "q2-0");
    let probe = await halfOpen();
    const holders: string[] = [];
    for (let i = 0; i < 3; i++) {
      const other = probe.shard === "q1-0" ? "q2-0" : "q1-0";
      expect(probeOf(await sync(other, PARKED))).toEqual(probe);
      holders.push(probe.shard);
      const answer = await sync(probe.shard, { ...PARKED, probed: { lease: probe.lease, ok: true } });
      if (i < 2) probe = probeOf(answer);
    }
    expect(holders).toEqual(["q1-0", "q2-0", "q1-0"]);
    expect(await stub().view()).toMatchObject({ state: "closed", parked: 0, reason: null });
    expect(await lastTold()).toMatchObject({ state: "closed", ramp: true });
  });

  test("lets a shard find out by itself what it could not be told", async () => {
    away.add("q2-0");
    await open("q1-0", "q2-0");
    const asked = await sync("q2-0", PARKED);
    expect(asked.state).toBe("open");
    expect(told.map(({ shard }) => shard)).not.toContain("q2-0");
    await halfOpen();
    expect(probeOf(await sync("q2-0", PARKED)).shard).toBe("q1-0");
  });

  test("gives a probe to another shard where its own cannot be told", async () => {
    await open("q1-0", "q2-0");
    away.add("q1-0");
    await halfOpen();
    const probe = await vi.waitFor(() => {
      const last = probeOf(told.at(-1)?.breaker ?? newBreaker(0));
      expect(last.shard).toBe("q2-0");
      return last;
    });
    expect(probeOf(await sync("q2-0", PARKED))).toEqual(probe);
  });

  test("tells a hold to the other shards of its queue, and nothing of it to others", async () => {
    for (const shard of ["q1-0", "q1-1", "q2-0"]) await sync(shard);
    const holdUntil = Date.now() + 60_000;
    expect(await sync("q1-0", { holdUntil })).toMatchObject({ state: "closed", holdUntil });
    await vi.waitFor(() => expect(told).toMatchObject([{ shard: "q1-1", breaker: { holdUntil } }]));
    expect(await sync("q1-1")).toMatchObject({ holdUntil });
    expect(await sync("q2-0")).not.toHaveProperty("holdUntil");
  });

  test("says who tells that a target is gone, though the object was evicted", async () => {
    expect(await sync("q1-0", { gone: true })).toMatchObject({ tellGone: true });
    await evictDurableObject(stub());
    expect(await sync("q1-1", { gone: true })).toMatchObject({ tellGone: false });
    expect(await sync("q2-0", { gone: true })).toMatchObject({ tellGone: true });
  });

  test("arms its alarm for when it has something to do, never for the past", async () => {
    await open("q1-0");
    await halfOpen();
    const armed = await inside(({ storage }) => storage.getAlarm());
    expect(armed).toBe(halfOpenAt + LEASE_MS);
    // The probe lapses, and nobody else would make one: nothing to wake up for, but to be deleted one day.
    vi.setSystemTime(halfOpenAt + LEASE_MS);
    expect(await runDurableObjectAlarm(stub())).toBe(true);
    expect(await inside(({ storage }) => storage.getAlarm())).toBeGreaterThan(halfOpenAt + 86_000_000);
  });

  test("stays isolated over an eviction until a reset, which is told with a ramp", async () => {
    await sync("q1-0");
    await stub().isolate("moving", "key1");
    await evictDurableObject(stub());
    expect(await sync("q1-0", failures("q1-0"))).toMatchObject({ state: "isolated", reason: "moving" });
    expect(await stub().reset("moved", "key2")).toMatchObject({
      state: "closed",
      audit: [
        { from: "isolated", to: "closed", reason: "moved", by: "key2" },
        { from: "closed", to: "isolated", reason: "moving", by: "key1" },
      ],
    });
    expect(await lastTold()).toMatchObject({ state: "closed", ramp: true });
  });

  test("knows its key by its name, before anybody has told it", async () => {
    expect(await stub().isolate("x", "root")).toMatchObject({ key });
    expect(await stub(breakerName(key, "queue", 7)).isolate("x", "root")).toMatchObject({ key });
    expect(await stub(breakerName(key, "queue", 7)).reset("x", "root")).toMatchObject({ state: "closed" });
    expect(await stub().view()).toMatchObject({ state: "isolated" });
  });
});

describe("a Breaker object's storage", () => {
  const tables = () =>
    inside((state) => state.storage.sql.exec("SELECT name FROM sqlite_master").toArray().length);

  test("stays empty where it is only read", async () => {
    expect(await stub().view()).toBeNull();
    expect(await tables()).toBe(0);
  });

  test("is deleted where nobody has told it anything for a day, and comes back with the next that is told", async () => {
    await open("q1-0");
    const before = Date.now();
    vi.useFakeTimers({ toFake: ["Date"], now: before + 61_000 });
    // Its task has gone elsewhere: half open, it waits for a probe that nobody makes.
    await sync("q1-0");
    await runDurableObjectAlarm(stub());
    expect(await tables()).toBeGreaterThan(0);
    vi.setSystemTime(before + 86_400_000 + 120_000);
    await runDurableObjectAlarm(stub());
    expect(await tables()).toBe(0);
    expect(await stub().view()).toBeNull();
    expect(await runDurableObjectAlarm(stub())).toBe(false);
    expect(await sync("q1-0", failures("q1-0"))).toMatchObject({ state: "open", trips: 1 });
  });

  test("stays where it was told something since, and where an operator holds the target", async () => {
    await sync("q1-0");
    const before = Date.now();
    vi.useFakeTimers({ toFake: ["Date"], now: before + 80_000_000 });
    await sync("q1-0", failures("q1-0", 2));
    vi.setSystemTime(before + 86_400_000 + 1_000);
    expect(await runDurableObjectAlarm(stub())).toBe(true);
    expect(await stub().view()).toMatchObject({ state: "closed" });
    await stub().isolate("moving", "key1");
    vi.setSystemTime(before + 10 * 86_400_000);
    expect(await runDurableObjectAlarm(stub())).toBe(true);
    await evictDurableObject(stub());
    expect(await sync("q1-0")).toMatchObject({ state: "isolated" });
  });
});
