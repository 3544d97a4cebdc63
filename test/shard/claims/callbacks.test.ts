import { Webhook } from "standardwebhooks";
import { describe, expect, test } from "vitest";
import { HOOK } from "../../support/shard/shard-messages.ts";
import { ShardWorld } from "../../support/shard/shard-world.ts";

const CALLED_BACK = { call: { callback: HOOK } };

/** A task that has failed for good, with the first delivery of its callback in hand. */
async function ended(world: ShardWorld, overrides = {}) {
  const attempt = await world.submitGranted({ ...CALLED_BACK, ...overrides });
  const { callback } = await world.settle(attempt, { status: 400 });
  if (callback === null) throw new Error("no callback grant");
  return callback;
}

describe("a callback", () => {
  test("carries the message that tells the outcome, the same at every delivery", async () => {
    const world = new ShardWorld();
    const first = await ended(world);
    await world.settle(first, { status: 503 });
    await world.advance(4_000);
    const second = world.nextHanded();
    expect(second.request.body).toBe(first.request.body);
    expect(second.request.sign).toEqual(first.request.sign);
    expect(JSON.parse(String(second.request.body))).toMatchObject({
      type: "task.failed",
      data: { task: { id: first.id, round: 1, state: "failed" }, response: { status: 400 } },
    });
  });

  test("is retried on its own schedule, then has failed, and the task stays as it ended", async () => {
    const world = new ShardWorld();
    const first = await ended(world);
    await world.settle(first, { status: 500 });
    for (let delivery = 2; delivery <= 8; delivery++) {
      await world.advance((world.alarmAt ?? world.now) - world.now);
      while (world.handed.length === 0) await world.advance((world.alarmAt ?? world.now) - world.now);
      expect(world.nextHanded()).toMatchObject({ kind: "callback", number: delivery });
      await world.settle(world.nextHanded(), { status: 500 });
    }
    const view = await world.view(first.id);
    expect(view).toMatchObject({ state: "failed", callback: { state: "failed" }, attempt_count: 1 });
    expect(view.callback?.attempts).toHaveLength(8);
    expect(await world.shard.stats()).toMatchObject({ inFlight: 0, callbacksWaiting: 0 });
  });

  test("is not tried again where its receiver is gone", async () => {
    const world = new ShardWorld();
    const first = await ended(world);
    await world.settle(first, { status: 410 });
    expect((await world.view(first.id)).callback).toMatchObject({ state: "failed" });
  });

  test("goes out for the wanted outcomes only", async () => {
    const world = new ShardWorld();
    const attempt = await world.submitGranted({
      call: { callback: { ...HOOK, on: ["failed"] } },
    });
    expect((await world.settle(attempt)).callback).toBeNull();
    expect(await world.view(attempt.id)).toMatchObject({ state: "succeeded", callback: null });
  });

  test("goes where the queue says, unless the task says otherwise or wants none", async () => {
    const world = new ShardWorld({ callback: { url: "https://queue.example.com/hook" } });
    const receiver = async (overrides: object) => {
      const grant = await world.submitGranted({ call: overrides });
      return (await world.settle(grant)).callback?.request.url ?? null;
    };
    expect(await receiver({})).toBe("https://queue.example.com/hook");
    expect(await receiver({ callback: HOOK })).toBe(HOOK.url);
    expect(await receiver({ callback: null })).toBeNull();
  });

  test("is signed with both secrets while they rotate, then with the new one", async () => {
    const [old, fresh] = ["whsec_b2xkb2xkb2xkb2xkb2xkb2xkb2xk", "whsec_bmV3bmV3bmV3bmV3bmV3bmV3bmV3"];
    const world = new ShardWorld();
    await world.configure({ secrets: [fresh, old], previousSecretUntil: world.now + 10_000 });
    const first = await ended(world);
    expect(first.request.sign?.secrets).toEqual([fresh, old]);
    await world.settle(first, { status: 500 });
    world.now += 10_000;
    await world.advance(0);
    expect(world.nextHanded().request.sign?.secrets).toEqual([fresh]);
    // The secrets are such as the public library takes.
    expect(new Webhook(fresh).sign("id", new Date(world.now), "body")).toMatch(/^v1,/);
  });

  test("waits in the line of its receiver, not of the target", async () => {
    const world = new ShardWorld({ concurrency: 2 });
    const first = await ended(world);
    await world.settle(first, { status: 500 });
    expect(world.rows("SELECT lane FROM tasks")).toEqual([{ lane: ">https://me.example.com" }]);
    expect(await world.shard.stats()).toMatchObject({ callbacksWaiting: 1 });
  });

  test("of a task held by nobody any more is delivered after a loss of memory", async () => {
    const world = new ShardWorld();
    const first = await ended(world);
    world.restart();
    await world.advance(20_000 + 4_000);
    expect(world.nextHanded()).toMatchObject({ kind: "callback", id: first.id, number: 2 });
  });
});

describe("a callback that is stopped", () => {
  test("is not delivered any more, says so, and keeps its queue from being deleted no longer", async () => {
    const world = new ShardWorld();
    const first = await ended(world);
    await world.settle(first, { status: 500 });
    expect(await world.shard.close()).toBe(false);
    const answer = await world.operate(first.id, "stop-callback");
    expect(answer).toMatchObject({
      ok: true,
      task: {
        state: "failed",
        callback: { state: "failed", reason: "stopped", attempts: [{ status: 500, next_at: null }] },
        summary: expect.stringContaining("Its callback was stopped after 1 delivery."),
      },
    });
    await world.advance(48 * 3_600_000);
    expect(world.handed).toEqual([]);
    expect(await world.shard.close()).toBe(true);
  });

  test("ends with the delivery that is under way, by its result or its lease", async () => {
    const world = new ShardWorld();
    const [settled, arrived, lapsed] = [await ended(world), await ended(world), await ended(world)];
    for (const { id } of [settled, arrived, lapsed])
      expect(await world.operate(id, "stop-callback")).toMatchObject({
        ok: true,
        task: { callback: { state: "running", reason: "stopped" } },
      });
    await world.settle(settled, { status: 500 });
    await world.settle(arrived, { status: 200 });
    await world.advance(60_000);
    const callbackOf = async ({ id }: { id: string }) => (await world.view(id)).callback;
    expect(await callbackOf(settled)).toMatchObject({ state: "failed", reason: "stopped" });
    expect(await callbackOf(arrived)).toMatchObject({ state: "delivered", reason: null });
    expect(await callbackOf(lapsed)).toMatchObject({ state: "failed", reason: "stopped" });
    expect(world.handed).toEqual([]);
  });

  test("stays so over a restart while its delivery is under way", async () => {
    const world = new ShardWorld();
    const first = await ended(world);
    await world.operate(first.id, "stop-callback");
    world.restart();
    await world.settle(first, { status: 500 });
    expect((await world.view(first.id)).callback).toMatchObject({ state: "failed", reason: "stopped" });
  });

  test("takes those of earlier rounds with it, waiting or under way", async () => {
    const world = new ShardWorld();
    const first = await ended(world);
    await world.settle(first, { status: 500 });
    await world.operate(first.id, "retry");
    const second = world.nextHanded();
    const { callback } = await world.settle(second, { status: 400 });
    await world.operate(first.id, "retry");
    expect(world.rows("SELECT id FROM tasks WHERE instr(id, '~') > 0")).toHaveLength(2);
    expect(await world.operate(first.id, "stop-callback")).toMatchObject({
      ok: true,
      task: { callback: null },
    });
    if (callback === null) expect.fail("no delivery of the second round");
    await world.settle(callback, { status: 500 });
    expect(world.rows("SELECT id FROM tasks WHERE instr(id, '~') > 0")).toEqual([]);
    expect(await world.shard.stats()).toMatchObject({ callbacksWaiting: 0 });
  });

  test("is stopped by a repeat as well, and there has to be one", async () => {
    const world = new ShardWorld();
    const [stopped, delivered] = [await ended(world), await ended(world)];
    await world.settle(stopped, { status: 500 });
    await world.settle(delivered, { status: 200 });
    const { grant } = await world.submit(world.task());
    for (let i = 0; i < 2; i++)
      expect(await world.operate(stopped.id, "stop-callback")).toMatchObject({ ok: true });
    expect(await world.operate(delivered.id, "stop-callback")).toEqual({
      ok: false,
      code: "invalid_state",
      detail: `stopping a callback needs one that is pending, running or retrying; that of ${delivered.id} is delivered`,
    });
    const running = grant?.id ?? "";
    expect(await world.operate(running, "stop-callback")).toEqual({
      ok: false,
      code: "invalid_state",
      detail: `stopping a callback needs one that is pending, running or retrying; ${running}, which is running, has none now`,
    });
  });
});
