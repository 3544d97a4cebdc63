import { describe, expect, test } from "vitest";
import type { Grant } from "../../../src/protocol/grant.ts";
import type { QueueSettingsInput } from "../../../src/schema/queue.ts";
import { HOOK, settleMessage } from "../../support/shard/shard-messages.ts";
import { ShardWorld } from "../../support/shard/shard-world.ts";

const READY = { url: "https://api.example.com/ready", period: 10_000, timeout: 5_000, success_threshold: 1 };

function settings(until: "signal" | { probe: typeof READY }, more: QueueSettingsInput = {}) {
  return { retry: { rules: [{ when: "status == 401", do: "hold" as const, until }] }, ...more };
}

/** A task that its target has put on hold. */
async function held(world: ShardWorld, overrides = {}): Promise<string> {
  const grant = await world.submitGranted(overrides);
  await world.settle(grant, { status: 401 });
  return grant.id;
}

function probesHanded(world: ShardWorld): Grant[] {
  return world.handed.map(({ grant }) => grant).filter(({ kind }) => kind === "probe");
}

describe("a task held for a signal", () => {
  test("waits, uses no attempt, and goes on when it is resumed", async () => {
    const world = new ShardWorld(settings("signal"));
    const id = await held(world);
    await world.advance(3_600_000);
    expect(world.handed).toEqual([]);
    expect(await world.view(id)).toMatchObject({ state: "held", waiting_on: "signal", attempt_count: 1 });
    await world.operate(id, "resume");
    expect(world.nextHanded()).toMatchObject({ id, number: 2 });
    await world.serveRunners();
    expect((await world.view(id)).attempts[1]).toMatchObject({ trigger: "resume", status: 200 });
  });

  test("fails within a minute of its max_age, and says so", async () => {
    const world = new ShardWorld(settings("signal"));
    const id = await held(world, { call: { retry: { max_age: 120_000 }, callback: HOOK } });
    await world.advance(119_000);
    expect(await world.view(id)).toMatchObject({ state: "held" });
    await world.advance(60_000);
    expect(await world.view(id)).toMatchObject({ state: "failed", reason: "max_age" });
    expect(world.nextHanded()).toMatchObject({ kind: "callback", id });
  });

  test("fails in time though no slot is free for much longer", async () => {
    const world = new ShardWorld(settings("signal", { concurrency: 1 }));
    const id = await held(world, { call: { retry: { max_age: 60_000 } } });
    await world.submit(world.taskTo("slow", { call: { timeoutMs: 600_000 } }));
    await world.advance(120_000);
    expect(await world.view(id)).toMatchObject({ state: "failed", reason: "max_age" });
  });

  test("fails with more others at once than one pass ends", async () => {
    const world = new ShardWorld(settings("signal", { concurrency: 2_000 }));
    await world.submitAll(
      Array.from({ length: 1_200 }, () => world.taskTo("a", { call: { retry: { max_age: 60_000 } } })),
    );
    for (const { grant } of [...world.handed]) await world.shard.settle(held401(grant));
    world.handed = [];
    expect(await world.counts()).toMatchObject({ held: 1_200 });
    await world.advance(90_000);
    expect(await world.counts()).toMatchObject({ held: 0, failed: 1_200 });
  });

  test("is not resumed twice, nor when it is not held", async () => {
    const world = new ShardWorld(settings("signal"));
    const id = await held(world);
    expect(await world.operate(id, "resume")).toMatchObject({ ok: true });
    expect(await world.operate(id, "resume")).toMatchObject({ ok: false, code: "invalid_state" });
  });
});

describe("a task held on a probe", () => {
  test("goes on when the probe is ready", async () => {
    const world = new ShardWorld(settings({ probe: READY }));
    const id = await held(world);
    expect(await world.view(id)).toMatchObject({ state: "held", waiting_on: "probe" });
    await world.advance(9_999);
    expect(world.handed).toEqual([]);
    await world.advance(1);
    const [probe] = probesHanded(world);
    expect(probe).toMatchObject({ request: { url: READY.url, method: "GET", timeoutMs: 5_000 } });
    if (probe === undefined) return;
    await world.settle(probe, { status: 200 });
    expect(world.nextHanded()).toMatchObject({ id, kind: "attempt", number: 2 });
    expect(world.rows("SELECT * FROM polls")).toEqual([]);
    await world.serveRunners();
    expect((await world.view(id)).attempts[1]).toMatchObject({ trigger: "probe" });
  });

  test("is polled for once a period while it is not ready, whatever comes of the probe", async () => {
    const world = new ShardWorld(settings({ probe: READY }));
    const id = await held(world);
    const outcomes = [
      { status: 503 },
      { status: 302 },
      { status: 0, error: { name: "Error", message: "x" } },
    ];
    for (const outcome of outcomes) {
      await world.advance(10_000);
      expect(probesHanded(world)).toHaveLength(1);
      await world.settle(world.nextHanded(), outcome);
      expect(await world.view(id)).toMatchObject({ state: "held", attempt_count: 1 });
    }
  });

  test("wants as many successes in a row as the probe says", async () => {
    const world = new ShardWorld(settings({ probe: { ...READY, success_threshold: 2 } }));
    const id = await held(world);
    for (const status of [200, 500, 200]) {
      await world.advance(10_000);
      await world.settle(world.nextHanded(), { status });
      expect(await world.view(id)).toMatchObject({ state: "held" });
    }
    await world.advance(10_000);
    await world.settle(world.nextHanded(), { status: 204 });
    expect(await world.view(id)).toMatchObject({ state: "running" });
  });

  test("is polled for again where a probe's runner has died", async () => {
    const world = new ShardWorld(settings({ probe: READY }));
    await held(world);
    await world.advance(10_000);
    const lost = world.nextHanded();
    world.handed = [];
    world.restart();
    await world.advance(15_000);
    expect(await world.settle(lost)).toMatchObject({ status: "stale" });
    await world.advance(10_000);
    expect(probesHanded(world)).toMatchObject([{ lease: 2 }]);
  });

  test("is set free with a thousand others, in slices, by one probe", async () => {
    const world = new ShardWorld(settings({ probe: READY }, { concurrency: 2_000 }));
    await world.submitAll(Array.from({ length: 1_000 }, () => world.taskTo("a")));
    for (const { grant } of [...world.handed]) await world.shard.settle(held401(grant));
    world.handed = [];
    await world.advance(10_000);
    const probes = probesHanded(world);
    expect(probes).toHaveLength(1);
    await world.settle(world.nextHanded());
    expect(await world.counts()).toMatchObject({ held: 500, running: 500 });
    await world.advance(10);
    expect(await world.counts()).toMatchObject({ held: 0, running: 1_000 });
    expect(probesHanded(world)).toEqual([]);
    await world.advance(15_000);
    expect(probesHanded(world)).toEqual([]);
  });

  test("is set free in the end where the object stops between two slices", async () => {
    const world = new ShardWorld(settings({ probe: READY }, { concurrency: 2_000 }));
    await world.submitAll(Array.from({ length: 700 }, () => world.taskTo("a")));
    for (const { grant } of [...world.handed]) await world.shard.settle(held401(grant));
    world.handed = [];
    await world.advance(10_000);
    await world.settle(world.nextHanded());
    world.restart();
    await world.advance(10);
    expect(await world.counts()).toMatchObject({ held: 0, running: 700 });
  });

  test("shares its probe with those who wait for the same, and with no other", async () => {
    const world = new ShardWorld(settings({ probe: READY }));
    await held(world);
    await held(world);
    const other = { probe: { ...READY, url: "https://other.example.com/ready" } };
    await held(world, {
      call: { retry: { rules: [{ when: "status == 401", do: "hold", until: other }] } },
    });
    await world.advance(10_000);
    expect(
      probesHanded(world)
        .map(({ request }) => request.url)
        .sort(),
    ).toEqual([READY.url, other.probe.url]);
  });

  test("leaves no probe behind when it is cancelled", async () => {
    const world = new ShardWorld(settings({ probe: READY }));
    const id = await held(world);
    await world.operate(id, "cancel");
    await world.advance(10_000);
    expect(world.handed).toEqual([]);
    expect(world.rows("SELECT * FROM polls")).toEqual([]);
  });

  test("is not polled for while its queue is paused", async () => {
    const world = new ShardWorld(settings({ probe: READY }));
    await held(world);
    await world.configure({ paused: true });
    const before = world.alarmsRun;
    await world.advance(25_000);
    expect(world.handed).toEqual([]);
    expect(world.alarmsRun - before).toBeLessThan(3);
    await world.configure({ paused: false });
    expect(probesHanded(world)).toHaveLength(1);
  });

  test("takes a slot with its poll, after a restart too", async () => {
    const world = new ShardWorld(settings({ probe: READY }, { concurrency: 1 }));
    await held(world);
    await world.advance(10_000);
    const poll = world.nextHanded();
    world.restart();
    expect((await world.submit(world.task())).grant).toBeNull();
    expect(await world.shard.stats()).toMatchObject({ inFlight: 1 });
    await world.settle(poll, { status: 503 });
    expect(world.nextHanded()).toMatchObject({ kind: "attempt" });
  });
});

/** The settle of a grant whose target says 401. */
function held401(grant: Grant) {
  return settleMessage(grant, { status: 401 });
}
