import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { z } from "zod";
import type { CallbackRetryPolicy } from "../../src/schema/policy.ts";
import {
  eventually,
  FAILS_ON_PURPOSE,
  inTurn,
  openWorld,
  taskWhen,
  verified,
  type World,
} from "../support/server/stories.ts";

const SHORT: z.input<typeof CallbackRetryPolicy> = {
  max_attempts: 4,
  backoff: { strategy: "schedule", intervals: ["50ms", "150ms"], jitter: "none" },
};

let world: World;

beforeAll(async () => {
  world = await openWorld({ queue: FAILS_ON_PURPOSE });
});
afterAll(() => world.stop());

describe.concurrent("a callback", () => {
  test("is delivered again, the same message, until its receiver takes it", async () => {
    const receiver = world.place(inTurn({ status: 503 }, "reset", { status: 204 }));
    const { id } = await world.client.submit({
      url: world.place().url,
      callback: { url: receiver.url, retry: SHORT },
    });
    const calls = await receiver.waitForCalls(3);
    const task = await taskWhen(world.client, id, ({ callback }) => callback?.state === "delivered");

    expect(new Set(calls.map(({ headers }) => headers["webhook-id"]))).toEqual(new Set([`${id}_1`]));
    expect(new Set(calls.map(({ body }) => body)).size).toBe(1);
    for (const call of calls) expect(verified(call, world.server.signingSecret).data.task.id).toBe(id);
    expect(task).toMatchObject({
      state: "succeeded",
      callback: {
        state: "delivered",
        attempts: [{ status: 503 }, { status: 0 }, { status: 204, error_type: null }],
      },
    });
    const [first, second, third] = calls.map(({ receivedAt }) => receivedAt);
    expect((second ?? 0) - (first ?? 0)).toBeGreaterThanOrEqual(50);
    expect((third ?? 0) - (second ?? 0)).toBeGreaterThanOrEqual(150);
  });

  test("that nobody takes fails by itself: the task stays what it is", async () => {
    const receiver = world.place(() => ({ status: 500 }));
    const { id } = await world.client.submit({
      url: world.place().url,
      callback: { url: receiver.url, retry: { ...SHORT, max_attempts: 2 } },
    });
    const task = await taskWhen(world.client, id, ({ callback }) => callback?.state === "failed");

    expect(task.state).toBe("succeeded");
    expect(receiver.calls()).toHaveLength(2);
  });

  test("ends at once where its receiver is gone", async () => {
    const receiver = world.place(() => ({ status: 410 }));
    const { id } = await world.client.submit({
      url: world.place().url,
      callback: { url: receiver.url, retry: SHORT },
    });
    await taskWhen(world.client, id, ({ callback }) => callback?.state === "failed");

    expect(receiver.calls()).toHaveLength(1);
  });

  test("is sent only for the outcomes that were asked for", async () => {
    const receiver = world.place();
    const bad = world.place(() => ({ status: 400 }));
    const callback = { url: receiver.url, on: ["failed" as const] };
    const good = await world.client.submit({ url: world.place().url, callback });
    await world.client.wait(good.id);
    const failed = await world.client.submit({ url: bad.url, callback });
    const [call] = await receiver.waitForCalls(1);

    expect(call?.headers["webhook-id"]).toBe(`${failed.id}_1`);
    expect((await world.client.get(good.id)).callback).toBeNull();
  });

  test("comes from the queue where the task says nothing, and not at all where it says null", async () => {
    const receiver = world.place();
    const queue = await world.makeQueue({ callback: { url: receiver.url, headers: { "x-from": "queue" } } });
    const { url } = world.place();
    const none = await world.client.submit({ url, queue, callback: null });
    await world.client.wait(none.id);
    const plain = await world.client.submit({ url, queue });
    const own = await world.client.submit({ url, queue, callback: { headers: { "x-from": "task" } } });
    const calls = await receiver.waitForCalls(2);

    const fromById = new Map(calls.map(({ headers }) => [headers["webhook-id"], headers["x-from"]]));
    expect(fromById).toEqual(
      new Map([
        [`${plain.id}_1`, "queue"],
        [`${own.id}_1`, "task"],
      ]),
    );
  });

  test("of an ended round arrives though a redrive has begun the next: both are told", async () => {
    const receiver = world.place(() => ({ status: 503 }));
    const target = world.place(inTurn({ status: 400 }, { status: 200 }));
    const { id } = await world.client.submit({
      url: target.url,
      callback: { url: receiver.url, retry: { ...SHORT, max_attempts: 50 } },
    });
    await receiver.waitForCalls(1);
    await world.client.retry(id);
    await eventually("the second message is refused too", () => {
      return receiver.calls().some((call) => call.headers["webhook-id"] === `${id}_2`) ? true : null;
    });
    const typeById = new Map<string, string>();
    receiver.respond((call) => {
      typeById.set(call.headers["webhook-id"] ?? "", verified(call, world.server.signingSecret).type);
      return { status: 200 };
    });
    await eventually("both messages are taken", () => (typeById.size === 2 ? true : null));

    expect(typeById).toEqual(
      new Map([
        [`${id}_1`, "task.failed"],
        [`${id}_2`, "task.succeeded"],
      ]),
    );
    // The ended round is kept for its message only: no list shows it.
    const rows: string[] = [];
    for await (const task of world.client.list({ queue: "default", limit: 200 })) {
      if (task.id.startsWith(id)) rows.push(task.id);
    }
    expect(rows).toEqual([id]);
  });
});

describe.concurrent("a rotated secret", () => {
  test("signs beside the one before, so that a receiver with either can verify", async () => {
    const queue = await world.makeQueue();
    const receiver = world.place();
    const submit = async () => {
      const before = receiver.calls().length;
      await world.client.submit({ url: world.place().url, queue, callback: { url: receiver.url } });
      const call = (await receiver.waitForCalls(before + 1))[before];
      if (call === undefined) throw new Error("no call");
      return call;
    };
    const first = await submit();
    const rotated = await world.client.queues.rotateSecret(queue);
    const second = await submit();
    const again = await world.client.queues.rotateSecret(queue);
    const third = await submit();

    const root = world.server.signingSecret;
    expect(verified(first, root).type).toBe("task.succeeded");
    expect(() => verified(first, rotated.secret)).toThrow();
    for (const secret of [root, rotated.secret]) expect(verified(second, secret).type).toBe("task.succeeded");
    for (const secret of [rotated.secret, again.secret])
      expect(verified(third, secret).type).toBe("task.succeeded");
    expect(() => verified(third, root)).toThrow();
    expect(Date.parse(rotated.previous_valid_until)).toBeGreaterThan(Date.now() + 3_600_000);
  });
});
