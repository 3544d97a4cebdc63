import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ask, openWorld, type RawAnswer, type World } from "../../support/server/stories.ts";

const TASKS = 20_000;
const SCANS = 16;

let world: World;
let queue: string;
let reader: string;
let someId: string;

beforeAll(async () => {
  world = await openWorld();
  queue = await world.makeQueue();
  await world.client.queues.pause(queue);
  const made = await ask(world.server, "POST", "/v1/keys", {
    body: { name: "reader", scopes: ["read"], queues: [queue] },
  });
  reader = made.body.key;
  const { url } = world.place();
  for (let i = 0; i < TASKS; i += 1_000) {
    const [first] = await world.client.submitBatch(
      Array.from({ length: 1_000 }, () => ({ url, queue, labels: ["eu", "vip"] })),
    );
    if (first === undefined || !("task" in first)) throw new Error("a batch was refused");
    someId = first.task.id;
  }
}, 120_000);
afterAll(() => world.stop());

/** What one GET of a task takes with another key. */
async function getMs(): Promise<number> {
  const began = performance.now();
  expect((await ask(world.server, "GET", `/v1/tasks/${someId}`)).status).toBe(200);
  return performance.now() - began;
}

const scan = (): Promise<RawAnswer> =>
  ask(world.server, "GET", `/v1/tasks?queue=${queue}&label=none`, { key: reader });

describe("sixteen lists at once, by a label that none of 20,000 tasks has", () => {
  test("are served eight at a time, the others refused with 429, and keep no other key waiting long", async () => {
    const one = performance.now();
    await scan();
    const scanMs = performance.now() - one;
    const scans = Array.from({ length: SCANS }, scan);
    const waitedMs = await getMs();
    const answers = await Promise.all(scans);

    const statuses = answers.map(({ status }) => status);
    expect(statuses.filter((status) => status === 200).length).toBeGreaterThanOrEqual(1);
    expect(statuses.filter((status) => status === 429).length).toBeGreaterThanOrEqual(1);
    for (const { status, headers, body } of answers) {
      if (status !== 429) continue;
      expect(Number(headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
      expect(body).toMatchObject({ code: "rate_limited" });
    }
    // Sixteen of them would take as long as sixteen times one; eight and the refusals take much less.
    expect(waitedMs).toBeLessThan(10 * scanMs + 100);
  });

  test("come to the end of the list all the same, one after the other", async () => {
    let cursor: string | null = "";
    let pages = 0;
    while (cursor !== null) {
      const at: string = cursor === "" ? "" : `&cursor=${cursor}`;
      const { status, body } = await ask(world.server, "GET", `/v1/tasks?queue=${queue}&label=none${at}`, {
        key: reader,
      });
      expect(status).toBe(200);
      expect(body.tasks).toEqual([]);
      cursor = body.next_cursor;
      pages++;
    }
    expect(pages).toBeGreaterThanOrEqual(TASKS / 4 / 2_000);
  });
});

describe("a key whose lists look at ever more tasks", () => {
  test("is refused for a while, and other keys are not", async () => {
    let refused: RawAnswer | null = null;
    for (let i = 0; i < 60 && refused === null; i++) {
      const answer = await scan();
      if (answer.status === 429) refused = answer;
    }
    expect(refused?.body).toMatchObject({ code: "rate_limited" });
    expect((await ask(world.server, "GET", `/v1/tasks?queue=${queue}&limit=1`)).status).toBe(200);
  });
});
