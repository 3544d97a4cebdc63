import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { QueueView } from "../../src/schema/queue.ts";
import { call, callJson, callProblem, stubTargets, submitTask, taskIn } from "../support/workers/api.ts";

const URL = "https://api.example.com/x";

beforeEach(() => {
  stubTargets(() => new Response(null, { status: 204 }));
});

afterEach(() => {
  vi.unstubAllGlobals();
});

describe("PUT /v1/queues/{name}", () => {
  test("makes a queue with 201, and changes it with 200", async () => {
    const made = await callJson<QueueView>("PUT", "/v1/queues/put-a", { body: { shards: 2, timeout: "5s" } });
    expect(made.status).toBe(201);
    expect(made.json).toMatchObject({
      name: "put-a",
      shards: 2,
      paused: false,
      settings: { timeout: 5_000 },
    });
    const changed = await callJson<QueueView>("PUT", "/v1/queues/put-a", { body: { concurrency: 8 } });
    expect(changed.status).toBe(200);
    expect(changed.json.settings).toMatchObject({ timeout: 20_000, concurrency: 8 });
    expect((await callJson<QueueView>("GET", "/v1/queues/put-a")).json.settings).toEqual(
      changed.json.settings,
    );
  });

  test("takes settings in YAML", async () => {
    const body = [
      "concurrency: 32",
      "retry:",
      "  max_attempts: 4",
      "  backoff: { strategy: schedule, intervals: [1s, 1m] }",
      '  conditions: ["status == 503", "error_type == timeout"]',
      "callback: { url: https://me.example.com/hook }",
    ].join("\n");
    const headers = { "content-type": "text/yaml" };
    const { status, json } = await callJson<QueueView>("PUT", "/v1/queues/put-yaml", { body, headers });
    expect(status).toBe(201);
    expect(json.settings.retry).toMatchObject({ max_attempts: 4, backoff: { intervals: [1_000, 60_000] } });
  });

  test("never shows secrets: neither signing secrets nor callback headers", async () => {
    const callback = { url: URL, headers: { authorization: "Bearer hidden-1", "x-plain": "shown" } };
    const made = await callJson<QueueView>("PUT", "/v1/queues/put-b", { body: { callback } });
    const got = await call("GET", "/v1/queues/put-b");
    const listed = await call("GET", "/v1/queues");
    for (const text of [JSON.stringify(made.json), await got.text(), await listed.text()]) {
      expect(text).toContain("shown");
      expect(text).not.toContain("hidden-1");
      expect(text).not.toContain("whsec_");
    }
  });

  test.each<[string, object, number, string, string]>([
    ["another number of shards", { shards: 8 }, 409, "queue_conflict", "shards"],
    ["fewer slots than shards", { concurrency: 1 }, 400, "invalid_request", "concurrency"],
    ["an unknown field", { concurency: 9 }, 400, "invalid_request", "concurency"],
    [
      "a wrong expression",
      { retry: { conditions: ["status =="] } },
      400,
      "invalid_request",
      "retry.conditions[0]",
    ],
    [
      "fewer attempts an hour than shards",
      { rate: { limit: 1, per: "1h" } },
      400,
      "invalid_request",
      "rate.limit",
    ],
    ["refused events", { events: { url: "http://10.0.0.1/" } }, 400, "invalid_request", "events.url"],
    [
      "a refused readiness probe",
      { breaker: { readiness: { url: "http://10.0.0.1/ready" } } },
      400,
      "invalid_request",
      "breaker.readiness.url",
    ],
    ["a refused callback", { callback: { url: "http://10.0.0.1/" } }, 400, "invalid_request", "callback.url"],
    [
      "a forbidden header",
      { callback: { headers: { host: "x" } } },
      400,
      "invalid_request",
      "callback.headers.host",
    ],
  ])("refuses %s", async (_, body, status, code, path) => {
    await call("PUT", "/v1/queues/put-c", { body: { shards: 2 } });
    const refusal = await callProblem("PUT", "/v1/queues/put-c", { body });
    expect([refusal.status, refusal.problem.code, refusal.problem.errors?.[0]?.path]).toEqual([
      status,
      code,
      path,
    ]);
  });

  test("refuses a name that is none", async () => {
    const { status, problem } = await callProblem("PUT", "/v1/queues/No%20Name", { body: {} });
    expect([status, problem.errors?.[0]?.path]).toEqual([400, "name"]);
  });
});

describe("a queue", () => {
  test("counts its tasks over all shards and tells how long the oldest waits", async () => {
    await call("PUT", "/v1/queues/count-a", { body: { shards: 3 } });
    const done = await submitTask({ url: URL, queue: "count-a" });
    await taskIn(done.id, "succeeded");
    await call("POST", "/v1/queues/count-a/pause");
    for (let i = 0; i < 6; i++) await submitTask({ url: URL, queue: "count-a" });
    const { json } = await callJson<QueueView>("GET", "/v1/queues/count-a");
    expect(json.counts).toMatchObject({ pending: 6, succeeded: 1, running: 0 });
    expect(json.oldest_waiting_ms).toBeGreaterThanOrEqual(0);
    expect(json.callbacks_waiting).toBe(0);
  });

  test("holds its tasks while it is paused, and calls them after that", async () => {
    await call("PUT", "/v1/queues/pause-a", { body: { shards: 1 } });
    expect((await callJson<QueueView>("POST", "/v1/queues/pause-a/pause")).json.paused).toBe(true);
    const { id, waiting_on: waitingOn } = await submitTask({ url: URL, queue: "pause-a" });
    expect(waitingOn).toBe("paused");
    expect((await callJson<QueueView>("POST", "/v1/queues/pause-a/resume")).json.paused).toBe(false);
    expect((await taskIn(id, "succeeded")).attempts).toHaveLength(1);
  });

  test("is listed by name", async () => {
    const { json } = await callJson<{ queues: QueueView[] }>("GET", "/v1/queues");
    const names = json.queues.map((queue) => queue.name);
    expect(names).toContain("default");
    expect(names).toEqual(names.toSorted());
  });

  test("gets a new secret that is shown once", async () => {
    await call("PUT", "/v1/queues/rotate-a", { body: {} });
    const { status, json } = await callJson<Record<string, string>>(
      "POST",
      "/v1/queues/rotate-a/rotate-secret",
    );
    expect(status).toBe(200);
    expect(json.secret).toMatch(/^whsec_/);
    const untilMs = Date.parse(json.previous_valid_until ?? "") - Date.now();
    expect(untilMs).toBeGreaterThan(86_000_000);
    expect(untilMs).toBeLessThanOrEqual(86_400_000);
  });

  test.each([
    ["GET", ""],
    ["DELETE", ""],
    ["POST", "/pause"],
    ["POST", "/resume"],
    ["POST", "/rotate-secret"],
  ])("answers %s %s with 404 where it is not there", async (method, action) => {
    for (const name of ["none", "NO%20NAME", "x".repeat(65)]) {
      const { status, problem } = await callProblem(method, `/v1/queues/${name}${action}`);
      expect([status, problem.code]).toEqual([404, "queue_not_found"]);
    }
  });
});

describe("DELETE /v1/queues/{name}", () => {
  test("refuses while a task is not final, and goes on taking tasks", async () => {
    await call("PUT", "/v1/queues/delete-a", { body: { shards: 2 } });
    const { id } = await submitTask({ url: URL, queue: "delete-a", delay: "1h" });
    const { status, problem } = await callProblem("DELETE", "/v1/queues/delete-a");
    expect([status, problem.code]).toEqual([409, "queue_not_empty"]);
    for (let i = 0; i < 4; i++) await submitTask({ url: URL, queue: "delete-a", delay: "1h" });
    expect((await call("GET", `/v1/tasks/${id}`)).status).toBe(200);
  });

  test("forgets the queue and its tasks", async () => {
    await call("PUT", "/v1/queues/delete-b", { body: { shards: 2 } });
    const { id } = await submitTask({ url: URL, queue: "delete-b" });
    await taskIn(id, "succeeded");
    expect((await call("DELETE", "/v1/queues/delete-b")).status).toBe(204);
    expect((await callProblem("GET", "/v1/queues/delete-b")).problem.code).toBe("queue_not_found");
    expect((await callProblem("GET", `/v1/tasks/${id}`)).problem.code).toBe("task_not_found");
    const submit = await callProblem("POST", "/v1/tasks", { body: { url: URL, queue: "delete-b" } });
    expect(submit.problem.code).toBe("queue_not_found");
  });

  test("lets a queue of the same name begin anew", async () => {
    await call("PUT", "/v1/queues/delete-c", { body: { shards: 1 } });
    const old = await submitTask({ url: URL, queue: "delete-c", idempotency_key: "k" });
    await taskIn(old.id, "succeeded");
    await call("DELETE", "/v1/queues/delete-c");
    await call("PUT", "/v1/queues/delete-c", { body: { shards: 2 } });
    const made = await submitTask({ url: URL, queue: "delete-c", idempotency_key: "k" });
    expect(made.duplicate).toBe(false);
    expect((await call("GET", `/v1/tasks/${old.id}`)).status).toBe(404);
    await taskIn(made.id, "succeeded");
  });

  test("refuses to delete the queue default", async () => {
    const { status, problem } = await callProblem("DELETE", "/v1/queues/default");
    expect([status, problem.code]).toEqual([409, "queue_conflict"]);
  });
});
