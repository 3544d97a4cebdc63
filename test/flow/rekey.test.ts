import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ask, clientOf, eventually, openWorld, taskWhen, type World } from "../support/server/stories.ts";

let world: World;

beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.stop());

describe("tasks behind a path that has stopped its origin", () => {
  test("go on once they have a breaker_key of their own, by filter, over all shards", async () => {
    const queue = await world.makeQueue({ shards: 3 });
    const { origin } = new URL(world.target.url);
    const bad = world.place(() => ({ status: 500 }));
    const good = world.place();
    await world.client.submitBatch(Array.from({ length: 100 }, () => ({ url: bad.url, queue })));
    const key = `/v1/breakers/${encodeURIComponent(origin)}`;
    await eventually("the breaker is open", async () => {
      const { body } = await ask(world.server, "GET", key);
      return body.state === "open" ? true : null;
    });
    const labels = ["customer:bob"];
    const results = await world.client.submitBatch(
      Array.from({ length: 30 }, () => ({ url: good.url, queue, labels })),
    );
    const ids = results.flatMap((result) => ("problem" in result ? [] : [result.task.id]));
    const filter = { queue, target: origin, label: "customer:bob", breaker_key: "bob" };
    const open = await world.client.rekey({ ...filter, dry_run: true });
    expect(open.changed).toBe(open.matched);
    expect(open.changed).toBeGreaterThan(20);
    expect(await world.client.rekey(filter)).toEqual(open);
    for (const id of ids) await taskWhen(world.client, id, ({ state }) => state === "succeeded");
    expect(await world.client.get(ids[0] ?? "")).toMatchObject({ state: "succeeded" });
    expect(await world.client.rekey(filter)).toEqual({ matched: 0, changed: 0 });
  }, 60_000);

  test("are another queue's affair to a key that is limited to some", async () => {
    const queue = await world.makeQueue();
    const { body } = await ask(world.server, "POST", "/v1/keys", {
      body: { name: "other", scopes: ["operate"], queues: ["default"] },
    });
    const limited = clientOf(world.server, body.key);
    const answer = limited.rekey({ queue, breaker_key: "x" });
    await expect(answer).rejects.toMatchObject({ code: "queue_not_found" });
    const { id } = await world.client.submit({ url: world.place().url, queue, delay: "1h" });
    await expect(limited.setBreakerKey(id, "x")).rejects.toMatchObject({ code: "task_not_found" });
    expect(await world.client.setBreakerKey(id, "x")).toMatchObject({ target: `key:${queue}/x` });
    expect(await world.client.setBreakerKey(id, null)).toMatchObject({
      target: new URL(world.target.url).origin,
    });
  });

  test.each<[object, string]>([
    [{ queue: "default" }, "breaker_key"],
    [{ queue: "default", breaker_key: "" }, "breaker_key"],
    [{ queue: "default", breaker_key: "a b" }, "breaker_key"],
    [{ breaker_key: "a" }, "queue"],
    [{ queue: "default", breaker_key: "a", state: "failed" }, "state"],
    [{ queue: "default", breaker_key: "a", cursor: "0/.x" }, "cursor"],
  ])("are not moved by %j", async (body, path) => {
    const answer = await ask(world.server, "POST", "/v1/tasks/rekey", { body });
    expect([answer.status, answer.body.errors[0].path]).toEqual([400, path]);
  });
});
