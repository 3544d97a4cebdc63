import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ask, eventually, openWorld, taskWhen, type World } from "../support/server/stories.ts";
import { startTarget } from "../support/server/target.ts";

/** Probes come soon, and tasks wait long enough for them. */
const SETTINGS = {
  shards: 4,
  breaker: { open: "1s", max_open: "2s" },
  retry: { max_attempts: 50 },
} as const;

let world: World;

beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.stop());

async function breakerOf(key: string) {
  const { status, body } = await ask(world.server, "GET", `/v1/breakers/${encodeURIComponent(key)}`);
  return status === 200 ? body : null;
}

async function submit(queue: string, urls: readonly string[]): Promise<string[]> {
  const results = await world.client.submitBatch(urls.map((url) => ({ url, queue })));
  return results.flatMap((result) => ("problem" in result ? [] : [result.task.id]));
}

describe("one path that answers 500 while the others of its origin answer 200", () => {
  test("is stopped by itself in all shards of two queues, says so, and goes on once it is mended", async () => {
    let isMended = false;
    const target = await startTarget(({ path }) => (path === "/bad" && !isMended ? { status: 500 } : null));
    const [good, bad] = [`${target.url}/good`, `${target.url}/bad`];
    try {
      const queues = [await world.makeQueue(SETTINGS), await world.makeQueue(SETTINGS)];
      const tasks = { good: [] as string[], bad: [] as string[] };
      for (let round = 0; round < 60; round++) {
        for (const queue of queues) {
          tasks.good.push(...(await submit(queue, [good, good])));
          tasks.bad.push(...(await submit(queue, [bad, bad])));
        }
        await delay(50);
      }
      expect(tasks.good).toHaveLength(240);
      for (const id of tasks.good) {
        const task = await taskWhen(world.client, id, ({ state }) => state === "succeeded");
        expect(task).toMatchObject({ target: target.url, attempt_count: 1 });
      }
      const origin = await breakerOf(target.url);
      expect(origin?.state ?? "closed").toBe("closed");
      expect(origin?.audit ?? []).toEqual([]);

      const split = await eventually("the path's breaker is open", async () => {
        const breaker = await breakerOf(bad);
        return breaker?.state === "open" ? breaker : null;
      });
      expect(split.split).toMatchObject({
        reason: expect.stringContaining("failed on this path while calls on others"),
      });
      expect(Date.parse(split.split.since)).toBeLessThanOrEqual(Date.now());
      expect(split.parts).toHaveLength(2);
      const { body } = await ask(world.server, "GET", "/v1/breakers");
      const shown = body.breakers.find(({ key }: { key: string }) => key === bad);
      expect(shown.split).toEqual(split.split);
      const waiting = await Promise.all(tasks.bad.map((id) => world.client.get(id)));
      expect(waiting.filter((task) => task.target === bad).length).toBeGreaterThan(100);

      isMended = true;
      for (const id of tasks.bad)
        await taskWhen(world.client, id, ({ state }) => state === "succeeded", 60_000);
      await eventually("the path's breaker is closed", async () => {
        return (await breakerOf(bad))?.state === "closed" ? true : null;
      });
    } finally {
      await target.stop();
    }
  }, 180_000);
});
