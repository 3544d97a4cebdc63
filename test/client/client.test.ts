import { afterEach, describe, expect, test, vi } from "vitest";
import {
  BatchError,
  RedriveClient,
  type TaskRequestInput,
  type TaskSummary,
  WaitTimeoutError,
} from "../../src/client/index.ts";
import { MAX_BATCH_BYTES } from "../../src/schema/limits.ts";
import { TaskRequest } from "../../src/schema/task.ts";
import { fakeApi, json, problem } from "./fake-api.ts";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const task = { url: "https://api.example.com/charge" };
const lost = () => new TypeError("fetch failed");

/** The tasks of a batch as it was sent. */
function sentTasks(request: { body: unknown } | undefined): TaskRequestInput[] {
  const batch = request?.body as { tasks: TaskRequestInput[] } | undefined;
  return batch?.tasks ?? [];
}

/** Answers a batch with one accepted task for each, its id the task's url. */
function acceptAll(request: { body: unknown }): Response {
  return json({ results: sentTasks(request).map(({ url }) => ({ task: { id: url } })) }, 202);
}

function manyTasks(count: number): TaskRequestInput[] {
  return Array.from({ length: count }, (_, i) => ({ url: `https://api.example.com/${i}` }));
}

afterEach(() => {
  vi.useRealTimers();
});

describe("submit", () => {
  test("posts the task with its own idempotency key", async () => {
    const { client, requests } = fakeApi([json({ id: "tsk_1" }, 202)]);
    await client.submit({ ...task, idempotency_key: "order-991" });
    expect(requests[0]).toMatchObject({ method: "POST", path: "/v1/tasks" });
    expect(requests[0]?.body).toEqual({ ...task, idempotency_key: "order-991" });
  });

  test("repeats a task without a key under one generated key", async () => {
    const { client, requests } = fakeApi([lost(), json({ id: "tsk_1", duplicate: true })]);
    await client.submit(task);
    const sent = requests.map(({ body }) => TaskRequest.parse(body).idempotency_key);
    expect(sent[0]).toMatch(UUID);
    expect(sent[1]).toBe(sent[0]);
  });

  test("gives every task a key of its own", async () => {
    const { client, requests } = fakeApi([json({}, 202), json({}, 202)]);
    await client.submit(task);
    await client.submit(task);
    const sent = requests.map(({ body }) => TaskRequest.parse(body).idempotency_key);
    expect(new Set(sent).size).toBe(2);
  });
});

describe("submitBatch", () => {
  test("returns tasks and problems in order", async () => {
    const results = [{ task: { id: "tsk_1" } }, { problem: { code: "invalid_request" } }];
    const { client, requests } = fakeApi([json({ results }, 202)]);
    expect(await client.submitBatch([task, { url: "" }])).toEqual(results);
    expect(requests[0]).toMatchObject({ method: "POST", path: "/v1/tasks/batch" });
  });

  test("generates keys only for the tasks that lack one", async () => {
    const { client, requests } = fakeApi([acceptAll]);
    await client.submitBatch([task, { ...task, idempotency_key: "mine" }, task]);
    const keys = sentTasks(requests[0]).map((sent) => sent.idempotency_key);
    expect(keys).toEqual([expect.stringMatching(UUID), "mine", expect.stringMatching(UUID)]);
    expect(keys[0]).not.toBe(keys[2]);
  });

  test("splits over 1,000 tasks into several calls and keeps the order", async () => {
    const { client, requests } = fakeApi([acceptAll, acceptAll, acceptAll]);
    const tasks = manyTasks(2_001);
    const results = await client.submitBatch(tasks);
    expect(requests.map((request) => sentTasks(request).length)).toEqual([1_000, 1_000, 1]);
    expect(results).toEqual(tasks.map(({ url }) => ({ task: { id: url } })));
  });

  test("keeps every call within the bytes of a batch", async () => {
    const { client, requests } = fakeApi([acceptAll, acceptAll, acceptAll]);
    const body = "é".repeat(MAX_BATCH_BYTES / 8);
    await client.submitBatch(Array.from({ length: 9 }, () => ({ ...task, body })));
    const bytes = requests.map((request) => new TextEncoder().encode(JSON.stringify(request.body)).length);
    expect(bytes).toHaveLength(3);
    expect(Math.max(...bytes)).toBeLessThanOrEqual(MAX_BATCH_BYTES);
  });

  test("sends a task that is too large by itself alone", async () => {
    const { client, requests } = fakeApi([acceptAll, acceptAll, acceptAll]);
    await client.submitBatch([task, { ...task, body: "x".repeat(MAX_BATCH_BYTES) }, task]);
    expect(requests.map((request) => sentTasks(request).length)).toEqual([1, 1, 1]);
  });

  test("makes no call for no tasks", async () => {
    const { client, requests } = fakeApi([]);
    expect(await client.submitBatch([])).toEqual([]);
    expect(requests).toEqual([]);
  });

  test("hands back the answers so far and the tasks left, with their keys, when a call fails", async () => {
    const { client, requests } = fakeApi([acceptAll, problem(401, "unauthorized"), acceptAll]);
    const error = await client.submitBatch(manyTasks(1_002)).catch((reason: unknown) => reason);
    if (!(error instanceof BatchError)) throw new Error("expected a BatchError");
    expect(error).toMatchObject({ status: 401, code: "unauthorized", requestId: "req-7" });
    expect(error.message).toBe("2 of 1002 tasks not answered: 401 unauthorized: the unauthorized case");
    expect(error.results).toHaveLength(1_000);
    await client.submitBatch(error.remaining);
    expect(requests[2]?.body).toEqual(requests[1]?.body);
  });

  test.each([
    [{ results: [] }, "0"],
    [{}, "none"],
  ])("refuses the answer %j for one task", async (answer, got) => {
    const { client } = fakeApi([json(answer, 202)]);
    await expect(client.submitBatch([task])).rejects.toThrow(`expected 1 results of a batch, got ${got}`);
  });

  test("throws the signal's reason when aborted", async () => {
    const { client } = fakeApi(["hang"]);
    const controller = new AbortController();
    const submitted = client.submitBatch([task], { signal: controller.signal });
    controller.abort(new Error("left"));
    await expect(submitted).rejects.toThrow("left");
  });
});

describe("get", () => {
  test.each(["", ".", ".."])("refuses the id %j, which would reach another route", async (id) => {
    const { client, requests } = fakeApi([]);
    await expect(client.get(id)).rejects.toThrow(`expected a task id, got ${JSON.stringify(id)}`);
    expect(requests).toEqual([]);
  });

  test("keeps an id to one segment of the path", async () => {
    const { client, requests } = fakeApi([json({})]);
    await client.get("a/../b?c");
    expect(requests[0]?.path).toBe("/v1/tasks/a%2F..%2Fb%3Fc");
  });
});

describe("wait", () => {
  test.each(["succeeded", "failed", "cancelled"])("returns the task once it is %s", async (state) => {
    const { client } = fakeApi([json({ state: "running" }), json({ state: "held" }), json({ state })]);
    expect(await client.wait("tsk_1")).toEqual({ state });
  });

  test("polls from 100 ms, doubling up to 2 s", async () => {
    const script = Array.from({ length: 7 }, () => json({ state: "pending" }));
    const { client, waits } = fakeApi([...script, json({ state: "succeeded" })]);
    await client.wait("tsk_1");
    expect(waits).toEqual([100, 200, 400, 800, 1_600, 2_000, 2_000]);
  });

  test("keeps to a pollMs over 2 s", async () => {
    const script = [json({ state: "pending" }), json({ state: "pending" }), json({ state: "failed" })];
    const { client, waits } = fakeApi(script);
    await client.wait("tsk_1", { pollMs: 5_000 });
    expect(waits).toEqual([5_000, 5_000]);
  });

  test("throws a WaitTimeoutError with the last task when it takes too long", async () => {
    vi.useFakeTimers();
    const wait = async (delayMs: number) => void vi.setSystemTime(Date.now() + delayMs);
    const script = [json({ state: "pending" }), json({ state: "running" }), json({ state: "retrying" })];
    const { client } = fakeApi(script, { wait });
    const error = await client.wait("tsk_1", { timeoutMs: 250 }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(WaitTimeoutError);
    expect(error).toMatchObject({
      message: "expected task tsk_1 to be final within 250 ms, but it is retrying",
      task: { state: "retrying" },
    });
    expect(vi.getTimerCount()).toBe(0);
  });

  test("throws a WaitTimeoutError while the server is silent", async () => {
    vi.useFakeTimers();
    const { client } = fakeApi(["hang"]);
    const failed = client.wait("tsk_1", { timeoutMs: 250 }).catch((reason: unknown) => reason);
    await vi.advanceTimersByTimeAsync(250);
    expect(await failed).toMatchObject({
      name: "WaitTimeoutError",
      message: "expected task tsk_1 to be final within 250 ms, but no answer came",
      task: null,
    });
  });

  test("ends while it waits on the runtime's timer", async () => {
    vi.useFakeTimers();
    const fetch = async () => json({ state: "held" });
    const client = new RedriveClient({ url: "http://redrive.test", apiKey: "k", fetch });
    const failed = client.wait("tsk_1", { timeoutMs: 1_000 }).catch((reason: unknown) => reason);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(await failed).toMatchObject({ name: "WaitTimeoutError", task: { state: "held" } });
    expect(vi.getTimerCount()).toBe(0);
  });

  test("throws the signal's own reason, even if that is a timeout", async () => {
    const controller = new AbortController();
    const reason = new DOMException("mine", "TimeoutError");
    const { client } = fakeApi([json({ state: "held" })], { wait: async () => controller.abort(reason) });
    await expect(client.wait("tsk_1", { signal: controller.signal })).rejects.toBe(reason);
  });

  test("throws what a poll throws", async () => {
    const { client } = fakeApi([problem(404, "task_not_found")]);
    await expect(client.wait("tsk_1")).rejects.toMatchObject({ code: "task_not_found" });
  });
});

describe("list", () => {
  async function idsOf(tasks: AsyncIterable<TaskSummary>): Promise<string[]> {
    const ids: string[] = [];
    for await (const { id } of tasks) ids.push(id);
    return ids;
  }

  test("goes over all pages, empty ones too", async () => {
    const { client, requests } = fakeApi([
      json({ tasks: [{ id: "c" }, { id: "b" }], next_cursor: "n1" }),
      json({ tasks: [], next_cursor: "n2" }),
      json({ tasks: [{ id: "a" }], next_cursor: null }),
    ]);
    expect(await idsOf(client.list())).toEqual(["c", "b", "a"]);
    expect(requests.map(({ path }) => path)).toEqual([
      "/v1/tasks",
      "/v1/tasks?cursor=n1",
      "/v1/tasks?cursor=n2",
    ]);
  });

  test("sends the filter with every page", async () => {
    const { client, requests } = fakeApi([
      json({ tasks: [], next_cursor: "n&1" }),
      json({ tasks: [], next_cursor: null }),
    ]);
    await idsOf(client.list({ state: "failed", created_after: "2026-11-23T10:00:00+01:00", limit: 5 }));
    const filter = "/v1/tasks?state=failed&created_after=2026-11-23T10%3A00%3A00%2B01%3A00&limit=5";
    expect(requests.map(({ path }) => path)).toEqual([filter, `${filter}&cursor=n%261`]);
  });

  test("asks for no page that is not needed", async () => {
    const { client, requests } = fakeApi([json({ tasks: [{ id: "b" }, { id: "a" }], next_cursor: "n1" })]);
    for await (const { id } of client.list()) if (id === "a") break;
    expect(requests).toHaveLength(1);
  });
});

test("breakers goes over all pages with its filter", async () => {
  const { client, requests } = fakeApi([
    json({ breakers: [{ key: "b" }], next_cursor: "n1" }),
    json({ breakers: [{ key: "a" }], next_cursor: null }),
  ]);
  const keys: string[] = [];
  for await (const { key } of client.breakers({ state: "open", limit: 1 })) keys.push(key);
  expect(keys).toEqual(["b", "a"]);
  expect(requests.map(({ method, path }) => `${method} ${path}`)).toEqual([
    "GET /v1/breakers?state=open&limit=1",
    "GET /v1/breakers?state=open&limit=1&cursor=n1",
  ]);
});

describe("cancel, retry and resume", () => {
  test.each(["cancel", "retry", "resume"] as const)("%s posts and returns the task", async (verb) => {
    const { client, requests } = fakeApi([json({ id: "tsk_1" })]);
    expect(await client[verb]("tsk_1")).toEqual({ id: "tsk_1" });
    expect(requests[0]).toMatchObject({ method: "POST", path: `/v1/tasks/tsk_1/${verb}`, body: undefined });
  });

  test("stopCallback deletes the task's callback, is repeated, and returns the task", async () => {
    const { client, requests } = fakeApi([lost(), json({ id: "tsk_1" })]);
    expect(await client.stopCallback("tsk_1")).toEqual({ id: "tsk_1" });
    expect(requests[1]).toMatchObject({ method: "DELETE", path: "/v1/tasks/tsk_1/callback" });
  });

  test("cancel returns the task that an earlier try cancelled", async () => {
    const { client } = fakeApi([lost(), problem(409, "invalid_state"), json({ state: "cancelled" })]);
    expect(await client.cancel("tsk_1")).toEqual({ state: "cancelled" });
  });

  test("cancel is refused for a task that ended otherwise between two tries", async () => {
    const { client } = fakeApi([lost(), problem(409, "invalid_state"), json({ state: "succeeded" })]);
    await expect(client.cancel("tsk_1")).rejects.toMatchObject({ code: "invalid_state" });
  });

  test("cancel is refused at once for a final task", async () => {
    const { client, requests } = fakeApi([problem(409, "invalid_state")]);
    await expect(client.cancel("tsk_1")).rejects.toMatchObject({ code: "invalid_state" });
    expect(requests).toHaveLength(1);
  });

  test.each(["retry", "resume"] as const)("%s is not repeated when it may have been done", async (verb) => {
    for (const step of [lost(), problem(502, "unavailable"), problem(503, "unavailable")]) {
      const { client, requests } = fakeApi([step]);
      await expect(client[verb]("tsk_1")).rejects.toMatchObject({ code: "unavailable" });
      expect(requests).toHaveLength(1);
    }
  });

  test.each([429, 503])("retry is repeated after an overloaded %i", async (status) => {
    const { client } = fakeApi([problem(status, "overloaded"), json({ id: "tsk_1" })]);
    expect(await client.retry("tsk_1")).toEqual({ id: "tsk_1" });
  });
});

describe("queues", () => {
  test("put sends the settings", async () => {
    const { client, requests } = fakeApi([json({ name: "eu" })]);
    const settings = { retry: { max_attempts: 3, max_age: "1d" }, concurrency: 8 };
    expect(await client.queues.put("eu", settings)).toEqual({ name: "eu" });
    expect(requests[0]).toMatchObject({ method: "PUT", path: "/v1/queues/eu", body: settings });
  });

  test("get returns the queue", async () => {
    const { client, requests } = fakeApi([json({ name: "eu" })]);
    expect(await client.queues.get("eu")).toEqual({ name: "eu" });
    expect(requests[0]).toMatchObject({ method: "GET", path: "/v1/queues/eu" });
  });

  test("list returns the queues", async () => {
    const { client, requests } = fakeApi([json({ queues: [{ name: "default" }] })]);
    expect(await client.queues.list()).toEqual([{ name: "default" }]);
    expect(requests[0]).toMatchObject({ method: "GET", path: "/v1/queues" });
  });

  test("delete takes an empty answer", async () => {
    const { client, requests } = fakeApi([new Response(null, { status: 204 })]);
    await expect(client.queues.delete("eu")).resolves.toBeUndefined();
    expect(requests[0]).toMatchObject({ method: "DELETE", path: "/v1/queues/eu" });
  });

  test("delete by force says so", async () => {
    const { client, requests } = fakeApi([new Response(null, { status: 204 })]);
    await client.queues.delete("eu", { force: true });
    expect(requests[0]).toMatchObject({ method: "DELETE", path: "/v1/queues/eu?force=true" });
  });

  test("delete succeeds where an earlier try deleted the queue", async () => {
    const { client } = fakeApi([lost(), problem(404, "queue_not_found")]);
    await expect(client.queues.delete("eu")).resolves.toBeUndefined();
  });

  test("delete is refused for a queue that was never there", async () => {
    const { client } = fakeApi([problem(404, "queue_not_found")]);
    await expect(client.queues.delete("eu")).rejects.toMatchObject({ code: "queue_not_found" });
  });

  test.each(["pause", "resume"] as const)("%s posts and is repeated", async (verb) => {
    const { client, requests } = fakeApi([lost(), json({ name: "eu" })]);
    expect(await client.queues[verb]("eu")).toEqual({ name: "eu" });
    expect(requests[1]).toMatchObject({ method: "POST", path: `/v1/queues/eu/${verb}` });
  });

  test("rotateSecret returns the new secret", async () => {
    const rotated = { secret: "whsec_AAAA", previous_valid_until: "2026-11-24T10:00:00Z" };
    const { client, requests } = fakeApi([json(rotated)]);
    expect(await client.queues.rotateSecret("eu")).toEqual(rotated);
    expect(requests[0]).toMatchObject({ method: "POST", path: "/v1/queues/eu/rotate-secret" });
  });

  test("rotateSecret is not repeated when it may have been done", async () => {
    const { client, requests } = fakeApi([lost()]);
    await expect(client.queues.rotateSecret("eu")).rejects.toMatchObject({ status: 0 });
    expect(requests).toHaveLength(1);
  });
});

describe("rekey", () => {
  test("goes on with the cursor until there is no more, and adds up", async () => {
    const pages = [
      { matched: 200, changed: 150, dry_run: false, next_cursor: "c1" },
      { matched: 3, changed: 2, dry_run: false, next_cursor: null },
    ];
    const { client, requests } = fakeApi(pages.map((page) => json(page)));
    const request = { queue: "hooks", target: "https://api.example.com", breaker_key: "alice" };
    expect(await client.rekey(request)).toEqual({ matched: 203, changed: 152 });
    expect(requests.map(({ path, body }) => ({ path, body }))).toEqual([
      { path: "/v1/tasks/rekey", body: request },
      { path: "/v1/tasks/rekey", body: { ...request, cursor: "c1" } },
    ]);
  });

  test("of one task is repeated, since it has no second effect", async () => {
    const { client, requests } = fakeApi([lost(), json({ id: "tsk_1", target: "https://api.example.com" })]);
    expect(await client.setBreakerKey("tsk_1", null)).toMatchObject({ id: "tsk_1" });
    expect(requests[1]).toMatchObject({ path: "/v1/tasks/tsk_1/rekey", body: { breaker_key: null } });
  });
});
