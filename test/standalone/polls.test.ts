import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually, openWorld, taskWhen, type World } from "../support/server/stories.ts";
import { startTarget, type Target } from "../support/server/target.ts";

const HELD = 800;
const RATE_A_SECOND = 4;
const WATCHED_MS = 4_000;
const FRESH = 40;

let world: World;
let held: Target;
let victim: Target;
let other: Target;

beforeAll(async () => {
  [world, held, victim, other] = await Promise.all([
    openWorld(),
    startTarget(() => ({ status: 401 })),
    startTarget(() => ({ status: 503 })),
    startTarget(),
  ]);
});
afterAll(() => Promise.all([world, held, victim, other].map((one) => one.stop())));

describe("800 tasks that are held, each on a URL of its own of one origin, polled every second", () => {
  test("call it at the rate of their queue, and keep no other queue from its work", async () => {
    const beganAt = Date.now();
    const queue = await world.makeQueue({
      shards: 1,
      concurrency: 4,
      // As many at once as there are first attempts.
      rate: { limit: RATE_A_SECOND, per: "1s", burst: HELD },
      adaptive_concurrency: false,
      breaker: { enabled: false },
    });
    await world.client.submitBatch(
      Array.from({ length: HELD }, (_, i) => ({
        url: held.url,
        queue,
        retry: {
          rules: [
            {
              when: "status == 401",
              do: "hold" as const,
              until: { probe: { url: `${victim.url}/ready/${i}`, period: "1s", timeout: "5s" } },
            },
          ],
        },
      })),
    );
    await eventually("nearly all are held", async () => {
      const { counts } = await world.client.queues.get(queue);
      return (counts?.held ?? 0) > HELD / 2 ? true : null;
    });
    const worstMs = await worstOfFresh();
    await new Promise((resolve) => setTimeout(resolve, WATCHED_MS));
    const passedS = (Date.now() - beganAt) / 1_000;
    const calls = held.callCount + victim.callCount;
    process.stdout.write(
      `${calls} calls in ${passedS} s, ${victim.callCount} of them polls; another queue's task took ${worstMs} ms at worst\n`,
    );
    expect(victim.callCount).toBeGreaterThan(RATE_A_SECOND);
    expect(calls).toBeLessThanOrEqual(HELD + 1 + Math.ceil(RATE_A_SECOND * passedS));
    expect(worstMs).toBeLessThan(2_000);
  }, 60_000);
});

/** How long tasks of another queue take from submit to success, at worst. */
async function worstOfFresh(): Promise<number> {
  const queue = await world.makeQueue();
  let worstMs = 0;
  for (let i = 0; i < FRESH; i++) {
    const beganAt = Date.now();
    const { id } = await world.client.submit({ url: other.url, queue });
    await taskWhen(world.client, id, ({ state }) => state === "succeeded");
    worstMs = Math.max(worstMs, Date.now() - beganAt);
  }
  return worstMs;
}
