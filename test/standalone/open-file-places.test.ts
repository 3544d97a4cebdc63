import { readdirSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { clientOf, eventually, openWorld, type World } from "../support/server/stories.ts";
import { startTarget, type Target } from "../support/server/target.ts";

const FILES = 256;
const HELD = 300;
const SLOW_QUEUES = 5;
const SLOW_EACH = 60;

let world: World;
let held: Target;
let slow: Target;
let good: Target;
let isRepaired = false;

beforeAll(async () => {
  [world, held, slow, good] = await Promise.all([
    openWorld({ openFiles: { soft: FILES, hard: FILES } }),
    startTarget(({ path }) => (path.startsWith("/ready") ? "hang" : { status: isRepaired ? 200 : 401 })),
    startTarget(() => ({ status: 200, delayMs: 400 })),
    startTarget(),
  ]);
});
afterAll(() => Promise.all([world, held, slow, good].map((one) => one.stop())));

describe("a server that may have 256 files open", () => {
  test("outlives hundreds of polls that hang and five queues of slow tasks, and ends all of them, after a restart too", async () => {
    const hanging = await world.makeQueue({
      shards: 2,
      breaker: { enabled: false },
      adaptive_concurrency: false,
    });
    await world.client.submitBatch(
      Array.from({ length: HELD }, (_, i) => ({
        url: held.url,
        queue: hanging,
        retry: { rules: [rule(i)] },
      })),
    );
    const queues = await Promise.all(
      Array.from({ length: SLOW_QUEUES }, () => world.makeQueue({ shards: 2, adaptive_concurrency: false })),
    );
    for (const queue of queues) await submitSlow(queue);
    const other = await world.makeQueue({ shards: 1 });
    let mostFiles = 0;
    await eventually(
      "all slow tasks have succeeded",
      async () => {
        mostFiles = Math.max(mostFiles, filesOf(world.server.pid));
        await succeedsOnNewConnection(other);
        const counts = await Promise.all(
          queues.map(async (queue) => (await world.client.queues.get(queue)).counts),
        );
        return counts.every((one) => one?.succeeded === SLOW_EACH) ? true : null;
      },
      60_000,
    );
    process.stdout.write(`at most ${mostFiles} of ${FILES} files were open\n`);
    expect(mostFiles).toBeLessThan(FILES);

    for (const queue of queues) await submitSlow(queue);
    world.server.kill();
    world.server = await world.server.restart();
    world.client = clientOf(world.server);
    await eventually(
      "all slow tasks have succeeded after a restart",
      async () => {
        await succeedsOnNewConnection(other);
        const counts = await Promise.all(
          queues.map(async (queue) => (await world.client.queues.get(queue)).counts),
        );
        return counts.every((one) => one?.succeeded === 2 * SLOW_EACH) ? true : null;
      },
      60_000,
    );

    isRepaired = true;
    await eventually(
      "all held tasks have succeeded once they are resumed",
      async () => {
        for await (const { id } of world.client.list({ queue: hanging, state: "held" })) {
          await world.client.resume(id);
        }
        const { counts } = await world.client.queues.get(hanging);
        return counts?.succeeded === HELD ? true : null;
      },
      60_000,
    );
  }, 240_000);
});

function rule(i: number) {
  const probe = { url: `${held.url}/ready/${i}`, period: "1s", timeout: "60s" };
  return { when: "status == 401", do: "hold" as const, until: { probe } };
}

async function submitSlow(queue: string): Promise<void> {
  // After a kill an attempt that was under way is interrupted once its lease has ended.
  const task = { url: slow.url, queue, timeout: "5s", retry: { backoff: { intervals: ["100ms"] } } };
  await world.client.submitBatch(Array.from({ length: SLOW_EACH }, () => task));
}

/** A client that comes with a connection of its own gets its work done. */
async function succeedsOnNewConnection(queue: string): Promise<void> {
  const response = await fetch(`${world.server.url}/v1/tasks`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${world.server.apiKey}`,
      "content-type": "application/json",
      connection: "close",
    },
    body: JSON.stringify({ url: good.url, queue }),
  });
  expect(response.status).toBe(202);
  await response.body?.cancel();
}

function filesOf(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}
