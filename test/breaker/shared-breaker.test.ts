import { beforeEach, describe, expect, test } from "vitest";
import type { Breaker } from "../../src/core/breaker/breaker.ts";
import type { BreakerSync } from "../../src/protocol/breaker-api.ts";
import { BreakerSettings, type BreakerSettingsInput } from "../../src/schema/breaker.ts";
import { migrationsIn } from "../support/migrations.ts";
import { BreakerWorld, buildReport, buildSync, parked } from "../support/shard/breaker-world.ts";

const MIGRATION = migrationsIn("breaker")
  .map(({ sql }) => sql)
  .join("\n");

let world: BreakerWorld;

beforeEach(() => {
  world = new BreakerWorld(MIGRATION);
});

/** A message of a shard of a queue that goes by its own calls, as queues do where nothing is set. */
function told(shard: string, more: Partial<BreakerSync> = {}, settings: BreakerSettingsInput = {}): Breaker {
  return world.breaker.sync(
    buildSync(shard, { settings: BreakerSettings.parse({ minimum: 10, ...settings }), ...more }),
  );
}

/** A report of so many failures in a row, a tenth of a second apart, after so many successes. */
function failures(shard: string, failed: number, ok = 0): Pick<BreakerSync, "report"> {
  const faultsAt = Array.from({ length: failed }, (_, i) => world.now - (failed - 1 - i) * 100);
  const report = buildReport(`${shard}@1`, world.now, { ok, failed });
  return { report: { ...report, reach: { ...report.reach, okAt: world.now - 60_000, faultsAt } } };
}

function open(shard: string): Breaker {
  const breaker = told(shard, { ...failures(shard, 10), ...parked() });
  expect(breaker.state).toBe("open");
  return breaker;
}

describe("a queue that finds a target down", () => {
  test("stops itself, and no queue that has not seen it", async () => {
    told("q2-0");
    open("q1-0");
    expect(told("q2-0").state).toBe("closed");
    expect((await world.taken()).map(({ shard }) => shard)).toEqual(["q1-0"]);
  });

  test("makes another ask once its latest three calls have failed too", () => {
    open("q1-0");
    expect(told("q2-0", failures("q2-0", 2, 50)).state).toBe("closed");
    expect(told("q2-0", failures("q2-0", 3, 50))).toMatchObject({ state: "half_open", trips: 0 });
  });

  test("sums up the failures of another's shards", () => {
    open("q1-0");
    for (const shard of ["q2-0", "q2-1"]) expect(told(shard, failures(shard, 1)).state).toBe("closed");
    world.now += 200;
    expect(told("q2-2", failures("q2-2", 1)).state).toBe("closed");
    world.now += 200;
    expect(told("q2-3", failures("q2-3", 1)).state).toBe("half_open");
  });

  test("stops no number of calls that succeed in between", () => {
    open("q1-0");
    for (let i = 1; i <= 50; i++) {
      world.now += 1_000;
      const { report } = failures("q2-0", 1, 100);
      if (report === null) throw new Error("no report");
      // The one before has succeeded.
      const reach = { ...report.reach, seq: i, okAt: world.now - 500 };
      expect(told("q2-0", { report: { ...report, reach } }).state).toBe("closed");
    }
  });

  test("makes no third one ask by the caution of a second", () => {
    open("q1-0");
    expect(told("q2-0", failures("q2-0", 3)).state).toBe("half_open");
    told("q1-0");
    world.breaker.reset("works", "root");
    expect(told("q3-0", failures("q3-0", 3)).state).toBe("closed");
  });

  test("and nobody goes by any more makes none ask", async () => {
    open("q1-0");
    world.away.add("q1-0");
    for (let i = 0; i < 4; i++) await world.runAlarm().catch(() => undefined);
    world.breaker.isolate("1", "root");
    world.breaker.isolate("2", "root");
    await world.settled();
    world.breaker.reset("3", "root");
    await world.settled();
    expect(told("q2-0", failures("q2-0", 3)).state).toBe("closed");
  });
});

describe("a queue that was made to ask", () => {
  function careful(): Breaker {
    open("q1-0");
    const asked = told("q2-0", { ...failures("q2-0", 3), ...parked() });
    expect(asked).toMatchObject({ state: "half_open", trips: 0, probe: { shard: "q2-0" } });
    return asked;
  }
  const leaseOf = (breaker: Breaker) =>
    breaker.state === "half_open" && breaker.probe !== null ? breaker.probe.lease : 0;

  test("goes on with one success, and its operators hear nothing of it", async () => {
    const probed = { lease: leaseOf(careful()), ok: true };
    expect(told("q2-0", { probed })).toMatchObject({ state: "closed", ramp: true });
    const told2 = (await world.taken()).filter(({ shard }) => shard === "q2-0");
    expect(told2.map(({ announce }) => announce)).not.toContainEqual(expect.anything());
  });

  test("opens where its own probe fails, and its operators hear of it once", async () => {
    const probed = { lease: leaseOf(careful()), ok: false };
    expect(told("q2-0", { probed, ...parked() })).toMatchObject({ state: "open", trips: 1 });
    const announced = (await world.taken()).filter(({ shard, announce }) => shard === "q2-0" && announce);
    expect(announced).toHaveLength(1);
  });
});

describe("a queue whose probes succeed", () => {
  test("lets the others probe at once, and closes none of them", async () => {
    open("q1-0");
    open("q2-0");
    told("q2-0", parked());
    const first = await world.runAlarm();
    expect(first.map(({ breaker }) => breaker.state)).toContain("half_open");
    world.now += 1_000;
    // The second one's probes fail, and it is open for longer.
    let two = told("q2-0", parked());
    const lease = (breaker: Breaker) =>
      breaker.state === "half_open" && breaker.probe !== null ? breaker.probe.lease : 0;
    two = told("q2-0", { probed: { lease: lease(two), ok: false }, ...parked() });
    expect(two).toMatchObject({ state: "open", trips: 2 });
    world.now += 6_000;
    let one = told("q1-0", parked());
    for (let i = 0; i < 3; i++) one = told("q1-0", { probed: { lease: lease(one), ok: true }, ...parked() });
    expect(one.state).toBe("closed");
    expect(told("q2-0", parked())).toMatchObject({ state: "half_open", trips: 2, successes: 0 });
  });
});

describe("queues that trust each other", () => {
  const TRUSTED = { share: "trusted" } as const;

  test("stop at once where one of them finds a target down, and no other queue does", async () => {
    told("q1-0", {}, TRUSTED);
    told("q3-0");
    expect(told("q2-0", failures("q2-0", 10), TRUSTED).state).toBe("open");
    expect((await world.taken()).map(({ shard }) => shard)).toEqual(["q1-0", "q2-0"]);
    expect(told("q1-0", {}, TRUSTED).state).toBe("open");
    expect(told("q3-0").state).toBe("closed");
  });

  test("go by another part from when their settings say so", async () => {
    open("q1-0");
    await world.taken();
    expect(told("q1-0", {}, TRUSTED).state).toBe("closed");
    world.evict();
    expect(world.breaker.view()).toMatchObject({ state: "closed", parts: [{ part: 0 }] });
    world.breaker.isolate("moving", "root");
    expect((await world.taken()).map(({ shard }) => shard)).toEqual(["q1-0"]);
  });
});

describe("an operator", () => {
  test("stops all queues, those too that never called the target, until a reset", async () => {
    told("q1-0");
    told("q2-0");
    world.breaker.isolate("moving", "root");
    expect((await world.taken()).map(({ shard }) => shard).sort()).toEqual(["q1-0", "q2-0"]);
    world.evict();
    for (const shard of ["q1-0", "q2-0", "q3-0"]) expect(told(shard).state).toBe("isolated");
    const view = world.breaker.reset("moved", "root");
    expect(view).toMatchObject({ state: "closed", audit: [{ to: "closed" }, { to: "isolated" }] });
    for (const shard of ["q1-0", "q2-0", "q3-0", "q4-0"]) expect(told(shard).state).toBe("closed");
  });
});

describe("the view", () => {
  test("has what an operator did once, though time goes on from part to part", () => {
    for (const shard of ["q1-0", "q2-0", "q3-0"]) told(shard);
    world.ticks = 1;
    world.breaker.isolate("moving", "root");
    expect(world.breaker.view()?.audit).toMatchObject([{ to: "isolated", reason: "moving" }]);
  });

  test("shows the worst part, sums, and each part; to some queues theirs only", () => {
    told("q2-0", failures("q2-0", 1, 9));
    open("q1-0");
    expect(world.breaker.view()).toMatchObject({
      state: "open",
      windows: { ok: 9, failed: 11 },
      failure_rate: 0.55,
      limit: 10,
      parked: 1,
      parts: [
        { part: 1, state: "open", trips: 1 },
        { part: 2, state: "closed" },
      ],
    });
    const seen = world.breaker.view([2, 7]);
    expect(seen).toMatchObject({ state: "closed", windows: { ok: 9, failed: 1 }, audit: [] });
    expect(seen?.parts).toHaveLength(1);
    expect(world.breaker.view([7])).toBeNull();
  });

  test("survives the object", () => {
    open("q1-0");
    const before = world.breaker.view();
    world.evict();
    expect(world.breaker.view()).toMatchObject({ state: "open", parts: before?.parts ?? [] });
  });
});

describe("what a release without parts has written", () => {
  test("stops its shards until they say something, and lets no queue be stopped by it alone", async () => {
    // As the release before writes it: one state for all, and shards of no part.
    open("q1-0");
    world.asBefore();
    expect(world.breaker.view()).toMatchObject({ state: "open" });
    expect(told("q2-0").state).toBe("closed");
    expect(told("q2-0", failures("q2-0", 3))).toMatchObject({ state: "half_open", trips: 0 });
    expect(told("q1-0").state).toBe("closed");
    expect(told("q3-0", failures("q3-0", 3)).state).toBe("closed");
  });
});
