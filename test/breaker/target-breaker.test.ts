import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import type { Breaker, ProbeLease } from "../../src/core/breaker/breaker.ts";
import type { BreakerSync } from "../../src/protocol/breaker-api.ts";
import { BreakerSettings, MAX_BREAKER_AUDIT } from "../../src/schema/breaker.ts";
import { migrationsIn } from "../support/migrations.ts";
import {
  BreakerWorld,
  buildReport,
  buildSync,
  KEY,
  LEASE_MS,
  type Push,
  parked,
  START,
} from "../support/shard/breaker-world.ts";

const MIGRATION = migrationsIn("breaker")
  .map(({ sql }) => sql)
  .join("\n");

let world: BreakerWorld;

beforeEach(() => {
  world = new BreakerWorld(MIGRATION);
});

/** Makes these shards known, and the first of them trip the breaker with ten failures. */
async function trip(...shards: string[]): Promise<Breaker> {
  for (const shard of shards) world.breaker.sync(buildSync(shard));
  const [first = ""] = shards;
  const report = buildReport(`${first}/1`, world.now, { failed: 10 });
  const breaker = world.breaker.sync(buildSync(first, { report, ...parked() }));
  expect(breaker.state).toBe("open");
  return breaker;
}

/** The probe that a breaker leases now; throws where it leases none. */
function leaseOf(breaker: Breaker): ProbeLease {
  if (breaker.state !== "half_open" || breaker.probe === null) throw new Error(`no probe: ${breaker.state}`);
  return breaker.probe;
}

/** Shards by what they were told last. */
const shardsOf = (pushes: readonly Push[]) => pushes.map(({ shard }) => shard).sort();
const announcersOf = (pushes: readonly Push[]) => shardsOf(pushes.filter(({ announce }) => announce));

describe("what shards tell of paths", () => {
  const told = (path: string | null, at = world.now) => ({
    seen: [{ path: "/good", at: [at + 1, at + 2] }],
    failed: { path, from: at, to: at },
  });
  const report = (shard: string) => buildReport(`${shard}/1`, world.now, { failed: 10 });

  test("keeps it closed while all failures are on one path and others succeed, and is told to the others", () => {
    const paths = told("/bad");
    const news = world.breaker.sync(buildSync("q1-0", { report: report("q1-0"), paths }));
    expect(news).toMatchObject({ state: "closed", seen: paths.seen });
    expect(world.breaker.sync(buildSync("q1-1"))).not.toHaveProperty("seen");
    const other = { seen: [{ path: "/else", at: [world.now + 9] }], failed: null };
    expect(world.breaker.sync(buildSync("q1-1", { paths: other })).seen).toEqual([
      ...paths.seen,
      ...other.seen,
    ]);
  });

  test("opens it where they fail on several paths, or one shard may split nothing off", () => {
    for (const path of ["/other", null]) {
      world = new BreakerWorld(MIGRATION);
      world.breaker.sync(buildSync("q1-0", { report: report("q1-0"), paths: told("/bad") }));
      const news = world.breaker.sync(buildSync("q1-1", { report: report("q1-1"), paths: told(path) }));
      expect(news.state).toBe("open");
    }
  });

  test("is forgotten after the window, and where a shard says nothing of paths any more", () => {
    const paths = told("/bad");
    world.breaker.sync(buildSync("q1-0", { report: report("q1-0"), paths }));
    world.now += 61_000;
    // What succeeded then is no success since what fails now.
    const late = { seen: [], failed: { path: "/bad", from: world.now, to: world.now } };
    const news = world.breaker.sync(buildSync("q1-1", { report: report("q1-1"), paths: late }));
    expect(news.state).toBe("open");
    world = new BreakerWorld(MIGRATION);
    world.breaker.sync(buildSync("q1-0", { report: report("q1-0"), paths: told("/bad") }));
    expect(world.breaker.sync(buildSync("q1-0", { report: report("q1-0") })).state).toBe("open");
  });
});

describe("what shards tell", () => {
  test("is summed over shards and queues, and opens the breaker for all of them", async () => {
    for (const shard of ["q1-0", "q1-1", "q2-0"]) {
      const report = buildReport(`${shard}/1`, world.now, { failed: 3 });
      expect(world.breaker.sync(buildSync(shard, { report })).state).toBe("closed");
    }
    const report = buildReport("q2-1/1", world.now, { failed: 1 });
    const opened = world.breaker.sync(buildSync("q2-1", { report }));
    expect(opened).toMatchObject({ state: "open", reason: "10 of 10 calls failed in 60 s" });
    const pushes = await world.taken();
    expect(shardsOf(pushes)).toEqual(["q1-0", "q1-1", "q2-0", "q2-1"]);
    expect(pushes.every(({ breaker }) => breaker.version === opened.version)).toBe(true);
  });

  test("counts once, however often it comes", () => {
    const report = buildReport("q1-0/1", world.now, { failed: 9 });
    for (let i = 0; i < 5; i++) world.breaker.sync(buildSync("q1-0", { report }));
    expect(world.breaker.view()).toMatchObject({ state: "closed", windows: { failed: 9 } });
  });

  test("is weighed by the settings of the queue that tells it", () => {
    const failed = { report: buildReport("q1-0/1", world.now, { failed: 10 }) };
    const off = BreakerSettings.parse({ share: "trusted", enabled: false });
    expect(world.breaker.sync(buildSync("q1-0", { ...failed, settings: off })).state).toBe("closed");
    const careful = BreakerSettings.parse({ share: "trusted", minimum: 100 });
    expect(world.breaker.sync(buildSync("q1-0", { ...failed, settings: careful })).state).toBe("closed");
    expect(world.breaker.sync(buildSync("q1-0", failed)).state).toBe("open");
  });

  test("is kept as long as the longest window of a queue that lately said something", () => {
    const settings = BreakerSettings.parse({ share: "trusted", window: "10m", minimum: 100 });
    const early = buildReport("q1-0/1", world.now, { failed: 5 });
    world.breaker.sync(buildSync("q1-0", { report: early, settings }));
    world.now += 300_000;
    const late = buildReport("q2-0/1", world.now, { failed: 4 });
    world.breaker.sync(buildSync("q2-0", { report: late }));
    expect(world.breaker.view()?.windows.failed).toBe(9);
  });

  test("writes nothing where it is no news", () => {
    world.breaker.sync(buildSync("q1-0"));
    expect(world.writes).toEqual(["INSERT INTO shards"]);
    world.breaker.sync(buildSync("q1-0", { load: { limit: 7, loadFactor: 0.5, budgetLeft: 3 } }));
    expect(world.writes).toHaveLength(1);
  });

  test("has its counts written at most every five seconds while the breaker is closed", () => {
    world.breaker.sync(buildSync("q1-0"));
    world.writes.length = 0;
    for (let i = 1; i <= 9; i++) {
      const report = buildReport("q1-0/1", START, { failed: i });
      world.breaker.sync(buildSync("q1-0", { report }));
      world.now += 1_000;
    }
    expect(world.writes).toEqual(["INSERT INTO breaker", "INSERT INTO breaker"]);
    world.evict();
    expect(world.breaker.view()?.windows.failed).toBe(6);
  });

  test("is written down of parked tasks only where it matters for the next probe", async () => {
    await trip("q1-0");
    world.writes.length = 0;
    for (const tasks of [1, 2, 3, 4]) world.breaker.sync(buildSync("q1-0", parked(tasks)));
    expect(world.writes.filter((write) => write === "INSERT INTO shards")).toHaveLength(2);
    expect(world.breaker.view()?.parked).toBe(4);
  });

  test("leaves nothing behind where it could not be stored", async () => {
    await trip("q1-0");
    const before = world.breaker.view();
    world.failOn = "INSERT INTO audit";
    expect(() => world.breaker.isolate("x", "root")).toThrow("disk full");
    expect(world.breaker.view()?.state).toBe("open");
    expect(world.breaker.view()?.audit).toEqual(before?.audit);
  });
});

describe("an open breaker", () => {
  test("is half open from its until on, with a probe for the shard whose task has used the fewest", async () => {
    const opened = await trip("q1-0", "q1-1", "q2-0");
    world.breaker.sync(buildSync("q1-1", parked(5, 0)));
    world.breaker.sync(buildSync("q2-0", parked(1_000, 2)));
    await world.taken();
    expect(world.alarmAt).toBe(opened.state === "open" && opened.until);
    const pushes = await world.runAlarm();
    expect(shardsOf(pushes)).toEqual(["q1-0", "q1-1", "q2-0"]);
    for (const { breaker } of pushes) {
      expect(leaseOf(breaker)).toMatchObject({ shard: "q1-1", until: world.now + LEASE_MS });
    }
    expect(world.alarmAt).toBe(world.now + LEASE_MS);
  });

  test("is so too for a shard that asks where the alarm is lost", async () => {
    await trip("q1-0", "q1-1");
    world.now += 20_000;
    const asked = world.breaker.sync(buildSync("q1-1", parked(1, 0)));
    expect(leaseOf(asked).shard).toBe("q1-1");
  });

  test("survives the object, with its shards and what they have parked", async () => {
    const opened = await trip("q1-0", "q2-0");
    world.breaker.sync(buildSync("q2-0", parked(7, 0)));
    await world.taken();
    world.evict();
    expect(world.breaker.view()).toMatchObject({ state: "open", key: KEY, parked: 8, trips: 1 });
    const [push] = await world.runAlarm();
    expect(leaseOf(push?.breaker ?? opened).shard).toBe("q2-0");
  });
});

describe("probes", () => {
  /** Half open, with the first shard's probe under way. */
  async function halfOpen(...shards: string[]): Promise<ProbeLease> {
    await trip(...shards);
    for (const shard of shards) world.breaker.sync(buildSync(shard, parked()));
    await world.taken();
    const [push] = await world.runAlarm();
    if (push === undefined) throw new Error("nobody was told");
    return leaseOf(push.breaker);
  }

  test("go round the shards one at a time until enough have succeeded", async () => {
    let lease = await halfOpen("q1-0", "q1-1", "q2-0");
    const order: string[] = [];
    for (let i = 0; i < 3; i++) {
      order.push(lease.shard);
      const probed = { lease: lease.lease, ok: true };
      const answer = world.breaker.sync(buildSync(lease.shard, { probed, ...parked() }));
      if (answer.state === "closed") break;
      lease = leaseOf(answer);
      const told = await world.taken();
      expect(told.map(({ shard }) => shard)).toEqual([lease.shard]);
    }
    expect(order).toEqual(["q1-0", "q1-1", "q2-0"]);
    expect(world.breaker.view()).toMatchObject({ state: "closed", parked: 0, trips: 0, reason: null });
    const pushes = await world.taken();
    expect(shardsOf(pushes)).toEqual(["q1-0", "q1-1", "q2-0"]);
    expect(pushes[0]?.breaker).toMatchObject({ state: "closed", ramp: true });
  });

  test("open it for longer where one fails", async () => {
    const { lease, shard } = await halfOpen("q1-0", "q1-1");
    const answer = world.breaker.sync(buildSync(shard, { probed: { lease, ok: false }, ...parked() }));
    expect(answer).toMatchObject({ state: "open", trips: 2, until: world.now + 15_000 });
    expect(shardsOf(await world.taken())).toEqual(["q1-0", "q1-1"]);
    expect(world.alarmAt).toBe(world.now + 15_000);
  });

  test("go to another shard at once where the chosen one cannot be told", async () => {
    await trip("q1-0", "q1-1");
    for (const shard of ["q1-0", "q1-1"]) world.breaker.sync(buildSync(shard, parked()));
    await world.taken();
    world.away.add("q1-0");
    const pushes = await world.runAlarm();
    expect(pushes.at(-1)).toMatchObject({ shard: "q1-1", breaker: { probe: { shard: "q1-1" } } });
  });

  test("go to another shard where a lease lapses, and back once the first one asks again", async () => {
    await halfOpen("q1-0", "q1-1");
    const [push] = await world.runAlarm();
    expect(leaseOf(push?.breaker as Breaker).shard).toBe("q1-1");
    world.breaker.sync(buildSync("q1-0", parked()));
    const [again] = await world.runAlarm();
    expect(leaseOf(again?.breaker as Breaker).shard).toBe("q1-0");
  });

  test("wait for a shard that asks where nobody is left who would make one", async () => {
    await halfOpen("q1-0");
    expect(await world.runAlarm()).toEqual([]);
    expect(world.alarmAt).toBeNull();
    expect(leaseOf(world.breaker.sync(buildSync("q1-0", parked()))).until).toBe(world.now + LEASE_MS);
  });

  test("are offered to all shards where the last one known to have tasks has ended its own", async () => {
    await trip("q1-0", "q1-1");
    await world.taken();
    const [push] = await world.runAlarm();
    const { lease, shard } = leaseOf(push?.breaker as Breaker);
    world.breaker.sync(buildSync(shard, { probed: { lease, ok: true } }));
    const pushes = await world.taken();
    expect(shardsOf(pushes)).toEqual(["q1-0", "q1-1"]);
    expect(pushes[0]?.breaker).toMatchObject({ state: "half_open", probe: null, successes: 1 });
  });

  test("are not given to a shard that would make none", async () => {
    const { lease, shard } = await halfOpen("q1-0");
    const full = { ...parked(), wantLeaseMs: null, probed: { lease, ok: true } };
    expect(world.breaker.sync(buildSync(shard, full))).toMatchObject({ state: "half_open", probe: null });
  });

  test("are freed where an outcome says nothing", async () => {
    const { lease, shard } = await halfOpen("q1-0");
    const answer = world.breaker.sync(buildSync(shard, { probed: { lease, ok: null }, ...parked() }));
    expect(leaseOf(answer).lease).toBeGreaterThan(lease);
  });

  test("never are two at a time, whatever comes in which order", async () => {
    const shards = ["q1-0", "q1-1", "q1-2", "q2-0", "q2-1"];
    const step = fc.record({
      shard: fc.constantFrom(...shards),
      kind: fc.constantFrom("ask", "ok", "failed", "nothing", "away", "alarm", "evict"),
      waitMs: fc.integer({ min: 0, max: 40_000 }),
    });
    let most = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        world = new BreakerWorld(MIGRATION);
        await trip(...shards);
        let live: ProbeLease | null = null;
        let given = 0;
        for (const { shard, kind, waitMs } of steps) {
          world.now += waitMs;
          const told: [string, Breaker][] = [];
          if (kind === "alarm") world.breaker.alarm();
          else if (kind === "evict") world.evict();
          else if (kind === "away") world.away.add(shard);
          else {
            const ok = kind === "ok" ? true : kind === "failed" ? false : null;
            const probed: BreakerSync["probed"] =
              kind !== "ask" && live?.shard === shard ? { lease: live.lease, ok } : null;
            if (probed !== null) live = null;
            told.push([shard, world.breaker.sync(buildSync(shard, { ...parked(), probed }))]);
          }
          for (const push of await world.taken()) told.push([push.shard, push.breaker]);
          for (const [to, breaker] of told) {
            const probe = breaker.state === "half_open" ? breaker.probe : null;
            if (probe?.shard !== to || probe.lease === live?.lease || probe.until <= world.now) continue;
            // A shard that cannot be told may have its lease taken back.
            if (live !== null && !world.away.has(live.shard))
              expect(live.until).toBeLessThanOrEqual(world.now);
            live = probe;
            given++;
          }
        }
        most = Math.max(most, given);
      }),
      { numRuns: 100 },
    );
    expect(most).toBeGreaterThan(3);
  });
});

describe("operators' events", () => {
  test("go to one shard of each queue when it opens and when it closes, and for nothing in between", async () => {
    await trip("q1-0", "q1-1", "q2-0", "q2-1");
    const opened = await world.taken();
    expect(announcersOf(opened)).toEqual(["q1-0", "q2-0"]);
    expect(opened.find(({ announce }) => announce)?.announce).toMatchObject({ from: "closed", to: "open" });
    const probing = await world.runAlarm();
    expect(announcersOf(probing)).toEqual([]);
    const { lease, shard } = leaseOf(probing[0]?.breaker as Breaker);
    world.breaker.sync(buildSync(shard, { probed: { lease, ok: false }, ...parked() }));
    expect(announcersOf(await world.taken())).toEqual([]);
    world.breaker.reset("works", "root");
    const closed = await world.taken();
    expect(announcersOf(closed)).toEqual(["q1-0", "q2-0"]);
    expect(closed.find(({ announce }) => announce)?.announce).toMatchObject({ from: "open", to: "closed" });
  });

  test("go to a queue, once, that meets an outage which others have found", async () => {
    await trip("q1-0");
    expect(announcersOf(await world.taken())).toEqual(["q1-0"]);
    world.breaker.sync(buildSync("q2-0"));
    const late = await world.taken();
    expect(announcersOf(late)).toEqual(["q2-0"]);
    expect(late[0]?.announce).toMatchObject({ from: "closed", to: "open" });
    world.breaker.sync(buildSync("q2-1"));
    expect(announcersOf(await world.taken())).toEqual([]);
  });

  test("go to the next shard of a queue where one is away", async () => {
    world.away.add("q1-0").add("q1-1");
    await trip("q1-0", "q1-1", "q1-2", "q1-3");
    expect(announcersOf(await world.taken())).toEqual(["q1-2"]);
  });

  test("tell nothing of what an operator does, but that a target is called again", async () => {
    world.breaker.sync(buildSync("q1-0"));
    world.breaker.isolate("moving", "root");
    expect(announcersOf(await world.taken())).toEqual([]);
    world.breaker.reset("moved", "root");
    expect(announcersOf(await world.taken())).toEqual(["q1-0"]);
    world.breaker.reset("again", "root");
    expect(announcersOf(await world.taken())).toEqual([]);
  });
});

describe("a shard that cannot be told", () => {
  test("is told no more after three changes, until it says something itself", async () => {
    world.breaker.sync(buildSync("q1-0"));
    world.away.add("q1-0");
    for (const reason of ["1", "2", "3"]) {
      world.breaker.isolate(reason, "root");
      await world.settled();
      world.evict();
    }
    expect(world.log).toContainEqual(
      expect.objectContaining({ event: "breaker.shard_dropped", shard: "q1-0" }),
    );
    world.away.clear();
    world.breaker.isolate("4", "root");
    expect(await world.taken()).toEqual([]);
    expect(world.breaker.sync(buildSync("q1-0"))).toMatchObject({ state: "isolated", reason: "4" });
    world.breaker.reset("5", "root");
    expect(shardsOf(await world.taken())).toEqual(["q1-0"]);
  });

  test("has its failures forgotten with the first change that it hears of", async () => {
    world.breaker.sync(buildSync("q1-0"));
    for (const reason of ["1", "2", "3", "4", "5"]) {
      if (reason === "3") world.away.delete("q1-0");
      else world.away.add("q1-0");
      world.breaker.isolate(reason, "root");
      await world.settled();
    }
    expect(world.log.filter(({ event }) => event === "breaker.shard_dropped")).toEqual([]);
  });
});

describe("an operator", () => {
  test("isolates a target that nobody has called yet", async () => {
    expect(world.breaker.view()).toBeNull();
    const view = world.breaker.isolate("moving", "key1");
    expect(view).toMatchObject({ key: KEY, state: "isolated", reason: "moving", parked: 0, limit: null });
    world.evict();
    expect(world.breaker.sync(buildSync("q1-0")).state).toBe("isolated");
  });

  test("has an operation repeated without a second effect, within a minute", async () => {
    for (const operation of ["isolate", "reset"] as const) {
      world.now += 1_000;
      const first = world.breaker[operation]("moving", "key1");
      world.now += 1_000;
      expect(world.breaker[operation]("moving", "key1")).toEqual(first);
      expect(world.breaker[operation]("moving", "key2").audit).toHaveLength(first.audit.length + 1);
    }
    world.now += 60_000;
    expect(world.breaker.reset("moving", "key2").audit).toHaveLength(5);
  });

  test("finds the latest changes in the audit, newest first", async () => {
    for (let i = 0; i < MAX_BREAKER_AUDIT + 5; i++) world.breaker.isolate(`reason ${i}`, "key1");
    const audit = world.breaker.view()?.audit ?? [];
    expect(audit).toHaveLength(MAX_BREAKER_AUDIT);
    expect(audit[0]).toMatchObject({ reason: `reason ${MAX_BREAKER_AUDIT + 4}`, by: "key1", to: "isolated" });
    expect(audit.at(-1)?.reason).toBe("reason 5");
  });

  test("closes a breaker with a ramp, and what was counted before counts no more", async () => {
    await trip("q1-0");
    world.now += 2_000;
    world.breaker.reset("works", "root");
    const report = buildReport("q1-0/1", START, { failed: 11 });
    const answer = world.breaker.sync(buildSync("q1-0", { report }));
    expect(answer).toMatchObject({ state: "closed", ramp: true });
    expect(world.breaker.view()?.windows.failed).toBe(0);
  });
});
