import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Problem } from "../../src/schema/problem.ts";
import type { TaskAccepted, TaskList } from "../../src/schema/task.ts";
import {
  call,
  callJson,
  callProblem,
  type Received,
  readTask,
  stubTargets,
  submitTask,
  taskIn,
} from "../support/workers/api.ts";

const URL = "https://api.example.com/x";

let received: Received[];

beforeEach(() => {
  received = stubTargets(
    () => new Response('{"ok":true}', { headers: { "content-type": "application/json" } }),
  );
});

afterEach(() => {
  vi.unstubAllGlobals();
});

/** A queue of this test's own, which calls nobody. */
async function pausedQueue(name: string, shards = 2): Promise<string> {
  await call("PUT", `/v1/queues/${name}`, { body: { shards } });
  await call("POST", `/v1/queues/${name}/pause`);
  return name;
}

describe("POST /v1/tasks", () => {
  test("answers 202 with the task's place, and calls the target after that", async () => {
    const response = await call("POST", "/v1/tasks", { body: { url: URL, body: { amount: 5 } } });
    expect(response.status).toBe(202);
    const accepted = await response.json<TaskAccepted>();
    expect(response.headers.get("location")).toBe(`/v1/tasks/${accepted.id}`);
    expect(response.headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
    expect(accepted).toEqual({
      id: expect.stringMatching(/^tsk_/),
      state: "running",
      queue: "default",
      waiting_on: null,
      due_at: null,
      duplicate: false,
    });
    const task = await taskIn(accepted.id, "succeeded");
    expect(task.attempts).toHaveLength(1);
    expect(received).toHaveLength(1);
    expect(received[0]).toMatchObject({ url: URL, method: "POST", body: '{"amount":5}' });
    expect(received[0]?.headers.get("content-type")).toBe("application/json");
    expect(received[0]?.headers.get("redrive-task-id")).toBe(accepted.id);
  });

  test("takes a task in YAML", async () => {
    const body = `url: ${URL}\nbody: { amount: 5 }\nretry:\n  max_attempts: 1\n`;
    const { status, json } = await callJson<TaskAccepted>("POST", "/v1/tasks", {
      body,
      headers: { "content-type": "application/yaml" },
    });
    expect(status).toBe(202);
    expect((await taskIn(json.id, "succeeded")).max_attempts).toBe(1);
  });

  test("waits where the task has a delay", async () => {
    const accepted = await submitTask({ url: URL, delay: "1h" });
    expect(accepted).toMatchObject({ state: "pending", waiting_on: "schedule" });
    expect(received).toEqual([]);
  });

  test("hands the submit's own trace context to the target", async () => {
    const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const { id } = await submitTask({ url: URL }, { headers: { traceparent } });
    await taskIn(id, "succeeded");
    expect(received[0]?.headers.get("traceparent")).toBe(traceparent);
  });

  test("answers a repeat of a keyed task with the first one", async () => {
    const task = { url: URL, idempotency_key: "order-1", body: { a: 1, b: 2 } };
    const first = await callJson<TaskAccepted>("POST", "/v1/tasks", { body: task });
    const again = await callJson<TaskAccepted>("POST", "/v1/tasks", {
      body: { ...task, body: { b: 2, a: 1 } },
    });
    expect([first.status, again.status]).toEqual([202, 200]);
    expect(again.json).toMatchObject({ id: first.json.id, duplicate: true });
    await taskIn(first.json.id, "succeeded");
    expect(received).toHaveLength(1);
  });

  test("takes the key from the header as well", async () => {
    const headers = { "idempotency-key": "order-2" };
    const first = await submitTask({ url: URL }, { headers });
    expect(await submitTask({ url: URL, idempotency_key: "order-2" }, { headers })).toMatchObject({
      id: first.id,
      duplicate: true,
    });
  });

  test("refuses two different keys", async () => {
    const options = { body: { url: URL, idempotency_key: "a" }, headers: { "idempotency-key": "b" } };
    const { status, problem } = await callProblem("POST", "/v1/tasks", options);
    expect(status).toBe(400);
    expect(problem.errors?.[0]?.path).toBe("idempotency_key");
  });

  test("refuses another request under the same key", async () => {
    await submitTask({ url: URL, idempotency_key: "order-3" });
    const { status, problem } = await callProblem("POST", "/v1/tasks", {
      body: { url: URL, idempotency_key: "order-3", priority: 1 },
    });
    expect([status, problem.code]).toEqual([409, "idempotency_conflict"]);
  });

  test("makes one task of thirty submits of one key at once", async () => {
    const submits = await Promise.all(
      Array.from({ length: 30 }, () =>
        callJson<TaskAccepted>("POST", "/v1/tasks", { body: { url: URL, idempotency_key: "order-4" } }),
      ),
    );
    expect(new Set(submits.map(({ json }) => json.id)).size).toBe(1);
    expect(submits.filter(({ status }) => status === 202)).toHaveLength(1);
    expect(submits.filter(({ status }) => status === 200)).toHaveLength(29);
    await taskIn(submits[0]?.json.id ?? "", "succeeded");
    expect(received).toHaveLength(1);
  });
});

describe("POST /v1/tasks/batch", () => {
  test("answers each task or its problem, in order", async () => {
    const tasks = [
      { url: `${URL}/0` },
      { url: "nope" },
      3,
      { url: `${URL}/3`, queue: "none" },
      { url: `${URL}/4` },
    ];
    const { status, json } = await callJson<{ results: ({ task: TaskAccepted } | { problem: Problem })[] }>(
      "POST",
      "/v1/tasks/batch",
      { body: { tasks } },
    );
    expect(status).toBe(202);
    expect(json.results).toMatchObject([
      { task: { duplicate: false } },
      { problem: { code: "invalid_request", errors: [{ path: "url" }] } },
      { problem: { code: "invalid_request", errors: [{ path: "" }] } },
      { problem: { code: "queue_not_found", errors: [{ path: "queue" }] } },
      { task: { duplicate: false } },
    ]);
    await vi.waitFor(() => expect(received.map(({ url }) => url).sort()).toEqual([`${URL}/0`, `${URL}/4`]));
  });

  test("looks at no more tasks once those before had a hundred thousand values that were wrong", async () => {
    const intervals = Array(50).fill([]);
    const rules = Array(20).fill({ when: "true", do: "retry", backoff: { intervals } });
    const tasks = [{ url: URL }, ...Array(150).fill({ url: URL, retry: { rules } }), { url: URL }];
    const { status, json } = await callJson<{ results: { problem?: Problem }[] }>("POST", "/v1/tasks/batch", {
      body: { tasks },
    });
    const messages = json.results.map(({ problem }) => problem?.errors?.[0]?.message ?? "taken");
    const looked = messages.filter((message) => message.startsWith("expected a duration")).length;

    expect([status, messages.length]).toEqual([202, 152]);
    expect(messages[0]).toBe("taken");
    expect(looked).toBeGreaterThan(50);
    expect(looked).toBeLessThan(100);
    expect(messages.slice(looked + 1)).toEqual(
      Array(151 - looked).fill("expected fewer faults in the tasks before: this one was not looked at"),
    );
  });

  test("refuses a task of too many values by their number alone", async () => {
    const headers = Object.fromEntries(Array.from({ length: 10_001 }, (_, i) => [`k${i}`, 0]));
    const { status, problem } = await callProblem("POST", "/v1/tasks", { body: { url: URL, headers } });
    expect([status, problem.code]).toEqual([400, "invalid_request"]);
    expect(problem.errors).toEqual([
      { path: "", message: "expected at most 10000 fields and items beside the body, got more" },
    ]);
  });

  test("stores a thousand tasks, each as it was asked for", async () => {
    const queue = await pausedQueue("batch-queue", 4);
    const tasks = Array.from({ length: 1_000 }, (_, i) => ({ url: `${URL}/${i}`, queue, priority: i % 10 }));
    const { json } = await callJson<{ results: { task: TaskAccepted }[] }>("POST", "/v1/tasks/batch", {
      body: { tasks },
    });
    expect(new Set(json.results.map(({ task }) => task.id)).size).toBe(1_000);
    const some = [0, 1, 499, 999];
    for (const index of some) {
      const { json: task } = await callJson("GET", `/v1/tasks/${json.results[index]?.task.id}`);
      expect(task).toMatchObject({ url: `${URL}/${index}`, priority: index % 10, waiting_on: "paused" });
    }
  });

  test("makes one task of a key that stands in it twice", async () => {
    const task = { url: URL, idempotency_key: "twice" };
    const { json } = await callJson<{ results: { task: TaskAccepted }[] }>("POST", "/v1/tasks/batch", {
      body: { tasks: [task, task] },
    });
    expect(json.results.map((result) => result.task.duplicate)).toEqual([false, true]);
    expect(json.results[0]?.task.id).toBe(json.results[1]?.task.id);
  });

  test("leaves all but its first five tasks to the alarm", async () => {
    const tasks = Array.from({ length: 8 }, (_, i) => ({ url: `${URL}/${i}`, delay: 0 }));
    const { json } = await callJson<{ results: { task: TaskAccepted }[] }>("POST", "/v1/tasks/batch", {
      body: { tasks },
    });
    const states = json.results.map(({ task }) => task.state);
    expect(states.slice(5)).not.toContain("running");
    expect(states).toContain("running");
    await vi.waitFor(() => expect(received).toHaveLength(8), { timeout: 4_000 });
  });
});

describe("/v1/tasks/{id}", () => {
  test("cancels a waiting task, and only once", async () => {
    const { id } = await submitTask({ url: URL, delay: "1h" });
    expect((await callJson("POST", `/v1/tasks/${id}/cancel`)).json).toMatchObject({ id, state: "cancelled" });
    const { status, problem } = await callProblem("POST", `/v1/tasks/${id}/cancel`);
    expect([status, problem.code]).toEqual([409, "invalid_state"]);
  });

  test("retries a succeeded task only when forced", async () => {
    const { id } = await submitTask({ url: URL });
    await taskIn(id, "succeeded");
    expect((await callProblem("POST", `/v1/tasks/${id}/retry`)).problem.code).toBe("invalid_state");
    const forced = await callJson("POST", `/v1/tasks/${id}/retry?force=true`);
    expect(forced.json).toMatchObject({ id, round: 2 });
    expect((await taskIn(id, "succeeded")).attempts.map(({ round }) => round)).toEqual([1, 2]);
  });

  test("stops a callback that keeps failing, after which its queue can be deleted", async () => {
    const queue = "stopped-callback";
    await call("PUT", `/v1/queues/${queue}`, { body: { shards: 1 } });
    vi.unstubAllGlobals();
    stubTargets(({ url }) => new Response(null, { status: url.endsWith("/hook") ? 500 : 200 }));
    const { id } = await submitTask({ url: URL, queue, callback: { url: `${URL}/hook` } });
    await vi.waitFor(async () => expect((await readTask(id)).callback?.state).toBe("retrying"));
    expect((await callProblem("DELETE", `/v1/queues/${queue}`)).problem.code).toBe("queue_not_empty");
    const { status, json } = await callJson("DELETE", `/v1/tasks/${id}/callback`);
    expect(status).toBe(200);
    expect(json).toMatchObject({ state: "succeeded", callback: { state: "failed", reason: "stopped" } });
    expect((await call("DELETE", `/v1/tasks/${id}/callback`)).status).toBe(200);
    expect((await call("DELETE", `/v1/queues/${queue}`)).status).toBe(204);
  });

  test("refuses to stop a callback that there is not", async () => {
    const { id } = await submitTask({ url: URL, delay: "1h" });
    const { status, problem } = await callProblem("DELETE", `/v1/tasks/${id}/callback`);
    expect([status, problem.code]).toEqual([409, "invalid_state"]);
  });

  test("resumes a held task", async () => {
    vi.unstubAllGlobals();
    let status = 401;
    stubTargets(() => new Response(null, { status }));
    const rules = [{ when: "status == 401", do: "hold", until: "signal" }];
    const { id } = await submitTask({ url: URL, retry: { rules } });
    expect((await taskIn(id, "held")).waiting_on).toBe("signal");
    status = 204;
    expect((await call("POST", `/v1/tasks/${id}/resume`)).status).toBe(200);
    expect((await taskIn(id, "succeeded")).attempts).toHaveLength(2);
  });

  test.each([
    "nonsense",
    "tsk_0",
    "tsk_01M83MT475ZGQ00Y1CENRJ0Z1",
    "tsk_01M83MT475ZGQ00Y1CENRJ00ZZZZZ",
    "%F0%9F",
    "..%2f",
  ])("answers 404 for the id %s", async (id) => {
    for (const [method, path] of [
      ["GET", `/v1/tasks/${id}`],
      ["POST", `/v1/tasks/${id}/cancel`],
      ["POST", `/v1/tasks/${id}/retry`],
      ["POST", `/v1/tasks/${id}/resume`],
      ["DELETE", `/v1/tasks/${id}/callback`],
    ] as const) {
      const { status, problem } = await callProblem(method, path);
      expect([status, problem.code]).toEqual([404, "task_not_found"]);
    }
  });

  test("answers 404 for an id of a shard that is there and never gave it", async () => {
    const { id } = await submitTask({ url: URL, delay: "1h" });
    const other = `${id.slice(0, 14)}ZZZZZZZZZZZZ${id.slice(26)}`;
    expect((await callProblem("GET", `/v1/tasks/${other}`)).status).toBe(404);
  });
});

describe("GET /v1/tasks", () => {
  test("pages over all shards of all queues, newest first, each task once", async () => {
    const queues = await Promise.all([pausedQueue("list-a", 2), pausedQueue("list-b", 3)]);
    const ids: string[] = [];
    for (let i = 0; i < 24; i++)
      ids.push((await submitTask({ url: URL, queue: queues[i % 2], labels: ["paged"] })).id);
    const seen: string[] = [];
    let cursor = "";
    do {
      const { json } = await callJson<TaskList>("GET", `/v1/tasks?label=paged&limit=5${cursor}`);
      expect(json.tasks.length).toBeLessThanOrEqual(5);
      seen.push(...json.tasks.map(({ id }) => id));
      cursor = json.next_cursor === null ? "" : `&cursor=${encodeURIComponent(json.next_cursor)}`;
    } while (cursor !== "");
    expect(seen).toEqual(ids.sort().reverse());
  });

  test("filters by queue, state, label, target and time", async () => {
    const queue = await pausedQueue("list-c");
    const before = new Date(Date.now() - 60_000).toISOString();
    const after = new Date(Date.now() + 60_000).toISOString();
    const { id } = await submitTask({ url: URL, queue, labels: ["eu"] });
    await submitTask({ url: "https://other.example.com/", queue });
    const list = async (query: string) => {
      const { json } = await callJson<TaskList>("GET", `/v1/tasks?queue=${queue}&${query}`);
      return json.tasks.map((task) => task.id);
    };
    expect(await list("label=eu")).toEqual([id]);
    expect(await list("target=https://api.example.com")).toEqual([id]);
    expect(await list("state=succeeded")).toEqual([]);
    expect(await list("state=pending")).toHaveLength(2);
    expect(await list(`created_after=${before}`)).toHaveLength(2);
    expect(await list(`created_after=${after}`)).toEqual([]);
  });

  test("refuses a cursor with other filters, and one that was tampered with", async () => {
    const queue = await pausedQueue("list-d");
    for (let i = 0; i < 3; i++) await submitTask({ url: URL, queue });
    const { json } = await callJson<TaskList>("GET", `/v1/tasks?queue=${queue}&limit=1`);
    const cursor = encodeURIComponent(json.next_cursor ?? "");
    expect((await call("GET", `/v1/tasks?queue=${queue}&cursor=${cursor}`)).status).toBe(200);
    for (const query of [`cursor=${cursor}`, `queue=${queue}&cursor=${cursor}x`, `queue=${queue}&cursor=x`]) {
      const { status, problem } = await callProblem("GET", `/v1/tasks?${query}`);
      expect([status, problem.code, problem.errors?.[0]?.path]).toEqual([400, "invalid_cursor", "cursor"]);
    }
  });

  test.each([
    ["limit=0", 400, "limit"],
    ["limit=many", 400, "limit"],
    ["state=done", 400, "state"],
    ["created_after=yesterday", 400, "created_after"],
    ["colour=red", 400, "colour"],
  ])("refuses ?%s", async (query, expected, path) => {
    const { status, problem } = await callProblem("GET", `/v1/tasks?${query}`);
    expect([status, problem.errors?.[0]?.path]).toEqual([expected, path]);
  });

  test("answers 404 for a queue that is not there", async () => {
    expect((await callProblem("GET", "/v1/tasks?queue=none")).problem.code).toBe("queue_not_found");
  });
});
