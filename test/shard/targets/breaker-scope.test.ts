import { describe, expect, test } from "vitest";
import { API, outage, RETRY, states } from "../../support/server/outage.ts";
import { BreakerHost } from "../../support/shard/breaker-host.ts";
import { HOOK } from "../../support/shard/shard-messages.ts";

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

  test("isolates a target that no shard has ever called, before the first call", async () => {
    const host = new BreakerHost();
    const world = host.add("q1-0", RETRY);
    await host.isolate(API, "do not even try");
    await host.submit(world, "api", 3, true);
    world.restart();
    await host.submit(world, "api", 3, true);
    await host.run(600_000);
    expect(host.calls).toEqual([]);
    await host.reset(API);
    await host.run(5_000);
    expect(await states(world)).toEqual({ succeeded: 6 });
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
