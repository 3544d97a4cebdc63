import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openWorld, type World } from "../support/server/stories.ts";

const ANSWER_AFTER_MS = 150_000;
const PATIENCE_MS = 180_000;

let world: World;

beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.stop());

// An object with nothing but `waitUntil` pending was measured to vanish after about 100 s on plain workerd. So calls of
// over 30 s go to Runner objects, which are never evicted, whatever REDRIVE_CALLS says; shards' objects make the others.
describe.concurrent("an attempt of 150 s", () => {
  test("succeeds at its first try, and its callback is told", { timeout: PATIENCE_MS + 10_000 }, async () => {
    await succeedsAtOnce({});
  });

  test("succeeds at its first try when it began after a delay", {
    timeout: PATIENCE_MS + 10_000,
  }, async () => {
    await succeedsAtOnce({ delay: "2s" });
  });
});

async function succeedsAtOnce(when: { delay?: string }): Promise<void> {
  const slow = world.place(() => ({ status: 200, body: "done at last", delayMs: ANSWER_AFTER_MS }));
  const receiver = world.place();
  const { id } = await world.client.submit({
    url: slow.url,
    timeout: "180s",
    callback: { url: receiver.url },
    ...when,
  });
  await receiver.waitForCalls(1, PATIENCE_MS);
  const task = await world.client.get(id);

  expect(slow.calls()).toHaveLength(1);
  expect(task).toMatchObject({ state: "succeeded", attempt_count: 1, response: { body: "done at last" } });
  expect(task.attempts).toMatchObject([{ number: 1, status: 200, error_type: null, decision: "succeed" }]);
  expect(task.attempts[0]?.duration_ms).toBeGreaterThanOrEqual(ANSWER_AFTER_MS - 100);
}
