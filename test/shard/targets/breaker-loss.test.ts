import { describe, expect, test } from "vitest";
import type { Breaker } from "../../../src/core/breaker/breaker.ts";
import { BreakerHost } from "../../support/shard/breaker-host.ts";
import { settleMessage } from "../../support/shard/shard-messages.ts";
import { ShardWorld } from "../../support/shard/shard-world.ts";

const API = "https://api.example.com";
const RETRY = { retry: { backoff: { strategy: "fixed", initial_interval: "1s", jitter: "none" } } } as const;
const TRUSTED = { ...RETRY, breaker: { share: "trusted" } } as const;

async function succeeded(world: ShardWorld): Promise<number> {
  return (await world.counts()).succeeded;
}

/** Two queues of one shard each, whose common target has gone down; ten tasks wait in each. */
async function outage() {
  const host = new BreakerHost();
  const [one, two] = ["q1-0", "q2-0"].map((name) => host.add(name, TRUSTED));
  if (one === undefined || two === undefined) throw new Error("no shards");
  host.down.add(API);
  await host.submit(two, "api", 1);
  await host.submit(one, "api", 5);
  await host.run(1_000);
  await host.submit(one, "api", 5);
  await host.submit(two, "api", 9);
  return { host, one, two };
}

describe("a lost push", () => {
  test("of an outage costs a shard no more than the calls that it takes to see for itself", async () => {
    const host = new BreakerHost();
    const [one, two] = ["q1-0", "q2-0"].map((name) => host.add(name, TRUSTED));
    if (one === undefined || two === undefined) throw new Error("no shards");
    host.loses = (what) => what === "push";
    await host.submit(two, "api", 25);
    await host.run(1_000);
    host.down.add(API);
    await host.submit(one, "api", 5);
    await host.run(100);
    for (let i = 0; i < 50; i++) {
      await host.submit(two, "api", 1);
      await host.run(100);
    }
    // The first failure is told at once, and the answer is that the target is down.
    expect(
      host.calls.filter(({ shard, status }) => shard === "q2-0" && status === 0).length,
    ).toBeLessThanOrEqual(2);
  });

  test("of the end of an outage costs seconds", async () => {
    const { host, one, two } = await outage();
    host.down.clear();
    host.loses = (what) => what === "push";
    await host.runUntil(async () => (await succeeded(one)) === 10 || (await succeeded(two)) === 10, 90_000);
    const late = await host.runUntil(
      async () => (await succeeded(one)) + (await succeeded(two)) === 20,
      60_000,
    );
    expect(late).toBeLessThanOrEqual(15_000);
  });
});

describe("an answer that was given before the shard found its target down", () => {
  test("does not take that back, and the Breaker object hears at once why", async () => {
    const world = new ShardWorld({ breaker: {} });
    const closed: Breaker = {
      state: "closed",
      version: world.now - 5_000,
      since: world.now - 5_000,
      ramp: false,
    };
    let answer: (breaker: Breaker) => void = () => undefined;
    world.onBreaker = () => new Promise((resolve) => (answer = resolve));
    const grants = [];
    for (let i = 0; i < 5; i++) grants.push(await world.submitGranted());
    const error = { name: "Error", message: "connect ECONNREFUSED" };
    for (const grant of grants) await world.shard.settle(settleMessage(grant, { status: 0, error }));
    const state = () => world.shard.ctx.targets.get(API).local.breaker.state;
    expect([state(), world.syncs.length]).toEqual(["open", 1]);
    const open: Breaker = { ...world.shard.ctx.targets.get(API).local.breaker, version: world.now + 1 };
    world.onBreaker = () => open;
    answer(closed);
    await world.settled();
    expect(state()).toBe("open");
    expect(world.syncs[1]?.report?.buckets).toMatchObject([{ failed: 5 }]);
  });
});

describe("any message, lost at random", () => {
  test.each([0.1, 0.5, 0.9])(
    "with a chance of %d, keeps nobody waiting for ever, and no open target called but by probes",
    async (chance) => {
      const { host, one, two } = await outage();
      let seed = 7;
      host.loses = () => {
        seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
        return seed / 2 ** 31 < chance;
      };
      const before = host.calls.length;
      await host.run(300_000);
      // Two shards on their own make a probe each, in up to 60 s with 30 s of it by chance.
      expect(host.calls.length - before).toBeLessThanOrEqual(40);
      host.down.clear();
      await host.runUntil(async () => (await succeeded(one)) + (await succeeded(two)) === 20, 300_000);
    },
  );
});

describe("a Breaker object that cannot be reached", () => {
  test("blocks nothing: the shard trips by its own counts, probes by itself, and goes on", async () => {
    const { host, one, two } = await outage();
    host.loses = () => true;
    const before = host.calls.length;
    await host.run(120_000);
    const probes = host.calls.slice(before);
    expect(probes.length).toBeGreaterThan(2);
    expect(probes.length).toBeLessThan(24);
    host.down.clear();
    await host.runUntil(async () => (await succeeded(one)) + (await succeeded(two)) === 20, 120_000);
    // It is told what it missed once it can be reached.
    host.loses = () => false;
    await host.submit(one, "api", 3);
    host.down.add(API);
    await host.submit(one, "api", 6);
    await host.run(5_000);
    expect(host.view(API).state).toBe("open");
  });

  test("is asked no more than once in some seconds, and not for ever for a target that gives no trouble", async () => {
    const host = new BreakerHost();
    const world = host.add("q1-0", RETRY);
    host.loses = () => true;
    host.answer = (grant) => ({ status: grant.number === 1 ? 500 : 200 });
    await host.submit(world, "api", 1);
    await host.run(5_000);
    expect(await succeeded(world)).toBe(1);
    await host.run(600_000);
    expect(world.syncs.length).toBeLessThanOrEqual(10);
    const alarms = world.alarmsRun;
    await host.run(3_600_000);
    expect(world.alarmsRun - alarms).toBeLessThanOrEqual(2);
  });

  test("cannot hold a target that an operator isolated free again", async () => {
    const { host, one } = await outage();
    await host.isolate(API);
    host.loses = () => true;
    const before = host.calls.length;
    await host.run(600_000);
    expect(host.calls.length).toBe(before);
    expect(await one.view((await host.submit(one, "api"))[0] ?? "")).toMatchObject({ waiting_on: "breaker" });
  });
});

describe("a shard that loses its memory", () => {
  test("goes on where it was: parked tasks stay parked, and it asks when it is time", async () => {
    const { host, one, two } = await outage();
    const before = host.calls.length;
    for (let i = 0; i < 5; i++) {
      one.restart();
      two.restart();
      await one.alarm();
      await host.submit(one, "api", 1, true);
      await host.run(300);
    }
    expect(host.calls.length).toBe(before);
    host.down.clear();
    await host.runUntil(async () => (await succeeded(one)) + (await succeeded(two)) === 25, 60_000);
  });

  test("needs no push to go on, though its alarm is all that wakes it", async () => {
    const { host, one, two } = await outage();
    host.down.clear();
    host.loses = (what) => what === "push";
    one.restart();
    two.restart();
    await host.runUntil(async () => (await succeeded(one)) + (await succeeded(two)) === 20, 30_000);
  });

  test("forgets the outage of a target that nothing has waited for in a day, but never that it is isolated", async () => {
    const { host, one } = await outage();
    for (const row of one.rows("SELECT id FROM tasks")) await one.operate(String(row.id), "cancel");
    await host.run(25 * 3_600_000);
    one.restart();
    expect(one.rows("SELECT key FROM targets")).toEqual([]);
    await host.isolate(API);
    await host.run(48 * 3_600_000);
    one.restart();
    expect(one.rows("SELECT key FROM targets")).toEqual([{ key: API }]);
  });

  test("reads a row of a target that makes no sense as none, and is told again", async () => {
    const { host, one } = await outage();
    one.storage.sql.exec("UPDATE targets SET breaker = '{nonsense'");
    one.restart();
    const before = host.callsTo(API).length;
    await host.submit(one, "api", 3, true);
    await host.run(3_000);
    expect(host.callsTo(API).length - before).toBeLessThanOrEqual(13);
    expect(one.rows("SELECT key FROM targets")).toEqual([{ key: API }]);
  });
});
