import { describe, expect, test } from "vitest";
import type { RekeyMessage } from "../../../src/protocol/shard-api.ts";
import { API, RETRY } from "../../support/server/outage.ts";
import { BreakerHost } from "../../support/shard/breaker-host.ts";
import { ShardWorld } from "../../support/shard/shard-world.ts";

const MINE = "key:queue-1/mine";

function message(overrides: Partial<RekeyMessage> = {}): RekeyMessage {
  const filter = { before: null, state: null, label: null, target: null, limit: 200 };
  return { ...filter, breakerKey: "mine", dryRun: false, ...overrides };
}

/** A target that fails all calls, with tasks that wait for its breaker, and one that has none waiting. */
async function stopped() {
  const host = new BreakerHost();
  const world = host.add("q1-0", RETRY);
  host.answer = (grant) => ({ status: grant.request.url.endsWith("/bad") ? 500 : 200 });
  const bad = { call: { url: `${API}/bad` } };
  await host.submitTasks(
    world,
    Array.from({ length: 60 }, () => world.taskTo("api", bad)),
  );
  await host.run(5_000);
  expect(host.view(API).state).toBe("open");
  const good = Array.from({ length: 30 }, (_, i) =>
    world.taskTo("api", { call: { url: `${API}/good`, labels: i < 10 ? ["vip"] : [] } }),
  );
  const ids = await host.submitTasks(world, good);
  return { host, world, ids };
}

describe("rekey", () => {
  test("moves tasks that wait for a breaker to a line where they are called", async () => {
    const { host, world, ids } = await stopped();
    const [first = ""] = ids;
    expect(await world.view(first)).toMatchObject({ waiting_on: "breaker" });
    const answer = await world.shard.rekey(message({ label: "vip", target: API }));
    expect(answer).toEqual({ matched: 10, changed: 10, examinedTo: null });
    await host.run(1_000);
    const done = await Promise.all(ids.map((id) => world.view(id)));
    expect(done.slice(0, 10).map(({ state, target }) => [state, target])).toEqual(
      Array.from({ length: 10 }, () => ["succeeded", MINE]),
    );
    expect(done.slice(10).every(({ state, target }) => state === "pending" && target === API)).toBe(true);
    expect(await world.shard.rekey(message({ label: "vip" }))).toMatchObject({ matched: 0, changed: 0 });
  });

  test("counts, and changes nothing, in a dry run; and again changes nothing more", async () => {
    const { world, ids } = await stopped();
    const rows = () => world.rows("SELECT id, target, lane FROM tasks ORDER BY id");
    const before = rows();
    const dry = await world.shard.rekey(message({ dryRun: true }));
    expect(dry).toMatchObject({ matched: 90, changed: 90 });
    expect(rows()).toEqual(before);
    expect(await world.shard.rekey(message())).toMatchObject({ matched: 90, changed: 90 });
    expect(await world.shard.rekey(message())).toMatchObject({ changed: 0 });
    expect(await world.view(ids[0] ?? "")).toMatchObject({ target: MINE });
  });

  test("goes through all tasks page by page, and leaves those alone that are final", async () => {
    const { host, world } = await stopped();
    await host.submitTasks(
      world,
      Array.from({ length: 20 }, () => world.taskTo("other")),
    );
    await host.run(1_000);
    let [changed, before, pages] = [0, null as string | null, 0];
    do {
      const answer = await world.shard.rekey(message({ before, limit: 7 }));
      changed += answer.changed;
      before = answer.examinedTo;
      pages++;
    } while (before !== null && pages < 100);
    expect(changed).toBe(90);
    expect(world.rows("SELECT DISTINCT state FROM tasks WHERE target = 'https://other.example.com'")).toEqual(
      [{ state: "succeeded" }],
    );
  });

  test("takes tasks back to the target of their URL", async () => {
    const { world } = await stopped();
    await world.shard.rekey(message());
    expect(await world.shard.rekey(message({ target: MINE, breakerKey: null }))).toMatchObject({
      changed: 90,
    });
    expect(world.rows("SELECT DISTINCT target FROM tasks")).toEqual([{ target: API }]);
  });

  test("lets a running task end as it began, and go by the new target from the next attempt on", async () => {
    const world = new ShardWorld(RETRY);
    const grant = await world.submitGranted();
    const moved = await world.shard.rekeyTask(grant.id, "mine");
    expect(moved).toMatchObject({ ok: true, task: { state: "running", target: "key:default/mine" } });
    expect(world.shard.ctx.flights.inLane("https://api.example.com")).toBe(1);
    await world.settle(grant, { status: 429, headers: { "retry-after": "60" } });
    // What it was answered is about the target that it was let go for.
    expect(world.rows("SELECT key FROM targets")).toEqual([{ key: "https://api.example.com" }]);
    expect(world.rows("SELECT target, lane FROM tasks")).toEqual([
      { target: "key:default/mine", lane: "<key:default/mine" },
    ]);
    world.restart();
    await world.advance(70_000);
    expect(world.nextHanded()).toMatchObject({ id: grant.id, number: 2 });
    await world.serveRunners();
    expect(await world.view(grant.id)).toMatchObject({ state: "succeeded" });
  });

  test("leaves a held task held, and its next attempt goes by the new target", async () => {
    const rules = [{ when: "status == 401", do: "hold" as const, until: "signal" as const }];
    const world = new ShardWorld({ retry: { rules } });
    const grant = await world.submitGranted();
    await world.settle(grant, { status: 401 });
    await world.shard.rekeyTask(grant.id, "mine");
    expect(await world.view(grant.id)).toMatchObject({ state: "held", target: "key:default/mine" });
    await world.operate(grant.id, "resume");
    expect(world.shard.ctx.flights.inLane("key:default/mine")).toBe(1);
  });

  test("refuses a task that is final, or is not there", async () => {
    const world = new ShardWorld();
    const grant = await world.submitGranted();
    await world.settle(grant, { status: 200 });
    expect(await world.shard.rekeyTask(grant.id, "mine")).toMatchObject({
      ok: false,
      code: "invalid_state",
      detail: "expected a task that is not final, got one that has succeeded",
    });
    expect(await world.shard.rekeyTask("tsk_none", "mine")).toMatchObject({ code: "task_not_found" });
  });
});
