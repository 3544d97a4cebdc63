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
