import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startServer } from "../support/server/server.ts";
import {
  ask,
  clientOf,
  FAILS_ON_PURPOSE,
  inTurn,
  openWorld,
  taskWhen,
  verified,
  type World,
} from "../support/server/stories.ts";

let dataDir: string;
let world: World;

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "redrive-restart-"));
  world = await openWorld({ dataDir, queue: FAILS_ON_PURPOSE });
});
afterAll(async () => {
  await world.stop();
  await rm(dataDir, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
});

describe("Ctrl-C and a new start on the same folder", () => {
  test("keep tasks in every state, queues, keys and idempotency, and go on with all of it", async () => {
    const flaky = world.place(inTurn({ status: 503 }, { status: 200 }));
    const held = world.place(inTurn({ status: 401 }, { status: 200 }));
    const slow = world.place(inTurn({ status: 200, delayMs: 3_000 }, { status: 200 }));
    const plain = world.place();
    let isReady = false;
    const probed = world.place(() => ({ status: isReady ? 200 : 503 }));
    const receiver = world.place();
    const callback = { url: receiver.url };
    const queue = await world.makeQueue({ retry: { max_attempts: 7 } });
    await world.client.queues.pause(queue);
    const { body: key } = await ask(world.server, "POST", "/v1/keys", {
      body: { name: "kept", scopes: ["read"] },
    });

    const done = await world.client.submit({ url: plain.url, idempotency_key: "once" });
    const parked = await world.client.submit({ url: plain.url, queue, callback });
    const delayed = await world.client.submit({ url: plain.url, delay: "4s", callback });
    const backoff = { strategy: "fixed", initial_interval: "4s", jitter: "none" } as const;
    const retrying = await world.client.submit({ url: flaky.url, retry: { backoff }, callback });
    const rules = [{ when: "status == 401", do: "hold" as const, until: "signal" as const }];
    const signalled = await world.client.submit({ url: held.url, retry: { rules }, callback });
    const probe = { url: probed.url, period: "1s" };
    const watched = await world.client.submit({
      url: world.place(inTurn({ status: 409 }, { status: 200 })).url,
      retry: { rules: [{ when: "error_type == conflict", do: "hold", until: { probe } }] },
      callback,
    });
    await world.client.wait(done.id);
    await taskWhen(world.client, retrying.id, ({ state }) => state === "retrying");
    for (const { id } of [signalled, watched])
      await taskWhen(world.client, id, ({ state }) => state === "held");
    const cutOff = await world.client.submit({ url: slow.url, timeout: "5s", retry: { backoff }, callback });
    await slow.waitForCalls(1);
    await world.server.stop();
    expect(await world.server.exited).toBe(0);
    world.server = await startServer({ dataDir });
    world.client = clientOf(world.server);
    isReady = true;

    expect(await world.client.get(done.id)).toMatchObject({
      state: "succeeded",
      attempts: [{ status: 200 }],
    });
    expect(await world.client.submit({ url: plain.url, idempotency_key: "once" })).toMatchObject({
      id: done.id,
      duplicate: true,
    });
    expect((await ask(world.server, "GET", "/v1/tasks", { key: key.key })).status).toBe(200);
    expect(await world.client.get(parked.id)).toMatchObject({ waiting_on: "paused", max_attempts: 7 });
    await world.client.queues.resume(queue);
    await world.client.resume(signalled.id);
    const open = [parked, delayed, retrying, signalled, watched, cutOff];
    for (const { id } of open)
      expect(await world.client.wait(id, { timeoutMs: 30_000 })).toMatchObject({ state: "succeeded" });
    const calls = await receiver.waitForCalls(open.length);
    expect(new Set(calls.map((call) => verified(call, world.server.signingSecret).data.task.id))).toEqual(
      new Set(open.map(({ id }) => id)),
    );
    expect(flaky.calls()).toHaveLength(2);
    expect(held.calls()).toHaveLength(2);
  });
});
