import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { TaskFilter } from "../../src/client/index.ts";
import type { TaskSummary } from "../../src/schema/task.ts";
import { ask, clientOf, openWorld, type World } from "../support/server/stories.ts";

const TASKS = 250;
const LABELLED = 50;

let world: World;
let queue: string;
/** In the order in which they were submitted. */
let ids: string[];

beforeAll(async () => {
  world = await openWorld();
  queue = await world.makeQueue({ shards: 8 });
  const { url } = world.place(({ path }) => ({ status: path.endsWith("/bad") ? 400 : 200 }));
  const tasks = Array.from({ length: TASKS }, (_, i) => ({
    url: i % 5 === 0 ? `${url}/bad` : `${url}/good`,
    queue,
    ...(i < LABELLED && { labels: ["early", `n${i}`] }),
  }));
  ids = [];
  // In five calls, so that their times differ: within one, ids are in no order.
  for (let from = 0; from < TASKS; from += 50) {
    const results = await world.client.submitBatch(tasks.slice(from, from + 50));
    ids.push(...results.map((result) => ("task" in result ? result.task.id : "refused")));
  }
  await Promise.all(ids.map((id) => world.client.wait(id)));
});
afterAll(() => world.stop());

async function listed(filter: TaskFilter, client = world.client): Promise<TaskSummary[]> {
  const tasks: TaskSummary[] = [];
  for await (const task of client.list(filter)) tasks.push(task);
  return tasks;
}

describe("a list", () => {
  test("gives each of 250 tasks of 8 shards once, newest first, over pages of any size", async () => {
    const newestFirst = [...ids].sort().reverse();
    for (const limit of [1, 7, 200]) {
      expect((await listed({ queue, limit })).map(({ id }) => id)).toEqual(newestFirst);
    }
    const times = (await listed({ queue, limit: 200 })).map(({ created_at }) => Date.parse(created_at));
    expect(times).toEqual([...times].sort((a, b) => b - a));
  });

  test("skips and repeats nothing while new tasks come in", async () => {
    const seen: string[] = [];
    for await (const task of world.client.list({ queue, limit: 50, label: "early" })) {
      seen.push(task.id);
      if (seen.length % 20 === 0)
        await world.client.submit({ url: world.place().url, queue, labels: ["late"] });
    }
    expect(seen.sort()).toEqual(ids.slice(0, LABELLED).sort());
  });

  test.for<[string, (task: TaskSummary) => boolean, number, () => TaskFilter]>([
    ["a state", ({ state }) => state === "failed", 50, () => ({ queue, state: "failed" })],
    ["a label", ({ labels }) => labels.includes("n7"), 1, () => ({ queue, label: "n7" })],
    [
      "state and label",
      ({ state, labels }) => state === "failed" && labels.includes("early"),
      10,
      () => ({ queue, state: "failed", label: "early" }),
    ],
  ])("lets only what has %s through", async ([, holds, count, filter]) => {
    const tasks = await listed({ ...filter(), limit: 3 });

    expect(tasks).toHaveLength(count);
    expect(tasks.filter((task) => !holds(task))).toEqual([]);
  });

  test("lets only what goes to a target through", async () => {
    const target = new URL(world.target.url).origin;

    expect((await listed({ queue, target, limit: 200 })).length).toBeGreaterThanOrEqual(TASKS);
    expect(await listed({ queue, target: "https://elsewhere.example.com" })).toEqual([]);
  });

  test("lets only what was created at an instant or after it through", async () => {
    const all = await listed({ queue, limit: 200 });
    const middle = all[100]?.created_at ?? "";
    const since = all.filter(({ created_at }) => created_at >= middle).map(({ id }) => id);

    expect((await listed({ queue, created_after: middle, limit: 200 })).map(({ id }) => id)).toEqual(since);
    const future = new Date(Date.now() + 60_000).toISOString();
    expect(await listed({ queue, created_after: future })).toEqual([]);
  });

  test("goes over all queues, or those that its key may see", async () => {
    const elsewhere = await world.client.submit({ url: world.place().url });
    const { body: key } = await ask(world.server, "POST", "/v1/keys", {
      body: { name: "reader", scopes: ["read"], queues: [queue] },
    });
    const all = (await listed({ limit: 200 })).map(({ id }) => id);
    const visible = (await listed({ limit: 200 }, clientOf(world.server, key.key))).map(({ id }) => id);

    expect(all).toEqual(expect.arrayContaining([elsewhere.id, ...ids]));
    expect(visible).toEqual(expect.arrayContaining(ids));
    expect(visible).not.toContain(elsewhere.id);
  });
});

describe("a cursor", () => {
  const firstPage = async (): Promise<string> => {
    const { body } = await ask(world.server, "GET", `/v1/tasks?queue=${queue}&limit=10`);
    return body.next_cursor;
  };

  test.for<[string, (cursor: string) => string]>([
    ["its first character is changed", (cursor) => `x${cursor.slice(1)}`],
    ["another task stands in it", (cursor) => cursor.replace(/^[^.]+/, ids[0] ?? "")],
    ["its last character is changed", (cursor) => cursor.slice(0, -1) + (cursor.endsWith("A") ? "E" : "A")],
    ["it is cut", (cursor) => cursor.slice(0, 20)],
    ["it is something else", () => "2"],
  ])("is refused where %s", async ([, tamper]) => {
    const cursor = encodeURIComponent(tamper(await firstPage()));
    const answer = await ask(world.server, "GET", `/v1/tasks?queue=${queue}&limit=10&cursor=${cursor}`);

    expect(answer).toMatchObject({
      status: 400,
      body: { code: "invalid_cursor", errors: [{ path: "cursor" }] },
    });
  });

  test("is refused with other filters than it came with", async () => {
    const cursor = encodeURIComponent(await firstPage());
    const answer = await ask(world.server, "GET", `/v1/tasks?queue=${queue}&state=failed&cursor=${cursor}`);

    expect(answer).toMatchObject({ status: 400, body: { code: "invalid_cursor" } });
  });
});
