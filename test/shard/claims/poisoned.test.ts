import { describe, expect, test } from "vitest";
import type { ListMessage } from "../../../src/protocol/shard-api.ts";
import { HOOK, settleMessage } from "../../support/shard/shard-messages.ts";
import { ShardWorld } from "../../support/shard/shard-world.ts";

const ALL: ListMessage = {
  before: null,
  state: null,
  label: null,
  target: null,
  createdAfter: null,
  limit: 50,
};

function poison(world: ShardWorld, id: string, column: string, value = '{"broken'): void {
  world.rows(`UPDATE tasks SET ${column} = ? WHERE id = ?`, value, id);
}

/** Three tasks that wait for the same instant, the one in the middle poisoned. */
async function threeWaiting(world: ShardWorld, column: string, value?: string): Promise<string[]> {
  const ids: string[] = [];
  for (let i = 0; i < 3; i++) {
    const call = { callback: HOOK, labels: ["eu"] };
    ids.push((await world.submit(world.taskTo("a", { delayMs: 1_000, call }))).id);
  }
  poison(world, ids[1] ?? "", column, value);
  return ids;
}

describe("a poisoned row", () => {
  test.each([
    ["call", '{"broken'],
    ["call", "null"],
    ["call", "[]"],
    ["history", "[{"],
    ["history", "{}"],
    ["until", "{"],
    ["response", "{"],
    ["response", "7"],
    ["callback", "{"],
    ["callback", '"x"'],
  ])("with %s = %s stops no other, and is seen as failed", async (column, value) => {
    const world = new ShardWorld();
    const [first, poisoned, last] = await threeWaiting(world, column, value);
    expect(await world.counts()).toMatchObject({ pending: 3 });
    await world.advance(1_000);
    expect(world.handed.filter(({ grant }) => grant.kind === "attempt").map(({ grant }) => grant.id)).toEqual(
      [first, last],
    );
    expect(await world.view(poisoned ?? "")).toMatchObject({ state: "failed", reason: "corrupt" });
    expect(world.logged("row.poisoned")).toMatchObject([{ task: poisoned }]);
    expect(await world.counts()).toMatchObject({ failed: 1, running: 2, pending: 0 });
  });

  test("tells its callback where that can still be read", async () => {
    const world = new ShardWorld();
    const [, poisoned] = await threeWaiting(world, "history");
    await world.advance(1_000);
    const messages = (await world.serveRunners()).filter(({ kind }) => kind === "callback");
    const message = messages.find(({ id }) => id === poisoned);
    expect(JSON.parse(String(message?.request.body))).toMatchObject({
      type: "task.failed",
      data: { error: { reason: "corrupt" } },
    });
    expect((await world.view(poisoned ?? "")).callback).toMatchObject({ state: "delivered" });
  });

  test("whose call is lost ends without a callback", async () => {
    const world = new ShardWorld();
    const [, poisoned] = await threeWaiting(world, "call");
    await world.advance(1_000);
    await world.serveRunners();
    expect(await world.view(poisoned ?? "")).toMatchObject({ state: "failed", callback: null, url: "" });
  });

  test("frees its slot when its settle comes, which is stale then", async () => {
    const world = new ShardWorld({ concurrency: 1 });
    const grant = await world.submitGranted();
    const { id } = await world.submit(world.taskTo("b"));
    poison(world, grant.id, "history");
    world.restart();
    expect(await world.settle(grant)).toMatchObject({ status: "stale" });
    expect(world.nextHanded().id).toBe(id);
    expect(await world.view(grant.id)).toMatchObject({ state: "failed", reason: "corrupt" });
  });

  test("is made good by the settle of an attempt that memory still knows", async () => {
    const world = new ShardWorld();
    const grant = await world.submitGranted();
    poison(world, grant.id, "history");
    expect(await world.settle(grant)).toMatchObject({ status: "accepted" });
    expect(await world.view(grant.id)).toMatchObject({
      state: "succeeded",
      attempts: [{ decision: "succeed" }],
    });
  });

  test("frees its slot when its lease lapses", async () => {
    const world = new ShardWorld({ concurrency: 1 });
    const grant = await world.submitGranted();
    poison(world, grant.id, "history");
    await world.advance(30_000);
    expect(await world.shard.stats()).toMatchObject({ inFlight: 0, counts: { failed: 1, running: 0 } });
  });

  test("is listed as failed at once, and hides no other", async () => {
    const world = new ShardWorld();
    const [first, poisoned, last] = await threeWaiting(world, "history");
    const { tasks } = await world.shard.list(ALL);
    expect(tasks.map(({ id, state }) => [id, state])).toEqual([
      [last, "pending"],
      [poisoned, "failed"],
      [first, "pending"],
    ]);
  });

  test("whose labels cannot be read does not stop a list by label", async () => {
    const world = new ShardWorld();
    const [first, , last] = await threeWaiting(world, "labels");
    const { tasks } = await world.shard.list({ ...ALL, label: "eu" });
    expect(tasks.map(({ id }) => id)).toEqual([last, first]);
  });

  test("does not stop a batch that meets it by its key", async () => {
    const world = new ShardWorld();
    const key = { idempotencyKey: "order-1", requestHash: "hash" };
    const { id } = await world.submit(world.taskTo("a", { ...key, delayMs: 60_000 }));
    poison(world, id, "call");
    const results = await world.submitAll([world.task(), world.task(key), world.task()]);
    expect(results).toMatchObject([
      { ok: true, grant: { number: 1 } },
      { ok: true, task: { id, state: "failed", duplicate: true } },
      { ok: true, grant: { number: 1 } },
    ]);
  });

  test("does not keep the others that wait for the same probe", async () => {
    const probe = {
      url: "https://a.example.com/ready",
      period: 10_000,
      timeout: 5_000,
      success_threshold: 1,
    };
    const world = new ShardWorld({
      retry: { rules: [{ when: "status == 401", do: "hold", until: { probe } }] },
    });
    const grants = [];
    for (let i = 0; i < 4; i++) grants.push(await world.submitGranted());
    for (const grant of grants) await world.settle(grant, { status: 401 });
    poison(world, grants[0]?.id ?? "", "history");
    poison(world, grants[2]?.id ?? "", "call");
    await world.advance(10_000);
    await world.settle(world.nextHanded());
    expect(await world.counts()).toMatchObject({ held: 0, failed: 2, running: 2 });
  });

  test("among refused grants costs the others no attempt", async () => {
    const world = new ShardWorld();
    world.onRun = (grants) => {
      poison(world, grants[0]?.id ?? "", "history");
      world.onRun = (others) => others.length;
      return 0;
    };
    const [first, second] = (await world.submitAll([world.taskTo("a"), world.taskTo("a")])).map((result) =>
      result.ok ? result.task.id : "",
    );
    await world.advance(250);
    expect(world.nextHanded()).toMatchObject({ id: second, number: 1, lease: 2 });
    expect(await world.view(first ?? "")).toMatchObject({ state: "failed", reason: "corrupt" });
  });

  test("can be retried by hand where its call is whole", async () => {
    const world = new ShardWorld();
    const [, poisoned] = await threeWaiting(world, "history");
    await world.advance(1_000);
    await world.serveRunners();
    await world.operate(poisoned ?? "", "retry");
    await world.serveRunners();
    expect(await world.view(poisoned ?? "")).toMatchObject({ state: "succeeded", round: 2 });
  });

  test("is pruned in its time", async () => {
    const world = new ShardWorld({ retention: { failed: "1h" } });
    const { id } = await world.submit(world.taskTo("a", { delayMs: 1_000 }));
    poison(world, id, "call");
    await world.advance(3_700_000);
    expect(world.rows("SELECT id FROM tasks")).toEqual([]);
  });
});

describe("settings that cannot be read", () => {
  test("are asked for, and the alarm asks too", async () => {
    const world = new ShardWorld();
    const { id } = await world.submit(world.taskTo("a", { delayMs: 60_000 }));
    world.rows("UPDATE shard SET config = ? WHERE id = ?", "{", 1);
    world.restart();
    await world.advance(60_000);
    expect(world.nextHanded().id).toBe(id);
    world.rows("UPDATE shard SET config = ? WHERE id = ?", "{", 1);
    world.restart();
    expect(await world.shard.settle(settleMessage(world.nextHanded()))).toMatchObject({
      status: "accepted",
    });
  });
});
