import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import type { BreakerSettingsInput } from "../../../src/schema/breaker.ts";
import type { TaskRequestInput } from "../../../src/schema/task.ts";
import { ask, eventually, openWorld, type World } from "../../support/server/stories.ts";
import { startTarget, type Target } from "../../support/server/target.ts";

/** What a delivery may take while the machine is busy; a target that is stopped makes it wait 5 s and more. */
const SOON_MS = 3_000;
/** Opens at the first failure, and is open again a second later. */
const STRICT: BreakerSettingsInput = {
  minimum: 1,
  consecutive_failures: 1,
  consecutive_connect_failures: 1,
  open: "1s",
  max_open: "1s",
};
const OFTEN = { max_attempts: 50, backoff: { strategy: "fixed", initial_interval: "1s" } } as const;

let world: World;

beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.stop());

/** One origin whose path `/good` works, `/broken` answers 500 and `/hangs` answers after 10 s. */
async function victimOrigin(): Promise<Target> {
  const target = await startTarget(async ({ path }) => {
    if (path.includes("/hangs")) await delay(10_000);
    return { status: path.includes("/broken") ? 500 : 200 };
  });
  onTestFinished(() => target.stop());
  return target;
}

async function submitMany(count: number, task: TaskRequestInput): Promise<void> {
  const results = await world.client.submitBatch(Array.from({ length: count }, () => task));
  expect(results.filter((result) => "problem" in result)).toEqual([]);
}

/** Delivers a task each 200 ms for some seconds; how long each took to be made. */
async function deliveries(queue: string, url: string, count: number): Promise<number[]> {
  const took: Promise<number>[] = [];
  for (let i = 0; i < count; i++) {
    const startedAt = Date.now();
    const { id } = await world.client.submit({ url, queue });
    const done = eventually(
      `${id} is done`,
      async () => {
        const { state } = await world.client.get(id);
        return state === "succeeded" ? Date.now() - startedAt : null;
      },
      30_000,
    );
    took.push(done);
    await delay(200);
  }
  return Promise.all(took);
}

async function stateOf(origin: string, queue: string): Promise<string> {
  const { body } = await ask(world.server, "GET", `/v1/breakers/${encodeURIComponent(origin)}`);
  const part = body.parts?.find((one: { queue: string }) => one.queue === queue);
  return part?.state ?? "unknown";
}

describe("a queue that fails on purpose at the origin of another's target", () => {
  test.each<[string, object, (origin: string) => Partial<TaskRequestInput> & { url: string }]>([
    [
      "by callbacks with a timeout of 1 ms",
      {},
      (origin) => ({
        url: world.place().url,
        callback: { url: `${origin}/hangs`, timeout: 1, retry: OFTEN },
      }),
    ],
    ["by its own timeout of 1 ms", { timeout: 1 }, (origin) => ({ url: `${origin}/hangs`, retry: OFTEN })],
    ["by a path that answers 500", {}, (origin) => ({ url: `${origin}/broken`, retry: OFTEN })],
    [
      "by the strictest thresholds",
      { breaker: STRICT },
      (origin) => ({ url: `${origin}/broken`, retry: OFTEN }),
    ],
  ])(
    "%s delays none of its deliveries",
    async (_, settings, task) => {
      const target = await victimOrigin();
      const hostile = await world.makeQueue({ ...settings, retry_budget: { enabled: false } });
      const queue = await world.makeQueue({});
      await submitMany(200, { queue: hostile, ...task(target.url) });
      await delay(1_000);
      const took = await deliveries(queue, `${target.url}/good`, 25);
      process.stdout.write(`${_}: the slowest of 25 deliveries took ${Math.max(...took)} ms\n`);
      expect(Math.max(...took)).toBeLessThan(SOON_MS);
      expect(["closed", "unknown"]).toContain(await stateOf(target.url, queue));
    },
    60_000,
  );

  test("cannot say by itself that others trust it", async () => {
    const queue = await world.makeQueue({});
    const made = await ask(world.server, "POST", "/v1/keys", {
      body: { name: "own", scopes: ["admin"], queues: [queue] },
    });
    const { key } = made.body;
    const answer = await ask(world.server, "PUT", `/v1/queues/${queue}`, {
      key,
      body: { breaker: { share: "trusted" } },
    });
    expect(answer).toMatchObject({ status: 403, body: { code: "forbidden" } });
  });
});

describe("an outage that two queues see", () => {
  test("stops the second one after a few calls of its own, and both come back", async () => {
    let isDown = false;
    const calls: string[] = [];
    const target = await startTarget(({ path }) => {
      calls.push(path);
      return { status: isDown ? 503 : 200 };
    });
    onTestFinished(() => target.stop());
    const settings = {
      shards: 1,
      retry: OFTEN,
      retry_budget: { enabled: false },
      breaker: { open: "2s", max_open: "2s" },
    } as const;
    const [busy, calm] = [await world.makeQueue(settings), await world.makeQueue(settings)];
    for (const queue of [busy, calm]) await submitMany(30, { queue, url: `${target.url}/${queue}` });
    await eventually("both have called", async () => (calls.length === 60 ? true : null));
    isDown = true;
    await submitMany(100, { queue: busy, url: `${target.url}/${busy}` });
    await eventually("the busy one is stopped", async () =>
      (await stateOf(target.url, busy)) === "open" ? true : null,
    );
    const before = calls.length;
    for (let i = 0; i < 8; i++) {
      await submitMany(1, { queue: calm, url: `${target.url}/${calm}` });
      await delay(150);
    }
    await eventually("the calm one is stopped", async () =>
      ["open", "half_open"].includes(await stateOf(target.url, calm)) ? true : null,
    );
    const ofCalm = calls.slice(before).filter((path) => path.includes(calm)).length;
    process.stdout.write(`${ofCalm} calls of the second queue until it was stopped\n`);
    // By its own evidence alone it takes 20.
    expect(ofCalm).toBeLessThan(20);
    isDown = false;
    for (const queue of [busy, calm])
      await eventually(
        `${queue} is called again`,
        async () => ((await stateOf(target.url, queue)) === "closed" ? true : null),
        30_000,
      );
  }, 90_000);
});
