import { describe, expect, test } from "vitest";
import type { Grant } from "../../src/protocol/grant.ts";
import { HOOK } from "../support/shard/shard-messages.ts";
import { ShardWorld } from "../support/shard/shard-world.ts";

const CALLED_BACK = { call: { callback: HOOK } };

async function failed(world: ShardWorld, overrides = {}): Promise<Grant> {
  const grant = await world.submitGranted(overrides);
  await world.settle(grant, { status: 400 });
  return grant;
}

describe("cancel", () => {
  test("ends a waiting task at once, and its callback goes out", async () => {
    const world = new ShardWorld();
    const { id } = await world.submit(world.task({ ...CALLED_BACK, delayMs: 60_000 }));
    expect(await world.operate(id, "cancel")).toMatchObject({ ok: true, task: { state: "cancelled" } });
    const callback = world.nextHanded();
    expect(callback).toMatchObject({ kind: "callback", id });
    expect(JSON.parse(String(callback.request.body))).toMatchObject({ type: "task.cancelled" });
    await world.advance(120_000);
    expect(world.handed.filter(({ grant }) => grant.kind === "attempt")).toEqual([]);
  });

  test("of a running task keeps its lease, and notes its late result", async () => {
    const world = new ShardWorld();
    const grant = await world.submitGranted(CALLED_BACK);
    await world.operate(grant.id, "cancel");
    expect(await world.shard.stats()).toMatchObject({ inFlight: 1, counts: { cancelled: 1 } });
    expect(world.handed).toEqual([]);
    const { status, callback } = await world.settle(grant, { status: 200 });
    expect(status).toBe("accepted");
    expect(callback).toMatchObject({ kind: "callback" });
    expect(await world.view(grant.id)).toMatchObject({
      state: "cancelled",
      attempts: [{ number: 1, status: 200, decision: "late" }],
    });
  });

  test("of a running task delivers its callback once the lease has lapsed", async () => {
    const world = new ShardWorld();
    const grant = await world.submitGranted(CALLED_BACK);
    await world.operate(grant.id, "cancel");
    await world.advance(30_000);
    expect(world.nextHanded()).toMatchObject({ kind: "callback", id: grant.id });
    expect((await world.view(grant.id)).attempts).toMatchObject([
      { decision: "late", error_type: "interrupted" },
    ]);
  });

  test("is refused for a final task", async () => {
    const world = new ShardWorld();
    const { id } = await failed(world);
    expect(await world.operate(id, "cancel")).toMatchObject({ ok: false, code: "invalid_state" });
  });

  test("says that there is no such task", async () => {
    const world = new ShardWorld();
    const { id } = world.task();
    expect(await world.operate(id, "cancel")).toMatchObject({ ok: false, code: "task_not_found" });
    expect(await world.operate(`${id}~1`, "cancel")).toMatchObject({ ok: false, code: "task_not_found" });
    expect(await world.shard.get(`${id}~1`)).toMatchObject({ ok: false, code: "task_not_found" });
  });
});

describe("cancel, then retry, while the attempt is in flight", () => {
  test("admits the new round only after the old lease has settled", async () => {
    const world = new ShardWorld();
    const old = await world.submitGranted();
    await world.operate(old.id, "cancel");
    expect(await world.operate(old.id, "retry")).toMatchObject({
      ok: true,
      task: { state: "pending", round: 2, waiting_on: "concurrency" },
    });
    await world.advance(10_000);
    expect(world.handed).toEqual([]);
    await world.settle(old, { status: 200 });
    expect(world.nextHanded()).toMatchObject({ id: old.id, round: 2, number: 2, lease: 2 });
    expect((await world.view(old.id)).attempts).toMatchObject([
      { number: 1, round: 1, decision: "late" },
      { number: 2, round: 2, decision: null, trigger: "redrive" },
    ]);
  });

  test("admits the new round only after the old lease has lapsed", async () => {
    const world = new ShardWorld();
    const old = await world.submitGranted();
    await world.operate(old.id, "cancel");
    await world.operate(old.id, "retry");
    await world.advance(29_999);
    expect(world.handed).toEqual([]);
    await world.advance(1);
    expect(world.nextHanded()).toMatchObject({ round: 2, lease: 2 });
    expect(await world.settle(old)).toMatchObject({ status: "stale" });
  });

  test("holds over a loss of memory", async () => {
    const world = new ShardWorld();
    const old = await world.submitGranted();
    await world.operate(old.id, "cancel");
    await world.operate(old.id, "retry");
    world.restart();
    await world.operate(old.id, "retry");
    await world.advance(29_999);
    expect(world.handed).toEqual([]);
    await world.advance(1);
    expect(world.nextHanded()).toMatchObject({ round: 2, lease: 2 });
  });

  test("may be cancelled again", async () => {
    const world = new ShardWorld();
    const old = await world.submitGranted(CALLED_BACK);
    await world.operate(old.id, "cancel");
    await world.operate(old.id, "retry");
    await world.operate(old.id, "cancel");
    await world.settle(old);
    const ids = (await world.serveRunners()).map(({ request }) => request.sign?.messageId);
    expect(ids).toContain(`${old.id}_1`);
    expect(await world.view(old.id)).toMatchObject({ state: "cancelled", round: 2 });
    expect(world.rows("SELECT id FROM tasks")).toHaveLength(1);
  });
});

describe("retry", () => {
  test("starts a new round of a failed task and keeps its history", async () => {
    const world = new ShardWorld();
    const { id } = await failed(world);
    expect(await world.operate(id, "retry")).toMatchObject({ ok: true, task: { round: 2 } });
    await world.serveRunners();
    expect(await world.view(id)).toMatchObject({
      state: "succeeded",
      round: 2,
      attempts: [
        { number: 1, round: 1, status: 400 },
        { number: 2, round: 2, status: 200 },
      ],
    });
  });

  test("makes a task go now that waits for its backoff or its delay", async () => {
    const world = new ShardWorld();
    const grant = await world.submitGranted();
    await world.settle(grant, { status: 503 });
    const { id } = await world.submit(world.taskTo("b", { delayMs: 60_000 }));
    await world.operate(grant.id, "retry");
    await world.operate(id, "retry");
    expect(world.handed.map(({ grant: { id, number } }) => [id, number])).toEqual([
      [grant.id, 2],
      [id, 1],
    ]);
  });

  test("of a task that succeeded wants force", async () => {
    const world = new ShardWorld();
    const grant = await world.submitGranted();
    await world.settle(grant);
    expect(await world.operate(grant.id, "retry")).toMatchObject({ ok: false, code: "invalid_state" });
    expect(await world.operate(grant.id, "retry", true)).toMatchObject({ ok: true, task: { round: 2 } });
  });

  test("of a running task is refused", async () => {
    const world = new ShardWorld();
    const { id } = await world.submitGranted();
    expect(await world.operate(id, "retry")).toMatchObject({ ok: false, code: "invalid_state" });
  });
});

describe("a callback that is not delivered when its task is retried", () => {
  test("is delivered as its own message, with the id of its round", async () => {
    const world = new ShardWorld();
    const first = await undelivered(world);
    const { id } = first;
    await world.operate(id, "retry");
    const attempt = world.handed.find(({ grant }) => grant.kind === "attempt")?.grant;
    expect(attempt).toMatchObject({ id, round: 2 });
    await world.advance(6_000);
    const kept = world.handed.find(({ grant }) => grant.kind === "callback")?.grant;
    expect(kept?.request.sign?.messageId).toBe(`${id}_1`);
    expect(kept?.request.body).toBe(first.request.body);
    expect(JSON.parse(String(kept?.request.body))).toMatchObject({
      type: "task.failed",
      data: { task: { id, round: 1 } },
    });
    const messages = (await world.serveRunners()).map(({ request }) => request.sign?.messageId);
    expect(messages.filter((message) => message !== undefined).sort()).toEqual([`${id}_1`, `${id}_2`]);
    expect(world.rows("SELECT id FROM tasks")).toEqual([{ id }]);
  });

  test("goes on in the hands that have it", async () => {
    const world = new ShardWorld();
    const attempt = await world.submitGranted(CALLED_BACK);
    const { callback } = await world.settle(attempt, { status: 400 });
    if (callback === null) throw new Error("no callback grant");
    await world.operate(attempt.id, "retry");
    const second = world.nextHanded();
    expect(second).toMatchObject({ kind: "attempt", round: 2, lease: callback.lease + 1 });
    expect(await world.shard.stats()).toMatchObject({ inFlight: 2 });
    expect(await world.settle(callback)).toMatchObject({ status: "accepted" });
    expect(world.rows("SELECT id FROM tasks")).toHaveLength(1);
    expect(await world.view(attempt.id)).toMatchObject({ state: "running", callback: null });
  });

  test("survives a loss of memory in the hands that have it", async () => {
    const world = new ShardWorld();
    const attempt = await world.submitGranted(CALLED_BACK);
    const { callback } = await world.settle(attempt, { status: 400 });
    if (callback === null) throw new Error("no callback grant");
    await world.operate(attempt.id, "retry");
    world.restart();
    expect(await world.shard.stats()).toMatchObject({ inFlight: 2 });
    await world.serveRunners();
    // The delivery's lease lapses, and the next delivery is due.
    await world.advance(25_000);
    const served = await world.serveRunners();
    expect(served.map(({ request }) => request.sign?.messageId)).toContain(`${attempt.id}_1`);
    expect(world.rows("SELECT id FROM tasks")).toHaveLength(1);
  });

  test("is written without a second copy of the request's body", async () => {
    const world = new ShardWorld();
    const body = "x".repeat(10_000);
    const attempt = await world.submitGranted({ call: { callback: HOOK, body } });
    await world.settle(attempt, { status: 400 }, { edgeElapsedMs: 26_000 });
    world.handed = [];
    await world.operate(attempt.id, "retry");
    expect(world.rows("SELECT id, part FROM bodies")).toEqual([{ id: attempt.id, part: "request" }]);
    expect(world.nextHanded().request.body).toBe(body);
  });

  test("is not counted as a task, nor listed", async () => {
    const world = new ShardWorld();
    const { id } = await undelivered(world);
    await world.operate(id, "retry");
    expect(world.rows("SELECT id FROM tasks")).toHaveLength(2);
    expect(Object.values(await world.counts()).reduce((sum, count) => sum + count)).toBe(1);
    const page = await world.shard.list({
      before: null,
      state: null,
      label: null,
      target: null,
      createdAfter: null,
      limit: 10,
    });
    expect(page.tasks.map((task) => task.id)).toEqual([id]);
    world.restart();
    expect(Object.values(await world.counts()).reduce((sum, count) => sum + count)).toBe(1);
  });
});

/** A task that has failed, and the first delivery of whose callback has too; gives that delivery's grant. */
async function undelivered(world: ShardWorld): Promise<Grant> {
  const attempt = await world.submitGranted(CALLED_BACK);
  const { callback } = await world.settle(attempt, { status: 400 });
  if (callback === null) throw new Error("no callback grant");
  await world.settle(callback, { status: 500 });
  return callback;
}
