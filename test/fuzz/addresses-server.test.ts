import { afterAll, beforeAll, expect, test } from "vitest";
import type { TaskView } from "../../src/schema/task.ts";
import { REFUSED } from "../core/address/target-url.corpus.ts";
import { ask, openWorld, taskWhen, type World } from "../support/server/stories.ts";

/** What a server on loopback refuses, which lets loopback itself be called. */
const NEVER = [...new Set([...REFUSED.private, ...REFUSED.never, ...REFUSED.malformed])];
const LOCATIONS = [...REFUSED.private, ...REFUSED.never].filter((text) => /^[\x21-\x7e]*$/.test(text));

let world: World;
let queue: string;

beforeAll(async () => {
  world = await openWorld();
  const settings = {
    breaker: { enabled: false },
    retry_budget: { enabled: false },
    adaptive_concurrency: false,
  };
  queue = await world.makeQueue({ ...settings, concurrency: 64 });
});
afterAll(() => world.stop());

test.each([
  ["a task's url", (url: string) => ({ url })],
  ["a task's callback", (url: string) => ({ url: world.place().url, callback: { url } })],
  ["a task's probe", (url: string) => ({ url: world.place().url, retry: holding(url) })],
])("a submit with %s that may not be called is refused, in every spelling", async (_, taskOf) => {
  const tasks = NEVER.map((url) => ({ delay: "1h", ...taskOf(url) }));
  const { status, body } = await ask(world.server, "POST", "/v1/tasks/batch", { body: { tasks } });
  const results = body.results as { problem?: { code: string } }[];

  expect(status).toBe(202);
  expect(results).toHaveLength(NEVER.length);
  expect(NEVER.filter((_, i) => results[i]?.problem?.code !== "invalid_request")).toEqual([]);
});

test.each([
  ["callback", (url: string) => ({ callback: { url } })],
  ["probe", (url: string) => ({ retry: holding(url) })],
  ["readiness check", (url: string) => ({ breaker: { readiness: { url } } })],
  ["operator events", (url: string) => ({ events: { url } })],
])("a queue is not given a %s that may not be called, in any spelling", async (_, settingsOf) => {
  const taken: string[] = [];
  for (const url of NEVER) {
    const { status, body } = await ask(world.server, "PUT", "/v1/queues/refused", { body: settingsOf(url) });
    if (status !== 400 || body.code !== "invalid_request") taken.push(url);
  }
  expect(taken).toEqual([]);
  expect((await ask(world.server, "GET", "/v1/queues/refused")).status).toBe(404);
});

test("a redirect to what may not be called ends the attempt, in every spelling", async () => {
  const place = world.place(({ path }) => {
    const location = LOCATIONS[Number(new URL(path, "http://x").searchParams.get("i"))] ?? "";
    return { status: 302, headers: { location } };
  });
  const tasks = LOCATIONS.map((_, i) => ({
    ...{
      url: `${place.url}?i=${i}`,
      method: "GET",
      queue,
      max_redirects: 3,
      timeout: "5s",
      retry: { max_attempts: 1 },
    },
  }));
  const { body } = await ask(world.server, "POST", "/v1/tasks/batch", { body: { tasks } });
  const ids = (body.results as { task: { id: string } }[]).map(({ task }) => task.id);
  const ended: TaskView[] = [];
  for (const id of ids) ended.push(await taskWhen(world.client, id, ({ state }) => state === "failed"));

  const followed = ended.filter(
    ({ attempts: [attempt] }) =>
      attempt?.status !== 0 || !/^expected .* host/.test(attempt.error_message ?? ""),
  );
  expect(followed.map(({ url, attempts }) => [url, attempts])).toEqual([]);
  expect(place.calls()).toHaveLength(LOCATIONS.length);
  expect(LOCATIONS.length).toBeGreaterThanOrEqual(300);
});

test("a callback's receiver that redirects is not followed", async () => {
  const elsewhere = world.place();
  const receiver = world.place(() => ({ status: 307, headers: { location: elsewhere.url } }));
  const callback = { url: receiver.url, retry: { max_attempts: 1 } };
  const { id } = await world.client.submit({ url: world.place().url, queue, callback });
  const task = await taskWhen(world.client, id, (each) => each.callback?.state === "failed");

  expect(task.callback?.attempts).toMatchObject([{ status: 307 }]);
  expect([receiver.calls().length, elsewhere.calls().length]).toEqual([1, 0]);
});

function holding(url: string) {
  return { rules: [{ when: "status == 401", do: "hold" as const, until: { probe: { url } } }] };
}
