import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  ask,
  FAILS_ON_PURPOSE,
  inTurn,
  openWorld,
  taskWhen,
  verified,
  type World,
} from "../support/server/stories.ts";

let world: World;

beforeAll(async () => {
  world = await openWorld({ queue: FAILS_ON_PURPOSE });
});
afterAll(() => world.stop());

describe.concurrent("an idempotency key", () => {
  test("makes one task and one call of 20 submits at the same time", async () => {
    const target = world.place(() => ({ status: 200, delayMs: 200 }));
    const body = { url: target.url, body: { order: 7 }, idempotency_key: "order-7" };
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => ask(world.server, "POST", "/v1/tasks", { body })),
    );
    const ids = new Set(answers.map((answer) => answer.body.id));
    await world.client.wait(answers[0]?.body.id);

    expect(ids.size).toBe(1);
    expect(answers.map(({ status, body: { duplicate } }) => `${status} ${duplicate}`).sort()).toEqual([
      ...Array(19).fill("200 true"),
      "202 false",
    ]);
    expect(target.calls()).toHaveLength(1);
  });

  test("is refused with another body, in a batch and by its header too", async () => {
    const { url } = world.place();
    const first = { url, body: 1, idempotency_key: "order-8" };
    const other = { url, body: 2 };
    const { body: task } = await ask(world.server, "POST", "/v1/tasks", { body: first });
    const byField = await ask(world.server, "POST", "/v1/tasks", {
      body: { ...other, idempotency_key: "order-8" },
    });
    const byHeader = await ask(world.server, "POST", "/v1/tasks", {
      body: other,
      headers: { "idempotency-key": "order-8" },
    });
    const [repeated, refused] = await world.client.submitBatch([
      first,
      { ...other, idempotency_key: "order-8" },
    ]);

    for (const answer of [byField, byHeader]) {
      expect(answer).toMatchObject({ status: 409, body: { code: "idempotency_conflict" } });
      expect(answer.headers.get("content-type")).toBe("application/problem+json");
    }
    expect(repeated).toMatchObject({ task: { id: task.id, duplicate: true } });
    expect(refused).toMatchObject({ problem: { status: 409, code: "idempotency_conflict" } });
  });

  test("belongs to its queue", async () => {
    const { url } = world.place();
    const queue = await world.makeQueue();
    const here = await world.client.submit({ url, idempotency_key: "order-9" });
    const there = await world.client.submit({ url, idempotency_key: "order-9", queue });

    expect(there.id).not.toBe(here.id);
    expect(there.duplicate).toBe(false);
  });
});

describe.concurrent("cancel", () => {
  test("ends a task that waits for its time, which is then never called", async () => {
    const target = world.place();
    const receiver = world.place();
    const { id } = await world.client.submit({
      url: target.url,
      delay: "2s",
      callback: { url: receiver.url },
    });
    const cancelled = await world.client.cancel(id);
    // A task due at the same moment has been called: so would this one have been.
    await world.client
      .submit({ url: world.place().url, delay: "2200ms" })
      .then((later) => world.client.wait(later.id));
    const [call] = await receiver.waitForCalls(1);

    expect(cancelled).toMatchObject({ state: "cancelled", reason: "cancelled", attempt_count: 0 });
    expect(target.calls()).toHaveLength(0);
    expect(call && verified(call, world.server.signingSecret)).toMatchObject({
      type: "task.cancelled",
      data: { task: { id, state: "cancelled", attempts: 0 } },
    });
    await expect(world.client.cancel(id)).rejects.toMatchObject({ status: 409, code: "invalid_state" });
  });

  test("ends a task that waits for its next try", async () => {
    const target = world.place(() => ({ status: 503 }));
    const backoff = { strategy: "fixed", initial_interval: "60s", jitter: "none" } as const;
    const { id } = await world.client.submit({ url: target.url, retry: { backoff } });
    const retrying = await taskWhen(world.client, id, ({ state }) => state === "retrying");

    expect(retrying).toMatchObject({
      waiting_on: "backoff",
      summary: expect.stringContaining("Next try in"),
    });
    expect(await world.client.cancel(id)).toMatchObject({ state: "cancelled", attempt_count: 1 });
  });

  test("ends a running task, whose late result is noted and changes nothing", async () => {
    const target = world.place(() => ({ status: 200, body: "too late", delayMs: 600 }));
    const receiver = world.place();
    const { id } = await world.client.submit({ url: target.url, callback: { url: receiver.url } });
    await target.waitForCalls(1);
    const cancelled = await world.client.cancel(id);
    const noted = await taskWhen(world.client, id, ({ attempts }) => attempts[0]?.decision === "late");
    const calls = await receiver.waitForCalls(1);

    expect(cancelled).toMatchObject({ state: "cancelled", attempts: [{ decision: null }] });
    expect(noted).toMatchObject({ state: "cancelled", attempts: [{ status: 200, decision: "late" }] });
    expect(calls.map((call) => verified(call, world.server.signingSecret).type)).toEqual(["task.cancelled"]);
    expect(target.calls()).toHaveLength(1);
  });
});

describe.concurrent("retry", () => {
  test("starts a new round of a failed task: history kept, a second message told", async () => {
    const target = world.place(inTurn({ status: 400 }, { status: 200 }));
    const receiver = world.place();
    const { id } = await world.client.submit({ url: target.url, callback: { url: receiver.url } });
    await receiver.waitForCalls(1);
    const again = await world.client.retry(id);
    const [failed, succeeded] = await receiver.waitForCalls(2);

    expect(again).toMatchObject({ round: 2, attempts: [{ number: 1, round: 1, status: 400 }] });
    expect(await world.client.wait(id)).toMatchObject({
      state: "succeeded",
      attempts: [
        { number: 1, round: 1, status: 400 },
        { number: 2, round: 2, status: 200, trigger: "redrive" },
      ],
    });
    expect([failed, succeeded].map((call) => call?.headers["webhook-id"])).toEqual([`${id}_1`, `${id}_2`]);
    expect(succeeded && verified(succeeded, world.server.signingSecret)).toMatchObject({
      type: "task.succeeded",
      data: { task: { round: 2, attempts: 2 } },
    });
    const keys = target.calls().map(({ headers }) => headers["idempotency-key"]);
    expect(keys).toHaveLength(2);
    expect(new Set(keys).size).toBe(1);
  });

  test("sends a task that waits at once", async () => {
    const target = world.place();
    const { id } = await world.client.submit({ url: target.url, delay: "1h" });
    await world.client.retry(id);

    expect(await world.client.wait(id)).toMatchObject({
      state: "succeeded",
      round: 1,
      attempts: [{ trigger: "manual" }],
    });
  });

  test("repeats a success only where it is forced", async () => {
    const target = world.place();
    const { id } = await world.client.submit({ url: target.url });
    await world.client.wait(id);
    await expect(world.client.retry(id)).rejects.toMatchObject({ status: 409, code: "invalid_state" });
    const forced = await ask(world.server, "POST", `/v1/tasks/${id}/retry?force=true`);

    expect(forced).toMatchObject({ status: 200, body: { round: 2 } });
    await target.waitForCalls(2);
  });

  test("after a cancel waits for the attempt in flight: two never overlap", async () => {
    let inFlight = 0;
    let mostInFlight = 0;
    const target = world.place(async () => {
      mostInFlight = Math.max(mostInFlight, ++inFlight);
      await new Promise((resolve) => setTimeout(resolve, 400));
      inFlight--;
      return { status: 200 };
    });
    const { id } = await world.client.submit({ url: target.url });
    await target.waitForCalls(1);
    await world.client.cancel(id);
    await world.client.retry(id);
    const task = await taskWhen(world.client, id, ({ state }) => state === "succeeded");

    expect(mostInFlight).toBe(1);
    expect(task.attempts).toMatchObject([
      { round: 1, decision: "late" },
      { round: 2, decision: "succeed" },
    ]);
  });
});

describe("a batch", () => {
  test("of 1,000 takes every right task and answers every wrong one, in order", async () => {
    const target = world.place();
    const wrong = [
      { url: "http://10.0.0.1/" },
      { url: target.url, retry: { max_attempts: 0 } },
      "no task",
      {},
    ];
    const tasks = Array.from({ length: 1_000 }, (_, i) =>
      i % 100 === 7 ? wrong[Math.floor(i / 100) % wrong.length] : { url: target.url, body: i },
    );
    const answer = await ask(world.server, "POST", "/v1/tasks/batch", { body: { tasks } });
    const results: { task?: { id: string }; problem?: { code: string } }[] = answer.body.results;
    const calls = await target.waitForCalls(990);

    expect(answer.status).toBe(202);
    expect(results).toHaveLength(1_000);
    expect(results.map(({ problem }, i) => (problem ? i : null)).filter((i) => i !== null)).toEqual([
      7, 107, 207, 307, 407, 507, 607, 707, 807, 907,
    ]);
    const bodyById = new Map(calls.map((call) => [call.headers["redrive-task-id"], call.body]));
    expect(results.map(({ task }) => (task ? bodyById.get(task.id) : undefined))).toEqual(
      tasks.map((_, i) => (i % 100 === 7 ? undefined : String(i))),
    );
  });

  test("of 1,001 is refused whole", async () => {
    const tasks = Array.from({ length: 1_001 }, () => ({ url: world.target.url }));
    const answer = await ask(world.server, "POST", "/v1/tasks/batch", { body: { tasks } });

    expect(answer).toMatchObject({
      status: 400,
      body: { code: "invalid_request", errors: [{ path: "tasks" }] },
    });
  });
});
