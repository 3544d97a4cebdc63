import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  ask,
  eventually,
  FAILS_ON_PURPOSE,
  inTurn,
  openWorld,
  type Place,
  taskWhen,
  type World,
} from "../support/server/stories.ts";

let world: World;

beforeAll(async () => {
  world = await openWorld({ queue: FAILS_ON_PURPOSE });
});
afterAll(() => world.stop());

/** Resolves once a task of another queue, due `delayMs` from now, has been called: what was due by then had its turn. */
async function turnOfOthers(delayMs: number): Promise<void> {
  const other = world.place();
  await world.client.submit({ url: other.url, delay: delayMs });
  await other.waitForCalls(1);
}

/** A target that takes `delayMs` for each call and knows how many it had at once. */
function countingPlace(delayMs: number): Place & { mostInFlight(): number } {
  let inFlight = 0;
  let most = 0;
  const place = world.place(async () => {
    most = Math.max(most, ++inFlight);
    await new Promise((resolve) => setTimeout(resolve, delayMs));
    inFlight--;
    return { status: 200 };
  });
  return { ...place, mostInFlight: () => most };
}

describe.concurrent("a paused queue", () => {
  test("takes tasks and calls none, fresh or due, until it is resumed", async () => {
    const queue = await world.makeQueue();
    const target = world.place();
    const paused = await world.client.queues.pause(queue);
    const fresh = await world.client.submit({ url: target.url, queue });
    const delayed = await world.client.submit({ url: target.url, queue, delay: "300ms" });
    await turnOfOthers(600);
    const waiting = await Promise.all([fresh, delayed].map(({ id }) => world.client.get(id)));
    const callsWhilePaused = target.calls().length;
    const view = await world.client.queues.get(queue);
    await world.client.queues.resume(queue);
    await target.waitForCalls(2);

    expect([paused.paused, fresh.waiting_on, callsWhilePaused]).toEqual([true, "paused", 0]);
    expect(waiting).toMatchObject(
      Array(2).fill({ state: "pending", waiting_on: "paused", attempt_count: 0 }),
    );
    expect(view).toMatchObject({ paused: true, counts: { pending: 2 } });
    expect(view.oldest_waiting_ms).toBeGreaterThanOrEqual(600);
  });

  test("still tells outcomes", async () => {
    const queue = await world.makeQueue();
    const receiver = world.place();
    await world.client.queues.pause(queue);
    const { id } = await world.client.submit({
      url: world.place().url,
      queue,
      callback: { url: receiver.url },
    });
    await world.client.cancel(id);

    expect(await receiver.waitForCalls(1)).toMatchObject([{ headers: { "webhook-id": `${id}_1` } }]);
  });

  test("lets a task fail in time when its max_age is over", { timeout: 70_000 }, async () => {
    const queue = await world.makeQueue();
    const target = world.place();
    const receiver = world.place();
    await world.client.queues.pause(queue);
    const { id } = await world.client.submit({
      url: target.url,
      queue,
      retry: { max_age: "2s" },
      callback: { url: receiver.url },
    });
    await receiver.waitForCalls(1, 62_000);

    expect(await world.client.get(id)).toMatchObject({
      state: "failed",
      reason: "max_age",
      attempt_count: 0,
    });
    expect(target.calls()).toHaveLength(0);
  });
});

describe.concurrent("max_age", () => {
  test("ends a task whose next try would come too late, without waiting for it", async () => {
    const target = world.place(() => ({ status: 503 }));
    const backoff = { strategy: "fixed", initial_interval: "1h", jitter: "none" } as const;
    const { id } = await world.client.submit({ url: target.url, retry: { max_age: "30m", backoff } });

    expect(await world.client.wait(id)).toMatchObject({
      state: "failed",
      reason: "max_age",
      attempt_count: 1,
    });
  });

  test("ends a held task", async () => {
    const target = world.place(() => ({ status: 401 }));
    const rules = [{ when: "status == 401", do: "hold" as const, until: "signal" as const }];
    const { id } = await world.client.submit({ url: target.url, retry: { max_age: "1s", rules } });

    expect(await world.client.wait(id)).toMatchObject({
      state: "failed",
      reason: "max_age",
      attempt_count: 1,
    });
  });
});

describe.concurrent("settings of a queue", () => {
  test("hold for tasks that wait already", async () => {
    const queue = await world.makeQueue({ retry: { max_attempts: 9 } });
    const target = world.place(() => ({ status: 503 }));
    const receiver = world.place();
    await world.client.queues.pause(queue);
    const { id } = await world.client.submit({ url: target.url, queue });
    const backoff = { strategy: "fixed", initial_interval: "10ms", jitter: "none" } as const;
    const changed = await world.client.queues.put(queue, {
      retry: { max_attempts: 2, backoff },
      callback: { url: receiver.url },
    });
    await world.client.queues.resume(queue);
    await receiver.waitForCalls(1);

    expect(changed.paused).toBe(true);
    expect(await world.client.get(id)).toMatchObject({ state: "failed", max_attempts: 2, attempt_count: 2 });
  });

  test("hold for a task between two tries", async () => {
    const backoff = { strategy: "fixed", initial_interval: "3s", jitter: "none" } as const;
    const queue = await world.makeQueue({ retry: { max_attempts: 2, backoff } });
    const target = world.place(() => ({ status: 503 }));
    const { id } = await world.client.submit({ url: target.url, queue });
    await taskWhen(world.client, id, ({ state }) => state === "retrying");
    await world.client.queues.put(queue, {
      retry: { max_attempts: 3, backoff: { ...backoff, initial_interval: "10ms" } },
    });

    expect(await world.client.wait(id)).toMatchObject({ state: "failed", attempt_count: 3 });
  });

  test("bound how many attempts are in flight, whoever makes them", async () => {
    const queue = await world.makeQueue({ concurrency: 8 });
    const target = countingPlace(100);
    const tasks = Array.from({ length: 70 }, () => ({ url: target.url, queue }));
    const single = async () => world.client.submit({ url: target.url, queue });
    await Promise.all([world.client.submitBatch(tasks), ...Array.from({ length: 30 }, single)]);
    await eventually("100 tasks succeed", async () => {
      const { counts } = await world.client.queues.get(queue);
      return counts?.succeeded === 100 ? true : null;
    });

    expect(target.calls()).toHaveLength(100);
    expect(target.mostInFlight()).toBeLessThanOrEqual(8);
    expect(target.mostInFlight()).toBeGreaterThan(4);
  });

  test("let the task of the highest priority go first", async () => {
    const queue = await world.makeQueue({ shards: 1, concurrency: 1 });
    const target = world.place();
    await world.client.queues.pause(queue);
    await world.client.submitBatch(
      [3, 9, 0, 5, 9].map((priority) => ({ url: target.url, queue, priority, body: priority })),
    );
    await world.client.queues.resume(queue);

    expect((await target.waitForCalls(5)).map(({ body }) => body)).toEqual(["9", "9", "5", "3", "0"]);
  });
});

describe.concurrent("a queue", () => {
  test("whose callbacks keep failing is deleted by force, and not while a task is open", async () => {
    const refusing = world.place(() => ({ status: 503 }));
    const queue = await world.makeQueue({ ...FAILS_ON_PURPOSE, callback: { url: refusing.url } });
    const { id: open } = await world.client.submit({ url: world.place().url, queue, delay: "1h" });
    const { id } = await world.client.submit({ url: world.place().url, queue });
    await taskWhen(world.client, id, ({ callback }) => callback?.state === "retrying");
    const remove = (query: string) => ask(world.server, "DELETE", `/v1/queues/${queue}${query}`);
    const isRefused = { status: 409, body: { code: "queue_not_empty" } };

    expect(await remove("?force=true")).toMatchObject(isRefused);
    await world.client.cancel(open);
    expect(await remove("")).toMatchObject(isRefused);
    expect((await remove("?force=yes")).status).toBe(400);
    expect((await remove("?force=true")).status).toBe(204);
    expect((await ask(world.server, "GET", `/v1/queues/${queue}`)).status).toBe(404);
  });

  test("is deleted once nothing in it is open", async () => {
    const queue = await world.makeQueue();
    const { id } = await world.client.submit({ url: world.place().url, queue, delay: "1h" });
    await expect(world.client.queues.delete(queue)).rejects.toMatchObject({
      status: 409,
      code: "queue_not_empty",
    });
    await world.client.cancel(id);
    await world.client.queues.delete(queue);

    expect((await ask(world.server, "GET", `/v1/queues/${queue}`)).status).toBe(404);
    await expect(world.client.submit({ url: world.place().url, queue })).rejects.toMatchObject({
      status: 404,
      code: "queue_not_found",
    });
    await expect(world.client.get(id)).rejects.toMatchObject({ status: 404, code: "task_not_found" });
  });

  test("is not made by use", async () => {
    const body = { url: world.place().url, queue: "never-made" };

    expect(await ask(world.server, "POST", "/v1/tasks", { body })).toMatchObject({
      status: 404,
      body: { code: "queue_not_found" },
    });
  });

  test("counts its tasks by state", async () => {
    const queue = await world.makeQueue();
    const good = world.place();
    const bad = world.place(() => ({ status: 400 }));
    const flaky = world.place(inTurn({ status: 503, headers: { "retry-after": "3600" } }));
    const submit = (url: string, more = {}) => world.client.submit({ url, queue, ...more });
    const [, , delayed] = await Promise.all([
      submit(good.url),
      submit(bad.url),
      submit(good.url, { delay: "1h" }),
    ]);
    await submit(flaky.url);
    await submit(good.url, { delay: "1h" });
    await world.client.cancel(delayed.id);
    const expected = { pending: 1, running: 0, retrying: 1, held: 0, succeeded: 1, failed: 1, cancelled: 1 };

    await eventually(JSON.stringify(expected), async () => {
      const { counts } = await world.client.queues.get(queue);
      return JSON.stringify(counts) === JSON.stringify(expected) ? true : null;
    });
  });
});
