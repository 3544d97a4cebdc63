import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openWorld, type World } from "../support/server/stories.ts";

/** So many calls of priority 9 are made before they come to an end. */
const FLOOD = 60;

let world: World;

beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.stop());

describe("a task of priority 0, while two of priority 9 come in for each that is served", () => {
  test.each([1, 2])("is called within eight calls with %i slots", async (concurrency) => {
    const started = Promise.withResolvers<void>();
    const queue = await world.makeQueue({ shards: 1, concurrency, adaptive_concurrency: false });
    const order: string[] = [];
    const place = world.place(async ({ body }) => {
      await started.promise;
      order.push(body);
      if (order.length < FLOOD) await submit(9, 2);
      return null;
    });
    const submit = (priority: number, count: number) =>
      world.client.submitBatch(
        Array.from({ length: count }, () => ({ url: place.url, queue, priority, body: `p${priority}` })),
      );
    await submit(9, concurrency);
    await place.waitForCalls(concurrency);
    await submit(0, 1);
    await submit(9, 20);
    started.resolve();
    await place.waitForCalls(FLOOD);

    // The calls that were under way come first; what is answered at the same time may be told in another order.
    expect(order.indexOf("p0")).toBeGreaterThanOrEqual(concurrency);
    expect(order.indexOf("p0")).toBeLessThanOrEqual(8 + 2 * concurrency);
  });
});
