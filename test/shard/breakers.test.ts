import { describe, expect, test } from "vitest";
import { BreakerHost, type Call } from "../support/breaker-host.ts";
import { HOOK } from "../support/shard-messages.ts";
import type { ShardWorld } from "../support/shard-world.ts";

const API = "https://api.example.com";
const RETRY = { retry: { backoff: { strategy: "fixed", initial_interval: "1s", jitter: "none" } } } as const;

/** A queue whose target has just gone down: five calls could not connect, and its breaker is open. */
async function outage(settings: Parameters<BreakerHost["add"]>[1] = {}) {
  const host = new BreakerHost();
  const world = host.add("q1-0", { ...RETRY, ...settings });
  host.down.add(API);
  const failed = await host.submit(world, "api", 5);
  await host.run(100);
  return { host, world, failed };
}

/** The most calls that were under way at the same time. */
function mostAtOnce(calls: readonly Call[]): number {
  return Math.max(
    0,
    ...calls.map(
      (one) =>
        calls.filter(({ startedAt, endedAt }) => startedAt <= one.startedAt && endedAt > one.startedAt)
          .length,
    ),
  );
}

/** How many calls began together, from now on for so long. */
async function waves(host: BreakerHost, forMs: number): Promise<number[]> {
  const since = host.now - 10;
  await host.run(forMs);
  const calls = host.callsTo(API, since).filter(({ isProbe }) => !isProbe);
  return [...Map.groupBy(calls, ({ startedAt }) => startedAt).values()].map((wave) => wave.length);
}

async function states(world: ShardWorld): Promise<Record<string, number>> {
  return Object.fromEntries(Object.entries(await world.counts()).filter(([, count]) => count > 0));
}

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
      [0, 1, 2, 3].map((shard) => host.add(`${queue}-${shard}`, { ...RETRY, shards: 4 })),
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

describe("callbacks", () => {
  test("have a breaker of their receiver, which stops deliveries and no task", async () => {
    const host = new BreakerHost();
    const world = host.add("q1-0", RETRY);
    const receiver = new URL(HOOK.url).origin;
    host.down.add(receiver);
    const tasks = Array.from({ length: 40 }, () => world.taskTo("api", { call: { callback: HOOK } }));
    await world.submitAll(tasks.slice(0, 10));
    await host.settled();
    await host.run(1_000);
    await world.submitAll(tasks.slice(10));
    await host.settled();
    await host.run(20_000);
    expect(await states(world)).toEqual({ succeeded: 40 });
    expect(host.view(receiver)).toMatchObject({ state: "open" });
    expect(host.callsTo(receiver).length).toBeLessThan(16);
    expect(host.callsTo(API)).toHaveLength(40);
    host.down.clear();
    const delivered = async () =>
      world.rows("SELECT id FROM tasks WHERE callback ->> '$.state' = 'delivered'").length === 40;
    await host.runUntil(delivered, 400_000, 1_000);
    // A parked delivery uses no attempt of its own.
    const [most] = world.rows("SELECT max(callback ->> '$.attempt') AS most FROM tasks");
    expect(most?.most).toBeLessThanOrEqual(3);
  });

  test("are not handed over with the answer to the very call that opens their receiver's breaker", async () => {
    const host = new BreakerHost();
    const world = host.add("q1-0", { ...RETRY, retry: { max_attempts: 1 } });
    host.down.add(API);
    const call = { callback: { url: `${API}/hook` } };
    await host.submitTasks(
      world,
      Array.from({ length: 5 }, () => world.taskTo("api", { call, edge: true })),
    );
    await host.run(3_000);
    const last = host.calls.filter(({ grant }) => grant.kind === "attempt").at(-1);
    const deliveries = host.calls.filter(({ grant }) => grant.kind === "callback");
    for (const { startedAt } of deliveries) expect(startedAt).toBeLessThanOrEqual(last?.endedAt ?? 0);
    expect(deliveries.length).toBeLessThan(5);
  });

  test("and tasks for the same origin share its breaker", async () => {
    const { host, world } = await outage();
    const callback = { url: `${API}/hook` };
    await world.submitAll([world.taskTo("other", { call: { callback } })]);
    await host.settled();
    await host.run(3_000);
    expect(host.calls.filter(({ grant }) => grant.kind === "callback")).toEqual([]);
    host.down.clear();
    await host.run(30_000);
    expect(host.calls.filter(({ grant }) => grant.kind === "callback")).toHaveLength(1);
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

describe("an operator", () => {
  test("isolates a target: nothing is called until a reset, and its tasks say why", async () => {
    const host = new BreakerHost();
    const world = host.add("q1-0", RETRY);
    await host.submit(world, "api", 25);
    await host.run(1_000);
    await host.isolate(API, "moving house");
    const before = host.calls.length;
    const [id = ""] = await host.submit(world, "api", 3, true);
    await host.run(3_600_000);
    expect(host.calls.length).toBe(before);
    expect(await world.view(id)).toMatchObject({
      waiting_on: "breaker",
      summary: `Waiting for the breaker of ${API} (isolated since 1 h: moving house); no attempt is used.`,
    });
    world.restart();
    await host.run(600_000);
    expect(host.calls.length).toBe(before);
    await host.reset(API);
    await host.run(5_000);
    expect(await states(world)).toEqual({ succeeded: 28 });
  });

  test("who resets where the push is lost is heard within some minutes", async () => {
    const host = new BreakerHost();
    const world = host.add("q1-0", RETRY);
    await host.submit(world, "api", 25);
    await host.run(1_000);
    await host.isolate(API);
    await host.submit(world, "api", 3);
    host.loses = (what) => what === "push";
    await host.reset(API);
    await host.runUntil(async () => (await states(world)).succeeded === 28, 120_000);
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
