import { describe, expect, test } from "vitest";
import { HOOK } from "../../support/shard/shard-messages.ts";
import { ShardWorld } from "../../support/shard/shard-world.ts";

describe("a task from submit to callback", () => {
  test("is called by its submitter, and its callback delivered by the same", async () => {
    const world = new ShardWorld();
    const { id, grant } = await world.submit(world.task({ call: { callback: HOOK } }));
    expect(grant).toMatchObject({ kind: "attempt", number: 1, lease: 1 });
    if (grant === null) return;
    const { callback } = await world.settle(grant, { body: "ok" }, { edgeElapsedMs: 20 });
    expect(callback).toMatchObject({
      kind: "callback",
      lease: 2,
      request: { url: HOOK.url, method: "POST" },
    });
    if (callback === null) return;
    await world.settle(callback, { status: 204 }, { edgeElapsedMs: 40 });
    expect(await world.view(id)).toMatchObject({
      state: "succeeded",
      attempt_count: 1,
      callback: { state: "delivered", attempts: [{ number: 1, status: 204 }] },
    });
  });

  test("is retried after its backoff by a runner, which also delivers the callback", async () => {
    const world = new ShardWorld();
    const { id, grant } = await world.submit(world.task({ call: { callback: HOOK } }));
    if (grant === null) throw new Error("no grant");
    await world.settle(grant, { status: 503 });
    expect(await world.view(id)).toMatchObject({ state: "retrying", waiting_on: "backoff" });
    await world.advance(1_000);
    const again = world.nextHanded();
    expect(again).toMatchObject({ id, kind: "attempt", number: 2, lease: 2 });
    const { callback } = await world.settle(again);
    if (callback === null) throw new Error("no callback grant");
    await world.settle(callback);
    const view = await world.view(id);
    expect(view).toMatchObject({ state: "succeeded", callback: { state: "delivered" } });
    expect(view.attempts.map(({ decision }) => decision)).toEqual(["retry", "succeed"]);
  });

  test("is taken up again as interrupted when its lease lapses", async () => {
    const world = new ShardWorld();
    const { id } = await world.submit(world.task());
    await world.advance(30_000);
    const view = await world.view(id);
    expect(view.attempts[0]).toMatchObject({ error_type: "interrupted", status: null, decision: "retry" });
    await world.advance(2_000);
    expect(world.nextHanded()).toMatchObject({ id, number: 2 });
  });

  test("survives the loss of memory while its attempt is in flight", async () => {
    const world = new ShardWorld();
    const { id, grant } = await world.submit(world.task());
    world.restart();
    if (grant === null) throw new Error("no grant");
    expect(await world.settle(grant)).toMatchObject({ status: "accepted" });
    expect(await world.view(id)).toMatchObject({ state: "succeeded" });
  });
});
