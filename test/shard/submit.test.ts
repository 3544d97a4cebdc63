import { describe, expect, test } from "vitest";
import type { NewTask } from "../../src/core/task/new-task.ts";
import type { SubmitMessage } from "../../src/protocol/shard-api.ts";
import { ShardWorld } from "../support/shard/shard-world.ts";

const KEYED = { idempotencyKey: "order-991", requestHash: "hash-1" };

describe("an edge-first grant", () => {
  test("runs for the timeout and 10 s, and is in flight in the row of the task itself", async () => {
    const world = new ShardWorld();
    const grant = await world.submitGranted({ call: { timeoutMs: 3_000 } });
    expect(grant).toMatchObject({ leaseMs: 13_000, leaseUntil: world.now + 13_000, number: 1, round: 1 });
    expect(world.rows("SELECT state, lane, lease_until FROM tasks")).toEqual([
      { state: "running", lane: null, lease_until: world.now + 13_000 },
    ]);
    expect(world.rows("SELECT * FROM flights")).toEqual([]);
  });

  test.each([
    ["is delayed", { delayMs: 10 }],
    ["has a run_at to come", { runAt: Date.parse("2030-01-01") }],
    ["may take longer than an edge Worker lives", { call: { timeoutMs: 20_001 } }],
    ["is not offered one", { edge: false }],
  ])("is not given to a task that %s", async (_, overrides) => {
    const world = new ShardWorld();
    expect((await world.submit(world.task(overrides))).grant).toBeNull();
  });

  test("is given to a task whose run_at is over", async () => {
    const world = new ShardWorld();
    expect((await world.submit(world.task({ runAt: world.now - 1 }))).grant).not.toBeNull();
  });

  test("is not given while the queue is paused", async () => {
    const world = new ShardWorld({}, { paused: true });
    const [result] = await world.submitAll([world.task()]);
    expect(result).toMatchObject({ ok: true, task: { waiting_on: "paused" }, grant: null });
  });

  test("is not given past one that waits in the same lane, though a slot is free by now", async () => {
    const world = new ShardWorld({ concurrency: 1 });
    const first = await world.submitGranted();
    const second = await world.submit(world.task());
    const [, third] = await Promise.all([world.settle(first), world.submit(world.task())]);
    expect([second.grant, third.grant]).toEqual([null, null]);
    expect(world.handed.map(({ grant }) => grant.id)).toEqual([second.id]);
  });

  test("is not given below the watermark, where a restarted shard would not find it", async () => {
    const world = new ShardWorld();
    const early = world.task();
    await world.submit(world.taskTo("a", { delayMs: 300_000 }));
    await world.advance(600_000);
    expect(world.shard.ctx.own.watermark > early.id).toBe(true);
    expect((await world.submit(early)).grant).toBeNull();
    expect(world.handed.map(({ grant }) => grant.id)).toContain(early.id);
  });

  test("is given to no more of a batch than slots are free", async () => {
    const world = new ShardWorld({ concurrency: 2 });
    world.onRun = () => 0;
    const tasks = [0, 1, 2, 3].map(() => world.task());
    const results = await world.submitAll(tasks);
    expect(results.map((result) => result.ok && result.grant !== null)).toEqual([true, true, false, false]);
    expect(await world.shard.stats()).toMatchObject({ inFlight: 2 });
  });

  test("goes past its half of the slots only while no other lane waits", async () => {
    const world = new ShardWorld({ concurrency: 4 });
    world.onRun = () => 0;
    const to = (host: string, edge: boolean) => world.taskTo(host, { edge });
    const results = await world.submitAll([
      to("a", true),
      to("a", true),
      to("b", false),
      to("a", true),
      to("c", true),
    ]);
    expect(results.map((result) => result.ok && result.grant !== null)).toEqual([
      true,
      true,
      false,
      false,
      true,
    ]);
  });
});

describe("a repeated submit", () => {
  test("with the same id gets the same grant", async () => {
    const world = new ShardWorld();
    const task = world.task();
    const first = await world.submit(task);
    world.now += 4_000;
    const again = await world.submit(task);
    const { lease, leaseUntil } = first.grant ?? {};
    expect(again.grant).toMatchObject({ id: task.id, lease, leaseUntil, leaseMs: 26_000 });
    expect(await world.counts()).toMatchObject({ running: 1 });
  });

  test("gets the same grant from a shard that has lost its memory", async () => {
    const world = new ShardWorld();
    const task = world.task();
    const first = await world.submit(task);
    world.restart();
    expect((await world.submit(task)).grant).toEqual(first.grant);
  });

  test("gets no grant once the attempt has settled", async () => {
    const world = new ShardWorld();
    const task = world.task();
    const { grant } = await world.submit(task);
    if (grant === null) throw new Error("no grant");
    await world.settle(grant, { status: 503 });
    const [again] = await world.submitAll([task]);
    expect(again).toMatchObject({
      ok: true,
      grant: null,
      task: { state: "retrying", waiting_on: "backoff" },
    });
  });

  test("gets no grant that a runner has", async () => {
    const world = new ShardWorld();
    const task = world.taskTo("a");
    await world.submit(task);
    expect(world.nextHanded().id).toBe(task.id);
    expect((await world.submit({ ...task, edge: true })).grant).toBeNull();
    world.restart();
    expect((await world.submit({ ...task, edge: true })).grant).toBeNull();
  });

  test("is answered even after the queue has closed", async () => {
    const world = new ShardWorld();
    const task = world.task();
    const { grant } = await world.submit(task);
    if (grant === null) throw new Error("no grant");
    await world.settle(grant);
    expect(await world.shard.close()).toBe(true);
    const [again, other] = await world.submitAll([task, world.task()]);
    expect(again).toMatchObject({ ok: true, task: { id: task.id, state: "succeeded" } });
    expect(other).toMatchObject({ ok: false, code: "queue_not_found" });
  });
});

describe("an idempotency key", () => {
  test("gives the first task to the same request, and grants nothing twice", async () => {
    const world = new ShardWorld();
    const first = await world.submit(world.task(KEYED));
    const [again] = await world.submitAll([world.task(KEYED)]);
    expect(again).toMatchObject({ ok: true, grant: null, task: { id: first.id, duplicate: true } });
    expect(world.rows("SELECT id FROM tasks")).toHaveLength(1);
  });

  test("refuses another request", async () => {
    const world = new ShardWorld();
    const first = await world.submit(world.task(KEYED));
    const [other] = await world.submitAll([world.task({ ...KEYED, requestHash: "hash-2" })]);
    expect(other).toMatchObject({ ok: false, code: "idempotency_conflict" });
    expect(other).toMatchObject({ detail: expect.stringContaining(first.id) });
  });

  test("knows a request that was stored with another hash, before its secrets were encrypted", async () => {
    const world = new ShardWorld();
    const first = await world.submit(world.task({ ...KEYED, requestHash: "plain" }));
    const [again, other] = await world.submitAll([
      world.task({ ...KEYED, requestHash: "keyed", plainHash: "plain" }),
      world.task({ ...KEYED, requestHash: "keyed", plainHash: "another" }),
    ]);
    expect(again).toMatchObject({ ok: true, task: { id: first.id, duplicate: true } });
    expect(other).toMatchObject({ ok: false, code: "idempotency_conflict" });
  });

  test("lets one of many that come together through, alone or in a batch", async () => {
    const world = new ShardWorld();
    const alone = await Promise.all([1, 2, 3].map(() => world.submit(world.task(KEYED))));
    const batch = await world.submitAll([world.task(KEYED), world.task(KEYED)]);
    expect(new Set(alone.map(({ id }) => id)).size).toBe(1);
    expect(alone.filter(({ grant }) => grant !== null)).toHaveLength(1);
    expect(batch.map((result) => result.ok && result.task.id)).toEqual([alone[0]?.id, alone[0]?.id]);
  });

  test("is free again when its task has been pruned", async () => {
    const world = new ShardWorld({ retention: { succeeded: "1h" } });
    const { id, grant } = await world.submit(world.task(KEYED));
    if (grant === null) throw new Error("no grant");
    await world.settle(grant);
    await world.advance(3_700_000);
    const [next] = await world.submitAll([world.task({ ...KEYED, requestHash: "hash-2" })]);
    expect(next).toMatchObject({ ok: true, task: { duplicate: false } });
    expect(await world.shard.get(id)).toMatchObject({ ok: false, code: "task_not_found" });
  });
});

describe("a submit of another release", () => {
  test("may carry fields that this one does not know", async () => {
    const world = new ShardWorld();
    const task = { ...world.task(), sparkle: true, call: { ...world.task().call, glitter: 3 } } as NewTask;
    const message = { queueVersion: 1, tasks: [task], hint: "new" } as SubmitMessage;
    const [result] = await world.shard.submit(message);
    expect(result).toMatchObject({ ok: true, task: { id: task.id, state: "running" } });
    expect(await world.view(task.id)).not.toHaveProperty("glitter");
  });

  test("may lack what a call need not have", async () => {
    const world = new ShardWorld();
    const { callback: _, ...call } = world.task().call;
    const task = world.task();
    const [result] = await world.shard.submit({ tasks: [{ ...task, call }] } as unknown as SubmitMessage);
    expect(result).toMatchObject({ ok: true, grant: { id: task.id } });
  });
});

describe("a shard that was never told its settings", () => {
  test("asks the catalog", async () => {
    const world = new ShardWorld();
    expect((await world.submit(world.task())).grant).not.toBeNull();
  });

  test("refuses a queue that is gone", async () => {
    const world = new ShardWorld();
    world.onCatalog = () => null;
    const [result] = await world.submitAll([world.task()]);
    expect(result).toMatchObject({ ok: false, code: "queue_not_found" });
    expect(await world.shard.get("tsk_0")).toMatchObject({ ok: false, code: "task_not_found" });
  });

  test("throws where the catalog is away, and stores nothing", async () => {
    const world = new ShardWorld();
    world.onCatalog = () => {
      throw new Error("the catalog is away");
    };
    await expect(world.submitAll([world.task()])).rejects.toThrow("the catalog is away");
    expect(world.rows("SELECT id FROM tasks")).toEqual([]);
  });
});
