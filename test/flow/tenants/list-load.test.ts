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
  reader = await keyFor("reader");
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

const scan = (key = reader): Promise<RawAnswer> =>
  ask(world.server, "GET", `/v1/tasks?queue=${queue}&label=none`, { key });

async function keyFor(name: string): Promise<string> {
  const made = await ask(world.server, "POST", "/v1/keys", {
    body: { name, scopes: ["read"], queues: [queue] },
  });
  return made.body.key;
}

/** What each of a hundred submits to another queue takes. */
async function submitTimes(): Promise<number[]> {
  const other = await world.makeQueue({ shards: 1 });
  await world.client.queues.pause(other);
  const { url } = world.place();
  const times: number[] = [];
  for (let i = 0; i < 100; i++) {
    const began = performance.now();
    expect((await ask(world.server, "POST", "/v1/tasks", { body: { url, queue: other } })).status).toBe(202);
    times.push(performance.now() - began);
  }
  return times;
}

/** The slowest but one of a hundred, in whole milliseconds. */
function slowest(times: number[]): number {
  return Math.round(times.toSorted((a, b) => b - a)[1] ?? 0);
}

describe("sixteen lists at once, by a label that none of 20,000 tasks has", () => {
  test("are served eight at a time, the others refused with 429, and keep no other key waiting long", async () => {
    const one = performance.now();
    await scan();
    const scanMs = performance.now() - one;
    const scans = Array.from({ length: SCANS }, () => scan());
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

  test("of two keys, which are served, keep no submit to another queue waiting long", async () => {
    const readers = await Promise.all([keyFor("first"), keyFor("second")]);
    const aloneMs = slowest(await submitTimes());
    let lists = 0;
    let isOver = false;
    const loops = Array.from({ length: SCANS }, async (_, i) => {
      while (!isOver) if ((await scan(readers[i % 2])).status === 200) lists++;
    });
    const besideMs = slowest(await submitTimes());
    isOver = true;
    await Promise.all(loops);
    process.stdout.write(`submit p99: ${aloneMs} ms alone, ${besideMs} ms beside ${lists} lists\n`);
    expect(lists).toBeGreaterThan(SCANS);
    expect(besideMs).toBeLessThan(10 * aloneMs + 250);
  }, 60_000);

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
