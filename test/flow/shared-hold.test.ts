import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { parseTaskId } from "../../src/core/task/task-id.ts";
import { eventually, openWorld, type World } from "../support/server/stories.ts";
import { startTarget } from "../support/server/target.ts";

const SHARDS = 8;
const RETRY_AFTER_MS = 2_000;
/** What a shard takes to tell the Breaker object, that one to tell the others, and calls that they let go before. */
const SYNC_MS = 250;

let world: World;

beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.stop());

/** Submits tasks in one request; they are spread over the shards. */
async function submitMany(queue: string, url: string, count: number): Promise<string[]> {
  const results = await world.client.submitBatch(Array.from({ length: count }, () => ({ url, queue })));
  return results.map((result) => {
    if ("problem" in result) throw new Error(JSON.stringify(result.problem));
    return result.task.id;
  });
}

/** Waits until all tasks of the queue have succeeded. */
function allSucceed(queue: string, count: number) {
  return eventually(`${count} tasks of ${queue} have succeeded`, async () => {
    const { counts } = await world.client.queues.get(queue);
    return counts?.succeeded === count ? counts : null;
  });
}

describe("a target that answers one call of eight shards by 429 with a Retry-After of 2 s", () => {
  test("gets no call from any of them before that is over, but what was under way", async () => {
    const target = await startTarget();
    onTestFinished(() => target.stop());
    const queue = await world.makeQueue({ shards: SHARDS });
    const known = await submitMany(queue, target.url, 60 * SHARDS);
    expect(new Set(known.map((id) => parseTaskId(id)?.shard)).size).toBe(SHARDS);
    await allSucceed(queue, known.length);

    let refusedAt = 0;
    target.respond(() => {
      if (refusedAt > 0) return null;
      refusedAt = Date.now();
      return { status: 429, headers: { "retry-after": String(RETRY_AFTER_MS / 1_000) } };
    });
    let submitted = known.length;
    const late = new Set<number | undefined>();
    for (let round = 0; round < 30; round++) {
      const ids = await submitMany(queue, target.url, SHARDS);
      submitted += ids.length;
      if (refusedAt > 0 && Date.now() > refusedAt + SYNC_MS)
        for (const id of ids) late.add(parseTaskId(id)?.shard);
      await delay(40);
    }
    // All shards have tasks that wait.
    expect(late.size).toBe(SHARDS);
    await allSucceed(queue, submitted);

    const sinceMs = target.calls.slice(known.length).map(({ receivedAt }) => receivedAt - refusedAt);
    const underWay = sinceMs.filter((ms) => ms > 0 && ms < RETRY_AFTER_MS);
    const first = Math.min(...sinceMs.filter((ms) => ms >= RETRY_AFTER_MS));
    const last = Math.max(0, ...underWay);
    process.stdout.write(
      `${underWay.length} calls after the 429, the last ${last} ms after it; the next one ${first} ms after it\n`,
    );
    expect(sinceMs.filter((ms) => ms > SYNC_MS && ms < RETRY_AFTER_MS)).toEqual([]);
    expect(first).toBeLessThan(RETRY_AFTER_MS + 1_500);
    expect(sinceMs).toHaveLength(submitted - known.length + 1);
  }, 60_000);
});
