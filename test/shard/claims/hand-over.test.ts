import { describe, expect, test } from "vitest";
import { HOOK } from "../../support/shard/shard-messages.ts";
import { overloaded, ShardWorld } from "../../support/shard/shard-world.ts";

describe("handing over", () => {
  test("gives a Runner object at most six at once, and uses as few as it needs", async () => {
    const world = new ShardWorld({ concurrency: 20 });
    await world.submitAll(Array.from({ length: 15 }, () => world.taskTo("a")));
    const perRunner = [0, 1, 2].map(
      (runner) => world.handed.filter(({ runner: other }) => other === runner).length,
    );
    expect(perRunner).toEqual([6, 6, 3]);
  });

  test("fills the first runner with room again", async () => {
    const world = new ShardWorld({ concurrency: 20 });
    await world.submitAll(Array.from({ length: 12 }, () => world.taskTo("a")));
    const onFirst = world.handed.filter(({ runner }) => runner === 0).map(({ grant }) => grant);
    for (const grant of onFirst.slice(0, 2)) await world.settle(grant);
    world.handed = [];
    await world.submitAll(Array.from({ length: 3 }, () => world.taskTo("a")));
    expect(world.handed.map(({ runner }) => runner)).toEqual([0, 0, 2]);
  });

  test("takes back what a runner did not start, at no cost of an attempt", async () => {
    const world = new ShardWorld();
    world.onRun = (grants) => {
      world.onRun = (others) => others.length;
      return grants.length - 1;
    };
    const results = await world.submitAll([world.taskTo("a"), world.taskTo("a"), world.taskTo("a")]);
    const refused = results[2]?.ok ? results[2].task.id : "";
    expect(await world.view(refused)).toMatchObject({ state: "pending", attempt_count: 0, attempts: [] });
    expect(await world.shard.stats()).toMatchObject({ inFlight: 2 });
    await world.advance(250);
    expect(world.handed.at(-1)?.grant).toMatchObject({ id: refused, number: 1, lease: 2 });
  });

  test("takes all back where the platform refused the call", async () => {
    const world = new ShardWorld();
    world.onRun = () => overloaded();
    await world.submitAll([world.taskTo("a"), world.taskTo("a")]);
    expect(await world.counts()).toMatchObject({ pending: 2, running: 0 });
    expect(world.rows("SELECT * FROM flights")).toEqual([]);
    await world.advance(5_000);
    world.onRun = (grants) => grants.length;
    await world.advance(250);
    const served = await world.serveRunners();
    expect(served.map(({ number }) => number)).toEqual([1, 1]);
  });

  test("leaves the leases to tell where it is not known whether the runner started", async () => {
    const world = new ShardWorld();
    world.onRun = () => new Error("Network connection lost.");
    const { id } = await world.submit(world.taskTo("a"));
    expect(await world.view(id)).toMatchObject({ state: "running", attempt_count: 1 });
    world.onRun = (grants) => grants.length;
    await world.advance(33_000);
    expect(world.nextHanded()).toMatchObject({ id, number: 2 });
    expect((await world.view(id)).attempts[0]).toMatchObject({ error_type: "interrupted" });
  });

  test("asks another runner after one refused", async () => {
    const world = new ShardWorld();
    world.onRun = (grants, runner) => (runner === 0 ? 0 : grants.length);
    const { id } = await world.submit(world.taskTo("a"));
    expect(world.handed).toEqual([]);
    await world.advance(250);
    expect(world.handed).toMatchObject([{ runner: 1, grant: { id, number: 1 } }]);
    world.onRun = (grants) => grants.length;
    await world.advance(1_000);
    await world.submit(world.taskTo("a"));
    expect(world.handed.at(-1)?.runner).toBe(0);
  });

  test("takes a delivery back as one that was never made", async () => {
    const world = new ShardWorld();
    const { id } = await world.submit(world.task({ delayMs: 1_000, call: { callback: HOOK } }));
    world.onRun = () => 0;
    await world.operate(id, "cancel");
    expect((await world.view(id)).callback).toMatchObject({ state: "pending", attempts: [] });
    world.onRun = (grants) => grants.length;
    await world.advance(250);
    expect(world.nextHanded()).toMatchObject({ kind: "callback", number: 1, lease: 2 });
  });

  test("takes a delivery back whose task was retried meanwhile", async () => {
    const world = new ShardWorld();
    const { id } = await world.submit(world.task({ delayMs: 1_000, call: { callback: HOOK } }));
    let release = () => {};
    const retried = new Promise<void>((resolve) => {
      release = resolve;
    });
    world.onRun = () => {
      world.onRun = () => 0;
      void world.shard.operate(id, "retry", false).then(release);
      return 0;
    };
    await world.operate(id, "cancel");
    await retried;
    await world.settled();
    world.onRun = (grants) => grants.length;
    await world.advance(600);
    const kinds = world.handed.map(({ grant }) => [grant.kind, grant.round]);
    expect(kinds.sort()).toEqual([
      ["attempt", 2],
      ["callback", 1],
    ]);
  });

  test("takes a probe back", async () => {
    const probe = {
      url: "https://a.example.com/ready",
      period: 10_000,
      timeout: 5_000,
      success_threshold: 1,
    };
    const world = new ShardWorld({
      retry: { rules: [{ when: "status == 401", do: "hold", until: { probe } }] },
    });
    await world.settle(await world.submitGranted(), { status: 401 });
    world.onRun = () => 0;
    await world.advance(10_000);
    expect(await world.shard.stats()).toMatchObject({ inFlight: 0 });
    world.onRun = (grants) => grants.length;
    await world.advance(250);
    expect(world.nextHanded()).toMatchObject({ kind: "probe", lease: 2 });
  });
});
