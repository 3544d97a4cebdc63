import { describe, expect, test } from "vitest";
import { API, RETRY } from "../../support/server/outage.ts";
import { BreakerHost } from "../../support/shard/breaker-host.ts";
import { HOOK } from "../../support/shard/shard-messages.ts";
import type { ShardWorld } from "../../support/shard/shard-world.ts";

const SCOPED = { ...RETRY, breaker: { scopes: ["/hooks/*"] } };

/** A shard, and a target that fails all calls for one customer and answers those for all others. */
function oneIsDown() {
  const host = new BreakerHost();
  const world = host.add("q1-0", SCOPED);
  host.answer = (grant) => ({ status: grant.request.url.endsWith("/alice") ? 500 : 200 });
  return { host, world };
}

function tasksFor(world: ShardWorld, customer: string, count: number, overrides = {}) {
  const call = { url: `${API}/hooks/${customer}`, ...overrides };
  return Array.from({ length: count }, () => world.taskTo("api", { call }));
}

function targetsOf(world: ShardWorld): string[] {
  return world.rows("SELECT DISTINCT target FROM tasks ORDER BY target").map((row) => String(row.target));
}

describe("a queue with a scope below the origin", () => {
  test("stops the calls for a customer that is down, and those for no other", async () => {
    const { host, world } = oneIsDown();
    await host.submitTasks(world, tasksFor(world, "alice", 60));
    await host.run(5_000);
    expect(host.view(`${API}/hooks/alice`)).toMatchObject({ state: "open", key: `${API}/hooks/alice` });
    const [bob] = await host.submitTasks(world, tasksFor(world, "bob", 20));
    const [plain] = await host.submit(world, "api", 20);
    await host.run(1_000);
    for (const id of [bob, plain]) expect(await world.view(id ?? "")).toMatchObject({ state: "succeeded" });
    expect(host.view(API)).toMatchObject({ state: "closed", windows: { failed: 0 } });
    expect(targetsOf(world)).toEqual([API, `${API}/hooks/alice`, `${API}/hooks/bob`]);
  });

  test("holds the customer alone that asked for it", async () => {
    const { host, world } = oneIsDown();
    host.answer = (grant) =>
      grant.request.url.endsWith("/alice") ? { status: 429, headers: { "retry-after": "60" } } : {};
    await host.submitTasks(world, tasksFor(world, "alice", 1));
    await host.run(100);
    const [alice = "", bob = ""] = await host.submitTasks(world, [
      ...tasksFor(world, "alice", 1),
      ...tasksFor(world, "bob", 1),
    ]);
    await host.run(1_000);
    expect(await world.view(alice)).toMatchObject({ waiting_on: "rate", target: `${API}/hooks/alice` });
    expect(await world.view(bob)).toMatchObject({ state: "succeeded" });
  });

  test("delivers callbacks by the same rule", async () => {
    const { host, world } = oneIsDown();
    const callback = (customer: string) => ({ callback: { ...HOOK, url: `${API}/hooks/${customer}` } });
    await host.submitTasks(world, [
      ...Array.from({ length: 40 }, () => world.taskTo("pay", { call: callback("alice") })),
    ]);
    await host.run(60_000);
    expect(host.view(`${API}/hooks/alice`)).toMatchObject({ state: "open" });
    const [id = ""] = await host.submitTasks(world, [world.taskTo("pay", { call: callback("bob") })]);
    await host.run(1_000);
    expect((await world.view(id)).callback).toMatchObject({ state: "delivered" });
  });

  test("leaves a task that names its target itself where it wants to be", async () => {
    const { host, world } = oneIsDown();
    const call = { url: `${API}/hooks/alice` };
    await host.submitTasks(world, [world.taskTo("api", { target: "key:queue-1/mine", call })]);
    expect(targetsOf(world)).toEqual(["key:queue-1/mine"]);
  });

  test("leaves tasks that it has where they are when its scopes change", async () => {
    const { host, world } = oneIsDown();
    await host.submitTasks(world, tasksFor(world, "alice", 1, { retry: { max_attempts: 3 } }));
    await world.configure({}, { breaker: { ...world.config.settings.breaker, scopes: [] } });
    await host.submitTasks(world, tasksFor(world, "bob", 1));
    await host.run(60_000);
    expect(targetsOf(world)).toEqual([API, `${API}/hooks/alice`]);
  });

  test("has a thousand targets of an origin in a shard, and new ones once those are not in use any more", async () => {
    const { host, world } = oneIsDown();
    const customers = Array.from({ length: 1_010 }, (_, i) => `c${i}`);
    await host.submitTasks(
      world,
      customers.flatMap((customer) => tasksFor(world, customer, 1)),
    );
    expect(targetsOf(world)).toHaveLength(1_001);
    await host.submitTasks(world, tasksFor(world, "late", 1));
    await host.run(3_700_000);
    await host.submitTasks(world, tasksFor(world, "later", 1));
    expect(targetsOf(world)).not.toContain(`${API}/hooks/late`);
    expect(targetsOf(world)).toContain(`${API}/hooks/later`);
    expect(await world.counts()).toMatchObject({ pending: 0, retrying: 0 });
  });

  test("asks a readiness URL for the target alone that the URL is part of", async () => {
    const host = new BreakerHost();
    const readiness = { url: `${API}/hooks/alice/ready` };
    const world = host.add("q1-0", { ...RETRY, breaker: { scopes: ["/hooks/*"], readiness } });
    host.answer = () => ({ status: 500 });
    await host.submitTasks(world, [...tasksFor(world, "alice", 60), ...tasksFor(world, "bob", 60)]);
    await host.run(30_000);
    const probes = host.calls.filter(({ isProbe }) => isProbe);
    const ofAlice = probes.filter(({ grant }) => grant.request.url.includes("alice"));
    expect(ofAlice.length).toBeGreaterThan(0);
    expect(new Set(ofAlice.map(({ grant }) => grant.request.url))).toEqual(new Set([readiness.url]));
    expect(probes.some(({ grant }) => grant.request.url === `${API}/hooks/bob`)).toBe(true);
  });
});
