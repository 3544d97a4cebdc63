import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { FULL_WEIGHT } from "../../src/core/pressure/weight.ts";
import { eventually, openWorld, type World } from "../support/server/stories.ts";

const TASKS = 64;
const MIB = 1_048_576;
const BODY = "x".repeat(MIB - 4_096);
/** Without a bound in bytes it was 280 MB; what is not collected yet is in it too. */
const MOST_BYTES = 220 * MIB;

describe("64 bodies of 1 MB that are due at the same moment in one shard", () => {
  test("go eight at a time, and all arrive whole", async () => {
    const world = await openWorld({ env: { REDRIVE_CALLS: "edge" } });
    try {
      let underWay = 0;
      let together = 0;
      const place = world.place(async () => {
        together = Math.max(together, ++underWay);
        await delay(100);
        underWay--;
        return null;
      });
      const queue = await world.makeQueue({ shards: 1, concurrency: TASKS, adaptive_concurrency: false });
      await world.client.queues.pause(queue);
      await submitAll(world, queue, place.url);
      // A process that has done nothing yet: what it takes from now on is for the calls.
      world.server.kill();
      world.server = await world.server.restart();
      const idle = await residentBytes(world.server.pid);
      let most = idle;
      let isOver = false;
      const watching = (async () => {
        while (!isOver) {
          most = Math.max(most, await residentBytes(world.server.pid));
          await delay(5);
        }
      })();
      await world.client.queues.resume(queue);
      const calls = await place.waitForCalls(TASKS, 50_000);
      isOver = true;
      await watching;

      expect(calls.every(({ body }) => body === BODY)).toBe(true);
      expect(together).toBeLessThanOrEqual(FULL_WEIGHT / MIB);
      expect(together).toBeGreaterThan(1);
      expect(most - idle).toBeLessThan(MOST_BYTES);
    } finally {
      await world.stop();
    }
  });
});

async function submitAll(world: World, queue: string, url: string): Promise<void> {
  const tasks = Array.from({ length: TASKS }, (_, i) => ({ url, queue, body: BODY, breaker_key: `t${i}` }));
  for (let i = 0; i < TASKS; i += 4) await world.client.submitBatch(tasks.slice(i, i + 4));
  await eventually("all wait", async () => {
    const { counts } = await world.client.queues.get(queue);
    return counts?.pending === TASKS ? true : null;
  });
}

/** What a process has in memory, by the kernel's count. */
async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * 1_024;
}
