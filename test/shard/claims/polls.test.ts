import { describe, expect, test } from "vitest";
import type { Grant } from "../../../src/protocol/grant.ts";
import type { Probe } from "../../../src/schema/policy.ts";
import type { QueueSettingsInput } from "../../../src/schema/queue.ts";
import { API, mostAtOnce } from "../../support/server/outage.ts";
import { BreakerHost } from "../../support/shard/breaker-host.ts";
import { ShardWorld } from "../../support/shard/shard-world.ts";

const VICTIM = "https://victim.example.com";
const NO_BREAKER = { breaker: { enabled: false }, adaptive_concurrency: false } as const;

function holdOn(probe: Partial<Probe> & { url: string }) {
  const until = { probe: { period: 1_000, timeout: 5_000, success_threshold: 1, ...probe } };
  return { rules: [{ when: "status == 401", do: "hold" as const, until }] };
}

/** A queue with tasks that are held, each on a URL of its own of one origin, which answers 503. */
async function heldOnOwn(count: number, settings: QueueSettingsInput, probe: Partial<Probe> = {}) {
  const host = new BreakerHost();
  const world = host.add("q1-0", settings);
  host.latencyMs = 1;
  host.answer = ({ kind, request }) =>
    kind === "probe" ? { status: 503 } : { status: request.url.includes("api") ? 401 : 200 };
  const tasks = Array.from({ length: count }, (_, i) =>
    world.taskTo("api", { call: { retry: holdOn({ url: `https://victim.example.com/${i}`, ...probe }) } }),
  );
  await host.submitTasks(world, tasks);
  await host.runUntil(async () => (await world.counts()).held === count, 3_600_000, 1_000);
  return { host, world, ids: tasks.map(({ id }) => id) };
}

function polls(host: BreakerHost, since = 0) {
  return host.calls.filter(({ grant, startedAt }) => grant.kind === "probe" && startedAt >= since);
}

describe("polls of held tasks", () => {
  test("go by the rate of their queue, however many there are", async () => {
    const { host } = await heldOnOwn(200, { ...NO_BREAKER, rate: { limit: 4, per: "1s" } });
    const since = host.now;
    await host.run(60_000);
    const made = polls(host, since).length;
    expect(made).toBeGreaterThan(4 * 55);
    expect(made).toBeLessThanOrEqual(4 * 61 + 4);
    expect(host.calls.filter(({ startedAt }) => startedAt >= since)).toHaveLength(made);
  });

  test("take turns with attempts: of four calls that the rate lets go, one is a poll", async () => {
    const { host, world } = await heldOnOwn(200, { ...NO_BREAKER, rate: { limit: 4, per: "1s" } });
    await host.run(5_000);
    const since = host.now;
    await host.submit(world, "other", 200);
    await host.run(40_000);
    const attempts = host.callsTo("https://other.example.com", since).length;
    const polled = polls(host, since).length;
    expect(attempts / polled).toBeGreaterThan(2.5);
    expect(attempts / polled).toBeLessThan(3.5);
  });

  test("hold a quarter of the slots at most, half of that for one origin", async () => {
    const host = new BreakerHost();
    const world = host.add("q1-0", { ...NO_BREAKER, concurrency: 32 });
    host.answer = ({ kind }) => (kind === "probe" ? { status: 503, durationMs: 60_000 } : { status: 401 });
    for (const name of ["a", "b"])
      await host.submitTasks(
        world,
        Array.from({ length: 50 }, (_, i) =>
          world.taskTo("api", {
            call: { retry: holdOn({ url: `https://${name}.example.com/${i}`, timeout: 60_000 }) },
          }),
        ),
      );
    await host.run(30_000);
    const under = (name: string) => host.callsTo(`https://${name}.example.com`).length;
    expect([under("a"), under("b")]).toEqual([4, 4]);
    // The other slots are there for attempts.
    host.answer = () => ({ durationMs: 10_000 });
    await host.submit(world, "other", 40);
    expect(host.callsTo("https://other.example.com")).toHaveLength(24);
  });

  test("are no more than a quarter of the calls that their target may have", async () => {
    const { host, world } = await heldOnOwn(60, { breaker: { enabled: false }, concurrency: 64 }, {});
    host.latencyMs = 5_000;
    const since = host.now;
    await host.run(60_000);
    // A shard begins with 20 calls at a time to a target that it does not know yet.
    expect(mostAtOnce(polls(host, since))).toBe(5);
    expect(world.shard.ctx.flights.probes).toBe(5);
  });

  test("wait for their target's breaker, and are its probe where nothing else waits", async () => {
    const { host, world, ids } = await heldOnOwn(3, {});
    const victim = "https://victim.example.com";
    host.down.add(victim);
    const served = host.answer;
    host.answer = (grant, to) =>
      host.down.has(to)
        ? { status: 0, error: { name: "Error", message: "connect ECONNREFUSED 192.0.2.1:443" } }
        : served(grant, to);
    const failing = await host.submit(world, "victim", 5);
    await host.run(200);
    expect(host.view(victim).state).toBe("open");
    for (const id of failing) await world.operate(id, "cancel");
    const since = host.now;
    await host.run(4_000);
    expect(polls(host, since)).toEqual([]);
    expect((await world.view(ids[0] ?? "")).summary).toMatch(
      /Its poll is held back: waiting for the breaker of https:\/\/victim\.example\.com \(open since .*\); next probe in/,
    );
    await host.run(60_000);
    const tried = polls(host, since);
    expect(tried.length).toBeGreaterThan(0);
    expect(tried.length).toBeLessThan(12);
    expect(tried.every(({ isProbe }) => isProbe)).toBe(true);
    host.down.clear();
    host.answer = () => ({});
    await host.runUntil(async () => (await world.counts()).succeeded === 3, 120_000);
    expect(host.view(victim).state).toBe("closed");
  });

  test("that fail do not open their target's breaker: not ready is an answer", async () => {
    const { host } = await heldOnOwn(30, {});
    await host.run(120_000);
    expect(polls(host).length).toBeGreaterThan(100);
    expect(host.view("https://victim.example.com")).toMatchObject({ state: "closed", audit: [] });
  });

  test("wait while their target has asked for no calls", async () => {
    const { host, world, ids } = await heldOnOwn(2, NO_BREAKER);
    host.answer = ({ kind }) =>
      kind === "probe" ? { status: 503 } : { status: 429, headers: { "retry-after": "60" } };
    await host.submit(world, "victim", 1);
    await host.run(1_000);
    const since = host.now;
    await host.run(55_000);
    expect(polls(host, since)).toEqual([]);
    expect((await world.view(ids[0] ?? "")).summary).toMatch(
      /Its poll is held back: waiting since https:\/\/victim\.example\.com asked for it; it may be called again in/,
    );
    await host.run(10_000);
    expect(polls(host, since).length).toBeGreaterThan(0);
  });

  test("keep a Retry-After of their own", async () => {
    const { host } = await heldOnOwn(1, NO_BREAKER);
    host.answer = () => ({ status: 503, headers: { "retry-after": "30" } });
    await host.run(2_000);
    const since = host.now;
    await host.run(27_000);
    expect(polls(host, since)).toEqual([]);
  });

  test("go on at once when an operator releases their target, though it was told a day", async () => {
    const { host, world } = await heldOnOwn(2, NO_BREAKER);
    host.answer = () => ({ status: 429, headers: { "retry-after": "86400" } });
    await host.run(5_000);
    const since = host.now;
    await host.run(60_000);
    expect(polls(host, since)).toEqual([]);
    expect(await world.shard.hold("https://other.example.com", true)).toBeNull();
    expect(await world.shard.hold(VICTIM, true)).toBeGreaterThan(host.now + 10_000_000);
    host.answer = () => ({ status: 200 });
    await host.run(2_000);
    expect(polls(host, since)).toHaveLength(2);
    expect(await world.counts()).toMatchObject({ held: 0, succeeded: 2 });
  });

  test("wait no longer than the queue allows once its max_retry_after is shorter", async () => {
    const { host, world } = await heldOnOwn(1, { ...NO_BREAKER, retry: { max_retry_after: "7d" } });
    host.answer = () => ({ status: 429, headers: { "retry-after": "86400" } });
    await host.run(5_000);
    world.restart();
    await world.configure({ settings: { ...world.config.settings, retry: { max_retry_after: 20_000 } } });
    const since = host.now;
    await host.run(19_000);
    expect(polls(host, since)).toEqual([]);
    await host.run(2_000);
    expect(polls(host, since)).toHaveLength(1);
  });

  test("slow down while they fail, by up to eight periods", async () => {
    const { host } = await heldOnOwn(1, NO_BREAKER);
    await host.run(600_000);
    const since = host.now;
    await host.run(80_000);
    expect(polls(host, since).length).toBeLessThanOrEqual(11);
    expect(polls(host, since).length).toBeGreaterThanOrEqual(9);
  });

  test("that wait for a gate arm no alarm but for when it may open", async () => {
    const { host, world } = await heldOnOwn(50, { ...NO_BREAKER, rate: { limit: 1, per: "10s" } });
    await host.run(20_000);
    const before = world.alarmsRun;
    await host.run(100_000);
    // Ten tokens, each with a call that ends.
    expect(world.alarmsRun - before).toBeLessThan(50);
  });
});

describe("one URL that several tasks wait for", () => {
  const URL_OF_ALL = "https://ready.example.com/";

  async function held(world: ShardWorld, probe: Partial<Probe>): Promise<string> {
    const { id, grant } = await world.submit(
      world.task({ call: { retry: holdOn({ url: URL_OF_ALL, ...probe }) } }),
    );
    if (grant === null) throw new Error("no grant");
    await world.settle(grant, { status: 401 });
    return id;
  }

  function handed(world: ShardWorld): Grant[] {
    return world.handed.map(({ grant }) => grant).filter(({ kind }) => kind === "probe");
  }

  test("is polled once, at the shortest period and for the longest timeout that any asks for", async () => {
    const world = new ShardWorld();
    await held(world, { period: 60_000, timeout: 1_000 });
    await held(world, { period: 2_000, timeout: 3_000 });
    await held(world, { period: 2_000, timeout: 9_000, success_threshold: 2 });
    await world.advance(2_000);
    expect(handed(world)).toMatchObject([{ request: { url: URL_OF_ALL, timeoutMs: 9_000 } }]);
    await world.settle(world.nextHanded(), { status: 503 });
    await world.advance(2_000);
    expect(handed(world)).toHaveLength(1);
  });

  test("sets each free by as many successes as it wants, and not by an answer later than its timeout", async () => {
    const world = new ShardWorld();
    const one = await held(world, {});
    const two = await held(world, { success_threshold: 2 });
    const three = await held(world, { success_threshold: 3 });
    const hurried = await held(world, { timeout: 100 });
    const states = async () =>
      Promise.all([one, two, three, hurried].map(async (id) => (await world.view(id)).state));
    const poll = async (result: object) => {
      await world.advance(1_000);
      const [grant] = handed(world);
      if (grant === undefined) throw new Error("no poll was made");
      await world.settle(grant, { durationMs: 500, ...result });
    };
    await poll({ status: 200 });
    expect(await states()).toEqual(["running", "held", "held", "held"]);
    await poll({ status: 503 });
    await poll({ status: 200 });
    expect(await states()).toEqual(["running", "held", "held", "held"]);
    world.restart();
    await poll({ status: 200 });
    expect(await states()).toEqual(["running", "running", "held", "held"]);
    await poll({ status: 200, durationMs: 50 });
    expect(await states()).toEqual(["running", "running", "running", "running"]);
    expect(world.rows("SELECT * FROM polls")).toEqual([]);
  });

  test("is polled for tasks that the release before put on hold", async () => {
    const world = new ShardWorld();
    const id = await held(world, {});
    // As the release before wrote it.
    const key = JSON.stringify([URL_OF_ALL, 1_000, 5_000, 1]);
    world.storage.sql.exec("DELETE FROM polls");
    world.storage.sql.exec(
      "INSERT INTO probes (key, due_at, successes, lease, lease_until) VALUES (?, ?, 0, 3, ?)",
      key,
      world.now + 1_000,
      world.now + 20_000,
    );
    world.restart();
    expect(world.rows("SELECT * FROM probes")).toEqual([]);
    await world.advance(1_000);
    const [poll] = handed(world);
    if (poll === undefined) throw new Error("no poll was made");
    await world.settle(poll);
    expect(await world.view(id)).toMatchObject({ state: "running" });
  });

  test("is polled again later where its row cannot be worked on, and others meanwhile", async () => {
    const world = new ShardWorld();
    await held(world, {});
    const { grant } = await world.submit(
      world.task({ call: { retry: holdOn({ url: "https://other.example.com/" }) } }),
    );
    if (grant === null) throw new Error("no grant");
    await world.settle(grant, { status: 401 });
    world.storage.sql.exec("UPDATE polls SET streaks = 'x' WHERE url = ?", URL_OF_ALL);
    await world.advance(2_000);
    expect(handed(world).map(({ request }) => request.url)).toEqual(["https://other.example.com/"]);
    expect(world.logged("row.failed")).toHaveLength(1);
    world.storage.sql.exec("UPDATE polls SET streaks = '{}' WHERE url = ?", URL_OF_ALL);
    await world.advance(6_000);
    expect(handed(world)).toHaveLength(2);
  });
});

describe("the readiness URL of a queue", () => {
  test("takes a slot and of the rate, as the attempt would in whose place it goes", async () => {
    const host = new BreakerHost();
    const readiness = { url: `${API}/ready`, timeout: "5s" };
    const world = host.add("q1-0", { breaker: { readiness }, rate: { limit: 1, per: "1s" }, concurrency: 2 });
    host.down.add(API);
    await host.submit(world, "api", 6);
    await host.runUntil(() => polls(host).length > 0, 60_000, 10);
    expect(world.shard.ctx.slots.free).toBe(1);
    expect(world.shard.ctx.rate.room(1)).toBe(0);
  });
});
