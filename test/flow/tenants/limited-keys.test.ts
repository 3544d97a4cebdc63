import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ROUTES } from "../../../src/api/routes.ts";
import type { TaskList, TaskView } from "../../../src/schema/task.ts";
import { ask, openWorld, taskWhen, type World } from "../../support/server/stories.ts";

/** What a request names: something of the other queue, or something that was never there. */
interface Named {
  queue: string;
  /** Of a task that waits and of one that has succeeded. */
  waiting: string;
  final: string;
  /** The only queue that calls it is the other one. */
  origin: string;
  keyId: string;
}
type Case = (named: Named) => { path: string; body?: unknown; headers?: Record<string, string> };

const NEVER_QUEUE = "never-made";
const reason = { reason: "a test" };
const url = "http://127.0.0.1:2/";

/** A request or more for every route, each with a place to name something. Routes that name nothing are apart. */
const CASES: Record<string, Case[]> = {
  "POST /v1/tasks": [
    ({ queue }) => ({ path: "/v1/tasks", body: { url, queue, delay: "1h" } }),
    ({ queue }) => ({ path: "/v1/tasks", body: { url, queue }, headers: { "idempotency-key": "hidden-key" } }),
    ({ queue }) => ({ path: "/v1/tasks", body: { url, queue, callback: {} } }),
  ],
  "POST /v1/tasks/batch": [({ queue }) => ({ path: "/v1/tasks/batch", body: { tasks: [{ url, queue }] } })],
  "GET /v1/tasks": [
    ({ queue }) => ({ path: `/v1/tasks?queue=${queue}` }),
    ({ queue }) => ({ path: `/v1/tasks?queue=${queue}&label=hidden&state=pending` }),
    ({ waiting }) => ({ path: `/v1/tasks?cursor=${waiting}.${"A".repeat(43)}` }),
  ],
  "GET /v1/tasks/{id}": onTask("", ""),
  "POST /v1/tasks/{id}/cancel": onTask("/cancel", ""),
  "POST /v1/tasks/{id}/retry": [...onTask("/retry", ""), ...onTask("/retry", "?force=true")],
  "POST /v1/tasks/{id}/resume": onTask("/resume", ""),
  "DELETE /v1/tasks/{id}/callback": onTask("/callback", ""),
  "POST /v1/tasks/{id}/rekey": onTask("/rekey", "").map((of) => (named) => ({ ...of(named), body: { breaker_key: "x" } })),
  "POST /v1/tasks/rekey": [
    ({ queue }) => ({ path: "/v1/tasks/rekey", body: { queue, breaker_key: "x" } }),
    ({ queue }) => ({ path: "/v1/tasks/rekey", body: { queue, breaker_key: "x", cursor: `0/.${"A".repeat(43)}` } }),
  ],
  "PUT /v1/queues/{name}": [
    ({ queue }) => ({ path: `/v1/queues/${queue}`, body: {} }),
    ({ queue }) => ({ path: `/v1/queues/${queue}`, body: { shards: 9, nonsense: 1 } }),
  ],
  "GET /v1/queues/{name}": onQueue(""),
  "DELETE /v1/queues/{name}": onQueue(""),
  "POST /v1/queues/{name}/pause": onQueue("/pause"),
  "POST /v1/queues/{name}/resume": onQueue("/resume"),
  "POST /v1/queues/{name}/rotate-secret": onQueue("/rotate-secret"),
  "GET /v1/breakers/{key}": onBreaker("", undefined),
  "POST /v1/breakers/{key}/isolate": onBreaker("/isolate", reason),
  "POST /v1/breakers/{key}/reset": onBreaker("/reset", reason),
  "POST /v1/keys": [({ queue }) => ({ path: "/v1/keys", body: { name: "x", scopes: ["read"], queues: [queue] } })],
  "DELETE /v1/keys/{id}": [({ keyId }) => ({ path: `/v1/keys/${keyId}` })],
}; // biome-ignore format: one request a line
/** Lists, compared before and after the other queue is used; and what is the same for everybody. */
const LISTS = ["/v1/tasks", "/v1/queues", "/v1/breakers", "/v1/keys"];
const OPEN = ["/healthz", "/readyz", "/openapi.json", "/docs"];

function onTask(action: string, query: string): Case[] {
  return [
    ({ waiting }) => ({ path: `/v1/tasks/${waiting}${action}${query}` }),
    ({ final }) => ({ path: `/v1/tasks/${final}${action}${query}` }),
  ];
}

function onQueue(action: string): Case[] {
  return [({ queue }) => ({ path: `/v1/queues/${queue}${action}` })];
}

function onBreaker(action: string, body: unknown): Case[] {
  const at = (key: string, query = "") => ({
    path: `/v1/breakers/${encodeURIComponent(key)}${action}${query}`,
    body,
  });
  return [
    ({ origin }) => at(origin),
    ({ queue }) => at(`key:${queue}/pay`),
    ({ origin, queue }) => at(origin, `?queue=${queue}`),
    ({ queue }) => at(url.slice(0, -1), `?queue=${queue}`),
  ];
}

let world: World;
let own: string;
/** With every scope, for one queue. */
let key: string;
let hidden: Named;
/** The same shapes, of nothing. */
let never: Named[];
let ownTask: string;
const listed: Record<"before" | "after", string[]> = { before: [], after: [] };

beforeAll(async () => {
  world = await openWorld();
  own = await world.makeQueue();
  const scopes = ["submit", "read", "operate", "admin"];
  key = (await ask(world.server, "POST", "/v1/keys", { body: { name: "own", scopes, queues: [own] } })).body
    .key;
  ownTask = (await world.client.submit({ url: world.place().url, queue: own, delay: "1h" })).id;
  listed.before = await readLists();
  hidden = await useOther();
  listed.after = await readLists();
  never = ["0", "Z"].map((digit) => ({
    ...{ queue: NEVER_QUEUE, origin: "http://127.0.0.2:81", keyId: `${hidden.keyId.slice(0, -1)}~` },
    // Of the other queue and of the key's own, with another chance part.
    waiting: anotherId(digit === "0" ? hidden.waiting : ownTask, digit),
    final: anotherId(digit === "0" ? hidden.final : ownTask, digit),
  }));
});
afterAll(() => world.stop());

/** Fills the other queue: tasks that wait, that succeeded and that failed, breakers of its own and of its targets. */
async function useOther(): Promise<Named> {
  const queue = await world.makeQueue({
    breaker: { consecutive_connect_failures: 1 },
    retry_budget: { enabled: false },
  });
  const origin = world.target.url.replace("127.0.0.1", "localhost");
  const common = { queue, labels: ["hidden"] };
  const waiting = await world.client.submit({
    ...common,
    url: origin,
    delay: "1h",
    idempotency_key: "hidden-key",
  });
  const final = await world.client.submit({ ...common, url: origin });
  const failing = await world.client.submit({
    ...common,
    url: "http://127.0.0.3:2/",
    breaker_key: "pay",
    retry: { max_attempts: 1 },
  });
  await taskWhen(world.client, final.id, ({ state }) => state === "succeeded");
  await taskWhen(world.client, failing.id, ({ state }) => state === "failed");
  const made = await ask(world.server, "POST", "/v1/keys", {
    body: { name: "theirs", scopes: ["read"], queues: [queue] },
  });
  await ask(world.server, "POST", `/v1/breakers/${encodeURIComponent(origin)}/isolate`, { body: reason });
  await ask(world.server, "POST", `/v1/breakers/${encodeURIComponent(origin)}/reset`, { body: reason });
  return { queue, origin, waiting: waiting.id, final: final.id, keyId: made.body.id };
}

function anotherId(id: string, digit: string): string {
  return `${id.slice(0, 14)}${digit.repeat(12)}${id.slice(26)}`;
}

async function readLists(): Promise<string[]> {
  const paths = [
    ...LISTS,
    "/v1/tasks?limit=1",
    `/v1/queues/${own}`,
    "/v1/breakers?state=open",
    `/v1/tasks?queue=${own}`,
  ];
  const answers = await Promise.all(paths.map((path) => ask(world.server, "GET", path, { key })));
  // The summary says how long the own task still waits.
  return answers.map(({ status, body }) =>
    `${status} ${JSON.stringify(body)}`.replace(/"(request_id|summary)":"[^"]*"/g, ""),
  );
}

/** Status and body of an answer, what the request named and the request's id left out. */
async function answerTo(method: string, request: Case, named: Named): Promise<string> {
  const { path, body, headers = {} } = request(named);
  const answer = await ask(world.server, method, path, { key, headers, ...(body !== undefined && { body }) });
  let text = JSON.stringify(answer.body).replace(/"request_id":"[^"]*"/g, "");
  for (const value of Object.values(named)) text = text.replaceAll(value, "*");
  return `${answer.status} ${answer.headers.get("content-type")} ${text}`;
}

describe("a key for one queue", () => {
  test("has a case here for every route", () => {
    const covered = [...Object.keys(CASES), ...[...LISTS, ...OPEN].map((path) => `GET ${path}`)];
    const routes = ROUTES.map(({ method, path }) => `${method} ${path}`);
    expect(routes.filter((route) => !covered.includes(route))).toEqual([]);
  });

  test.each(Object.entries(CASES))("gets one answer to %s for what is another queue's and what never was", async (route, cases) => {
    const [method = ""] = route.split(" ");
    for (const request of cases) {
      const other = await answerTo(method, request, hidden);
      expect(other).toMatch(/^(400|403|404) application\/problem|^202 .*queue_not_found/);
      for (const named of never) expect(await answerTo(method, request, named)).toBe(other);
    }
  }); // biome-ignore format: one title a line

  test("reads the same lists and counts whatever the other queue does", () => {
    expect(listed.after).toEqual(listed.before);
    expect(listed.before.some((text) => text.includes(ownTask))).toBe(true);
  });

  test("may use an idempotency key that the other queue uses", async () => {
    const body = { url: world.place().url, queue: own, delay: "1h", body: "another" };
    const answer = await ask(world.server, "POST", "/v1/tasks", {
      body,
      key,
      headers: { "idempotency-key": "hidden-key" },
    });
    expect(answer).toMatchObject({ status: 202, body: { duplicate: false, queue: own } });
  });

  test("goes on from no cursor to the other queue's tasks", async () => {
    const cursors = await Promise.all(
      ["", `&queue=${hidden.queue}`].map((query) => ask(world.server, "GET", `/v1/tasks?limit=1${query}`)),
    );
    const [all, theirs] = cursors.map(({ body }) => encodeURIComponent((body as TaskList).next_cursor ?? ""));
    const withCursor = (cursor: string | undefined, query = "") =>
      ask(world.server, "GET", `/v1/tasks?cursor=${cursor}${query}`, { key });
    const page = await withCursor(all);

    expect(page.status).toBe(200);
    expect((page.body as TaskList).tasks.filter(({ queue }) => queue !== own)).toEqual([]);
    expect(await withCursor(theirs)).toMatchObject({ status: 400, body: { code: "invalid_cursor" } });
    expect(await withCursor(theirs, `&queue=${own}`)).toMatchObject({
      status: 400,
      body: { code: "invalid_cursor" },
    });
    expect(await withCursor(theirs, `&queue=${hidden.queue}`)).toMatchObject({ status: 404 });
  });

  test("has changed nothing of the other queue by all of that", async () => {
    const [waiting, final] = await Promise.all([
      world.client.get(hidden.waiting),
      world.client.get(hidden.final),
    ]);
    const states = [waiting, final].map(({ state, round }: TaskView) => [state, round]);
    expect(states).toEqual([["pending", 1], ["succeeded", 1]]); // biome-ignore format: short
    expect(await world.client.queues.get(hidden.queue)).toMatchObject({ paused: false, shards: 4 });
    const keys = await ask(world.server, "GET", "/v1/keys");
    expect(keys.body.keys.map(({ id }: { id: string }) => id)).toContain(hidden.keyId);
    expect((await ask(world.server, "GET", `/v1/queues/${NEVER_QUEUE}`)).status).toBe(404);
  });
});
