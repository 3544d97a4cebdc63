import { describe, expect, test } from "vitest";
import type { Grant, SettleMessage } from "../../src/protocol/grant.ts";
import { HOOK, settleMessage } from "../support/shard/shard-messages.ts";
import { ShardWorld } from "../support/shard/shard-world.ts";

async function rowOf(world: ShardWorld, id: string) {
  return world.rows("SELECT * FROM tasks WHERE id = ?", id)[0];
}

/** A task whose attempt has succeeded, with the grant of its callback's first delivery. */
async function delivering(world: ShardWorld): Promise<{ attempt: Grant; callback: Grant }> {
  const attempt = await world.submitGranted({ call: { callback: HOOK } });
  const { callback } = await world.settle(attempt);
  if (callback === null) throw new Error("no callback grant");
  return { attempt, callback };
}

describe("a settle", () => {
  test("that is rolled back logs nothing, and its repeat logs it once", async () => {
    const world = new ShardWorld();
    const grant = await world.submitGranted();
    const { rows } = world.shard.ctx;
    const update = rows.update.bind(rows);
    rows.update = () => {
      throw new Error("the disk is full");
    };
    await expect(world.settle(grant, { status: 500 })).rejects.toThrow("the disk is full");
    expect(world.logged("attempt.settled")).toEqual([]);
    rows.update = update;
    expect(await world.settle(grant, { status: 500 })).toMatchObject({ status: "accepted" });
    expect(world.logged("attempt.settled")).toHaveLength(1);
  });

  test("that is late, with a lease of before, changes nothing and is stale", async () => {
    const world = new ShardWorld();
    const first = await world.submitGranted();
    await world.advance(33_000);
    expect(world.nextHanded()).toMatchObject({ id: first.id, lease: 2 });
    const before = await rowOf(world, first.id);
    expect(await world.settle(first)).toMatchObject({ status: "stale", callback: null, next: [] });
    expect(await rowOf(world, first.id)).toEqual(before);
  });

  test("whose lease has lapsed is stale, even before the next attempt", async () => {
    const world = new ShardWorld();
    const grant = await world.submitGranted();
    await world.advance(30_000);
    const before = await rowOf(world, grant.id);
    expect(before).toMatchObject({ state: "retrying" });
    expect(await world.settle(grant)).toMatchObject({ status: "stale" });
    expect(await rowOf(world, grant.id)).toEqual(before);
  });

  test("of a delivery whose lease has lapsed is stale", async () => {
    const world = new ShardWorld();
    const { callback } = await delivering(world);
    await world.advance(20_000);
    expect(await world.settle(callback)).toMatchObject({ status: "stale" });
    expect((await world.view(callback.id)).callback).toMatchObject({
      state: "retrying",
      attempts: [{ number: 1, error_type: "interrupted", status: null }],
    });
  });

  test("with a lease to come, or of a task that is not there, is stale", async () => {
    const world = new ShardWorld();
    const grant = await world.submitGranted();
    expect(await world.settle({ ...grant, lease: 7 })).toMatchObject({ status: "stale" });
    expect(await world.settle({ ...grant, id: world.task().id })).toMatchObject({ status: "stale" });
    expect(await world.view(grant.id)).toMatchObject({ state: "running" });
  });

  test("is accepted until the lapse has been dealt with, however late the alarm", async () => {
    const world = new ShardWorld();
    const grant = await world.submitGranted();
    world.now += 45_000;
    expect(await world.settle(grant)).toMatchObject({ status: "accepted" });
    expect(await world.view(grant.id)).toMatchObject({ state: "succeeded" });
  });

  test("of the wrong kind is stale", async () => {
    const world = new ShardWorld();
    const grant = await world.submitGranted();
    expect(await world.settle({ ...grant, kind: "callback" })).toMatchObject({ status: "stale" });
    const { callback } = await delivering(world);
    expect(await world.settle({ ...callback, kind: "attempt" })).toMatchObject({ status: "stale" });
  });

  test("to a shard whose queue is gone is stale", async () => {
    const world = new ShardWorld();
    world.onCatalog = () => null;
    const grant = { kind: "attempt", id: world.task().id, round: 1, lease: 1 } as Grant;
    expect(await world.settle(grant)).toEqual({ status: "stale", callback: null, next: [] });
  });

  test("may carry fields that this release does not know, and lack those that are newer than its sender", async () => {
    const world = new ShardWorld();
    await world.submit(world.taskTo("a", { call: { callback: HOOK } }));
    const { want: _, edgeElapsedMs: __, ...old } = settleMessage(world.nextHanded());
    world.handed = [];
    await world.submit(world.taskTo("b", { delayMs: 1 }));
    const message = { ...old, mood: "fine" } as unknown as SettleMessage;
    world.now += 5;
    expect(await world.shard.settle(message)).toMatchObject({ status: "accepted", next: [] });
    await world.settled();
    // Who does not say how long it has left gets no callback to deliver: a runner does.
    expect(world.handed.map(({ grant }) => grant.kind).sort()).toEqual(["attempt", "callback"]);
  });
});

describe("a repeated settle", () => {
  test("gets the same callback grant again, until that is settled", async () => {
    const world = new ShardWorld();
    const { attempt, callback } = await delivering(world);
    world.now += 2_000;
    const { callback: again, status } = await world.settle(attempt);
    expect(status).toBe("accepted");
    expect(again).toMatchObject({
      id: callback.id,
      kind: "callback",
      lease: callback.lease,
      leaseUntil: callback.leaseUntil,
      leaseMs: callback.leaseMs - 2_000,
    });
    expect(again?.request.sign?.messageId).toBe(callback.request.sign?.messageId);
    await world.settle(callback);
    expect(await world.settle(attempt)).toEqual({ status: "accepted", callback: null, next: [] });
    expect((await world.view(attempt.id)).callback?.attempts).toHaveLength(1);
  });

  test("gets the same callback grant from a shard that has lost its memory", async () => {
    const world = new ShardWorld();
    const { attempt, callback } = await delivering(world);
    world.restart();
    expect((await world.settle(attempt)).callback).toMatchObject({ lease: callback.lease });
  });

  test("gets none once the delivery has failed, and a runner has the next", async () => {
    const world = new ShardWorld();
    const { attempt, callback } = await delivering(world);
    await world.settle(callback, { status: 500 });
    expect(await world.settle(attempt)).toMatchObject({ callback: null });
    await world.advance(6_000);
    expect(world.nextHanded()).toMatchObject({ kind: "callback", number: 2 });
    const before = await rowOf(world, attempt.id);
    expect(await world.settle(attempt)).toMatchObject({ status: "accepted", callback: null });
    expect(await rowOf(world, attempt.id)).toEqual(before);
  });

  test("that ended in a retry changes nothing", async () => {
    const world = new ShardWorld();
    const grant = await world.submitGranted();
    await world.settle(grant, { status: 503 });
    const before = await rowOf(world, grant.id);
    expect(await world.settle(grant, { status: 200 })).toEqual({
      status: "accepted",
      callback: null,
      next: [],
    });
    expect(await rowOf(world, grant.id)).toEqual(before);
  });

  test("of a delivery changes nothing", async () => {
    const world = new ShardWorld();
    const { callback } = await delivering(world);
    await world.settle(callback);
    const before = await rowOf(world, callback.id);
    expect(await world.settle(callback, { status: 500 })).toMatchObject({ status: "accepted" });
    expect(await rowOf(world, callback.id)).toEqual(before);
  });
});

describe("a lapsed lease", () => {
  test("counts as an interrupted attempt, which is retried", async () => {
    const world = new ShardWorld();
    const grant = await world.submitGranted();
    await world.advance(29_999);
    expect(await world.view(grant.id)).toMatchObject({ state: "running" });
    await world.advance(1);
    expect(await world.view(grant.id)).toMatchObject({
      state: "retrying",
      attempts: [{ number: 1, error_type: "interrupted", status: null, decision: "retry" }],
    });
    await world.advance(1_000);
    expect(world.nextHanded()).toMatchObject({ number: 2, lease: 2 });
  });

  test("ends the task where it was the last attempt", async () => {
    const world = new ShardWorld({ retry: { max_attempts: 1 } });
    const grant = await world.submitGranted();
    await world.advance(30_000);
    expect(await world.view(grant.id)).toMatchObject({ state: "failed", reason: "max_attempts" });
  });

  test("frees its slot for the next in line", async () => {
    const world = new ShardWorld({ concurrency: 1 });
    await world.submitGranted({ call: { timeoutMs: 1_000 } });
    const { id } = await world.submit(world.taskTo("b"));
    await world.advance(11_000);
    expect(world.nextHanded().id).toBe(id);
  });

  test("of many ends each", async () => {
    const world = new ShardWorld({ concurrency: 50 });
    await world.submitAll(Array.from({ length: 50 }, () => world.taskTo("a")));
    world.handed = [];
    await world.advance(30_000);
    expect(await world.counts()).toMatchObject({ running: 0, retrying: 50 });
    expect(world.rows("SELECT * FROM flights")).toEqual([]);
  });
});

describe("the callback's first delivery", () => {
  test("goes to an edge Worker that has time for it", async () => {
    const world = new ShardWorld();
    const grant = await world.submitGranted({ call: { callback: HOOK } });
    const { callback } = await world.settle(grant, {}, { edgeElapsedMs: 17_000 });
    expect(callback).toMatchObject({ kind: "callback", request: { timeoutMs: 10_000 } });
  });

  test("goes to a runner at once where the edge Worker has not", async () => {
    const world = new ShardWorld();
    const grant = await world.submitGranted({ call: { callback: HOOK } });
    expect(await world.settle(grant, {}, { edgeElapsedMs: 17_001 })).toMatchObject({ callback: null });
    expect(world.nextHanded()).toMatchObject({ id: grant.id, kind: "callback", number: 1, lease: 2 });
  });

  test("goes to a Runner object whatever its time", async () => {
    const world = new ShardWorld();
    const callback = { ...HOOK, timeoutMs: 60_000 };
    await world.submit(world.taskTo("a", { call: { callback } }));
    expect((await world.settle(world.nextHanded())).callback).toMatchObject({ kind: "callback" });
  });
});

describe("a runner that settles and asks for more", () => {
  test("gets what is due with the answer, and no Runner object is called for it", async () => {
    const world = new ShardWorld({ concurrency: 1 });
    await world.submitAll([world.taskTo("a"), world.taskTo("a"), world.taskTo("a")]);
    const first = world.nextHanded();
    const { next } = await world.settle(first, {}, { want: 2 });
    expect(next).toHaveLength(1);
    expect(next[0]).toMatchObject({ kind: "attempt", number: 1 });
    expect(world.handed).toEqual([]);
    expect(world.rows("SELECT ids FROM flights")).toEqual([{ ids: JSON.stringify([next[0]?.id]) }]);
  });

  test("gets at most as many as it wants", async () => {
    const world = new ShardWorld({ concurrency: 4 });
    await world.submitAll(Array.from({ length: 12 }, () => world.taskTo("a")));
    const [one, two, three] = world.handed.map(({ grant }) => grant);
    if (one === undefined || two === undefined || three === undefined) throw new Error("no grants");
    const [first, second, third] = await Promise.all([
      world.settle(one, {}, { want: 2 }),
      world.settle(two, {}, { want: 0 }),
      world.settle(three, {}, { want: 0 }),
    ]);
    expect(first.next).toHaveLength(2);
    expect([second.next, third.next]).toEqual([[], []]);
    expect(world.handed).toHaveLength(2);
  });

  test("gets nothing more once it has its answer, whatever becomes due then", async () => {
    const world = new ShardWorld();
    await world.submit(world.taskTo("a"));
    const answered = await world.settle(world.nextHanded(), {}, { want: 2 });
    const { id } = await world.submit(world.taskTo("a"));
    expect(answered.next).toEqual([]);
    expect(world.nextHanded().id).toBe(id);
  });

  test("gets nothing with an answer that it is never given", async () => {
    const world = new ShardWorld({ concurrency: 1 });
    await world.submitAll([world.taskTo("a"), world.taskTo("b")]);
    const first = world.nextHanded();
    world.onSql = (query) => {
      if (query.startsWith("INSERT INTO flights")) throw new Error("storage is full");
    };
    await expect(world.settle(first, {}, { want: 1 })).rejects.toThrow("storage is full");
    world.onSql = () => undefined;
    expect(await world.settle(first, {}, { want: 0 })).toMatchObject({ status: "accepted", next: [] });
    expect(world.handed).toHaveLength(1);
  });

  test("gets none beside a callback, nor for an edge-first attempt", async () => {
    const world = new ShardWorld({ concurrency: 1 });
    const edge = await world.submitGranted();
    await world.submitAll([world.taskTo("a", { call: { callback: HOOK } }), world.taskTo("a")]);
    expect((await world.settle(edge, {}, { want: 1 })).next).toEqual([]);
    const answered = await world.settle(world.nextHanded(), {}, { want: 1 });
    expect(answered).toMatchObject({ callback: { kind: "callback" }, next: [] });
  });
});

describe("what a target answers", () => {
  test("is kept for the view, and a large body apart from its row", async () => {
    const world = new ShardWorld();
    const grant = await world.submitGranted();
    const body = "x".repeat(20_000);
    await world.settle(grant, { body, headers: { "content-type": "text/plain" } });
    expect((await world.view(grant.id)).response).toMatchObject({ status: 200, body });
    expect(String((await rowOf(world, grant.id))?.response).length).toBeLessThan(1_000);
  });

  test("is sent with the whole request at every attempt, however large", async () => {
    const world = new ShardWorld();
    const body = JSON.stringify({ text: "y".repeat(50_000) });
    const grant = await world.submitGranted({ call: { body } });
    await world.settle(grant, { status: 500, body: "z".repeat(10_000) });
    await world.advance(1_000);
    expect(world.nextHanded().request.body).toBe(body);
    expect(world.nextHanded().request.headers["redrive-attempt"]).toBe("2");
  });
});
