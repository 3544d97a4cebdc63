import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { QueueSettingsInput } from "../../src/schema/queue.ts";
import type { TaskView } from "../../src/schema/task.ts";
import {
  eventually,
  FAILS_ON_PURPOSE,
  inTurn,
  openWorld,
  taskWhen,
  verified,
  type World,
} from "../support/server/stories.ts";
import { startTarget, type TargetCall } from "../support/server/target.ts";

const HUNG_TIMEOUT_MS = 8_000;
const OTHERS = 20;
/** Under way at the kill: attempts, half of them made by the edge and half by Runner objects, and deliveries. */
const ATTEMPTS = 100;
const DELIVERIES = 20;
const LONGEST_ATTEMPT_MS = 28_000;
const SLOW_DELIVERY_MS = 8_000;

const QUICK_RETRIES = {
  max_attempts: 5,
  backoff: { strategy: "fixed", initial_interval: "300ms", jitter: "none" },
} as const satisfies QueueSettingsInput["retry"];

for (const calls of ["shard", "edge"] as const) {
  describe.concurrent(`REDRIVE_CALLS=${calls}`, () => {
    let world: World;
    beforeAll(async () => {
      world = await openWorld({ env: { REDRIVE_CALLS: calls } });
    });
    afterAll(() => world.stop());

    test("a task that fails twice and succeeds then gets its signed callback", async () => {
      const flaky = world.place(inTurn({ status: 503 }, { status: 503 }, { status: 200, body: "at last" }));
      const receiver = world.place();
      const queue = await world.makeQueue({ ...FAILS_ON_PURPOSE, retry: QUICK_RETRIES });
      const { id } = await world.client.submit({ url: flaky.url, queue, callback: { url: receiver.url } });
      const task = await taskWhen(world.client, id, ({ callback }) => callback?.state === "delivered");

      expect(task).toMatchObject({ state: "succeeded", attempt_count: 3, response: { body: "at last" } });
      expect(flaky.calls().map((call) => call.headers["redrive-attempt"])).toEqual(["1", "2", "3"]);
      expect(receiver.calls().map((call) => verified(call, world.server.signingSecret).data.task)).toEqual([
        expect.objectContaining({ id, state: "succeeded" }),
      ]);
      // Retries are made by Runner objects, or by none.
      expect((await runnerFiles(world)).length > 0).toBe(calls === "edge");
    });

    test("a task whose first attempt hangs slows no other of its shard", async () => {
      const target = await startTarget(inTurn("hang", { status: 200 }));
      try {
        await hangsAlone(world, target.url, () => target.calls);
      } finally {
        await target.stop();
      }
    });
  });
}

describe.concurrent("REDRIVE_CALLS=edge", () => {
  test("every accepted task ends, and its callback comes, after workerd is killed with 120 in flight", async () => {
    const world = await openWorld({ env: { REDRIVE_CALLS: "edge" } });
    try {
      await survivesAKill(world);
    } finally {
      await world.stop();
    }
  });
});

describe.concurrent("REDRIVE_CALLS=shard, and nothing else to do", () => {
  test("an attempt of 28 s is settled, and its callback delivered to a receiver that takes 8 s", async () => {
    const world = await openWorld();
    try {
      await staysUp(world);
      expect(await runnerFiles(world)).toEqual([]);
    } finally {
      await world.stop();
    }
  });

  test("a delayed attempt that may take more than 30 s goes to a Runner object", async () => {
    const world = await openWorld();
    try {
      const target = world.place();
      await world.client.submit({ url: target.url, timeout: "31s", delay: "200ms" });
      await target.waitForCalls(1);
      expect(await runnerFiles(world)).toHaveLength(1);
    } finally {
      await world.stop();
    }
  });
});

/** Tasks to another target, granted with their submit and claimed when due, are done while the first attempt hangs. */
async function hangsAlone(world: World, url: string, hungCalls: () => TargetCall[]): Promise<void> {
  const good = world.place();
  const receiver = world.place();
  const settings = { timeout: HUNG_TIMEOUT_MS, retry: QUICK_RETRIES, callback: { url: receiver.url } };
  const queue = await world.makeQueue({ ...FAILS_ON_PURPOSE, ...settings, shards: 1 });
  const hung = await world.client.submit({ url, queue });
  await eventually("the first attempt hangs", () => (hungCalls().length === 1 ? true : null));
  const due = Array.from({ length: OTHERS }, () => ({ url: good.url, queue, delay: "200ms" }));
  await world.client.submitBatch(due);
  for (let i = 0; i < OTHERS; i++) await world.client.submit({ url: good.url, queue });
  await receiver.waitForCalls(2 * OTHERS);

  expect(hungCalls()).toHaveLength(1);
  const task = await taskWhen(world.client, hung.id, ({ callback }) => callback?.state === "delivered");
  expect(task.attempts).toMatchObject([{ error_type: "timeout" }, { status: 200 }]);
  expect(receiver.calls()).toHaveLength(2 * OTHERS + 1);
}

async function survivesAKill(world: World): Promise<void> {
  let killed = false;
  const untilKilled = () => (killed ? null : "hang");
  const cutOff = world.place(untilKilled);
  const quick = world.place();
  const receiver = world.place(untilKilled);
  const settings: QueueSettingsInput = {
    timeout: HUNG_TIMEOUT_MS,
    adaptive_concurrency: false,
    retry: QUICK_RETRIES,
    callback: { url: receiver.url, timeout: HUNG_TIMEOUT_MS, retry: QUICK_RETRIES },
  };
  const queue = await world.makeQueue({ ...FAILS_ON_PURPOSE, ...settings });
  const due = Array.from({ length: ATTEMPTS / 2 }, () => ({ url: cutOff.url, queue, delay: "300ms" }));
  const batch = await world.client.submitBatch(due);
  const urls = [...Array(ATTEMPTS / 2).fill(cutOff.url), ...Array(DELIVERIES).fill(quick.url)];
  const singles = await Promise.all(urls.map((url) => world.client.submit({ url, queue })));
  const ids = [
    ...batch.flatMap((one) => ("task" in one ? [one.task.id] : [])),
    ...singles.map(({ id }) => id),
  ];
  expect(new Set(ids).size).toBe(ATTEMPTS + DELIVERIES);
  await Promise.all([cutOff.waitForCalls(ATTEMPTS), receiver.waitForCalls(DELIVERIES)]);
  killed = true;
  world.server.kill();
  world.server = await world.server.restart();

  const isTold = ({ callback }: TaskView) => callback?.state === "delivered";
  const tasks = await Promise.all(ids.map((id) => taskWhen(world.client, id, isTold, 40_000)));
  const again = [{ error_type: "interrupted" }, { status: 200 }];
  for (const [i, { attempts, callback }] of tasks.entries()) {
    const isQuick = i >= ATTEMPTS;
    expect(attempts).toMatchObject(isQuick ? [{ status: 200 }] : again);
    expect(callback?.attempts).toMatchObject(isQuick ? again : [{ status: 200 }]);
  }
  const told = receiver.calls().map((call) => verified(call, world.server.signingSecret).data.task);
  expect(new Set(told.map(({ id }) => id))).toEqual(new Set(ids));
  expect(told.filter(({ state }) => state !== "succeeded")).toEqual([]);
}

/**
 * While attempt and delivery wait, no request reaches the shard that would keep it up. Were it evicted, the lease
 * would lapse and a second call be made.
 */
async function staysUp(world: World): Promise<void> {
  const delivered = Promise.withResolvers<void>();
  const slow = world.place(() => ({ status: 200, body: "done at last", delayMs: LONGEST_ATTEMPT_MS }));
  const receiver = world.place(async () => {
    await delay(SLOW_DELIVERY_MS);
    delivered.resolve();
    return null;
  });
  const callback = { url: receiver.url, timeout: "20s" };
  const { id } = await world.client.submit({ url: slow.url, timeout: "30s", callback });
  await delivered.promise;
  const task = await taskWhen(world.client, id, (one) => one.callback?.state === "delivered");

  expect(task).toMatchObject({ state: "succeeded", attempt_count: 1, response: { body: "done at last" } });
  expect(task.callback?.attempts).toMatchObject([{ number: 1, status: 200 }]);
  expect([slow.calls().length, receiver.calls().length]).toEqual([1, 1]);
}

/** The files of the Runner objects that have run. */
async function runnerFiles({ server }: World): Promise<string[]> {
  const names = await readdir(join(server.dataDir, "do", "redrive-runner"));
  return names.filter((name) => name.endsWith(".sqlite") && name !== "metadata.sqlite");
}
