import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MAX_DELAY_MS, MAX_METADATA_BYTES } from "../../src/schema/limits.ts";
import { BatchRequest, Instant, QueueName, TaskQuery, TaskRequest } from "../../src/schema/task.ts";
import { issuesOf } from "../support/issues.ts";

const url = "https://api.example.com/charge";

describe("TaskRequest", () => {
  test("fills in what is left out", () => {
    expect(TaskRequest.parse({ url })).toEqual({
      url,
      method: "POST",
      headers: {},
      queue: "default",
      priority: 5,
      max_redirects: 0,
      labels: [],
      metadata: {},
    });
  });

  test("reads every field of the documented task", () => {
    const task = {
      url,
      method: "POST",
      headers: { "content-type": "application/json" },
      body: { amount: 5 },
      queue: "payments",
      idempotency_key: "order-991",
      delay: "10s",
      priority: 5,
      timeout: "30s",
      retry: { max_attempts: 3 },
      labels: ["eu"],
      metadata: { order: "991" },
      callback: {
        url: "https://me.example.com/hook",
        on: ["succeeded", "failed", "cancelled"],
        retry: { max_attempts: 8 },
      },
    };

    expect(TaskRequest.parse(task)).toEqual({ ...task, delay: 10_000, timeout: 30_000, max_redirects: 0 });
  });

  test.each([{ amount: 5 }, [1, null], "text", 7, true, null])("takes %j for a body", (body) => {
    expect(TaskRequest.parse({ url, body }).body).toEqual(body);
  });

  test("tells a callback of null, which is none, from one left out, which is the queue's", () => {
    expect(TaskRequest.parse({ url, callback: null }).callback).toBeNull();
    expect(TaskRequest.parse({ url })).not.toHaveProperty("callback");
  });

  test("reads run_at with any offset as the same instant", () => {
    const instants = ["2026-11-23T10:00:00Z", "2026-11-23T11:00:00+01:00", "2026-11-23T05:00:00.000-05:00"];

    expect(new Set(instants.map((run_at) => TaskRequest.parse({ url, run_at }).run_at))).toEqual(
      new Set([Date.UTC(2026, 10, 23, 10)]),
    );
  });

  test.each([
    ["no url", { method: "GET" }, "url"],
    ["an empty url", { url: "" }, "url"],
    ["a url of 4,097 characters", { url: `https://a/${"x".repeat(4_087)}` }, "url"],
    ["a method that is none", { url, method: "BREW" }, "method"],
    ["a method in lower case", { url, method: "post" }, "method"],
    ["a header that is no text", { url, headers: { a: 1 } }, "headers.a"],
    ["bytes that are no base64", { url, body_base64: "%%" }, "body_base64"],
    ["an empty idempotency key", { url, idempotency_key: "" }, "idempotency_key"],
    ["an idempotency key of 256 characters", { url, idempotency_key: "x".repeat(256) }, "idempotency_key"],
    ["a delay over 30 days", { url, delay: MAX_DELAY_MS + 1 }, "delay"],
    ["a delay that is none", { url, delay: "soon" }, "delay"],
    ["a priority of 10", { url, priority: 10 }, "priority"],
    ["a priority of -1", { url, priority: -1 }, "priority"],
    ["a priority of 1.5", { url, priority: 1.5 }, "priority"],
    ["a timeout of 0", { url, timeout: 0 }, "timeout"],
    ["a timeout over 10 minutes", { url, timeout: "10m1ms" }, "timeout"],
    ["11 redirects", { url, max_redirects: 11 }, "max_redirects"],
    ["a breaker key with a slash", { url, breaker_key: "a/b" }, "breaker_key"],
    ["a breaker key of 129 characters", { url, breaker_key: "x".repeat(129) }, "breaker_key"],
    ["17 labels", { url, labels: Array.from({ length: 17 }, String) }, "labels"],
    ["a label of 65 characters", { url, labels: ["x".repeat(65)] }, "labels.0"],
    ["an empty label", { url, labels: [""] }, "labels.0"],
    ["metadata over its limit", { url, metadata: { a: "x".repeat(MAX_METADATA_BYTES) } }, "metadata"],
    ["metadata that is a list", { url, metadata: [] }, "metadata"],
    ["101 attempts", { url, retry: { max_attempts: 101 } }, "retry.max_attempts"],
    ["a callback for a state that is not final", { url, callback: { on: ["held"] } }, "callback.on.0"],
    ["a callback for no state", { url, callback: { on: [] } }, "callback.on"],
    ["a callback's unknown field", { url, callback: { uri: url } }, "callback"],
  ])("refuses %s, and says where", (_, task, path) => {
    expect(issuesOf(TaskRequest, task)).toEqual([expect.stringMatching(new RegExp(`^${path}: .`))]);
  });

  test.each([
    { url, delay: MAX_DELAY_MS },
    { url, priority: 0 },
    { url, priority: 9 },
    { url, timeout: "10m" },
    { url, max_redirects: 10 },
    { url, breaker_key: "stripe:eu_1.a-b" },
    { url, idempotency_key: "x".repeat(255) },
    { url, labels: Array.from({ length: 16 }, () => "x".repeat(64)) },
    { url, metadata: { a: "x".repeat(MAX_METADATA_BYTES - 8) } },
    { url, body_base64: "aGVsbG8=" },
    { url, method: "DELETE", body: {} },
  ])("takes what is just within its limits", (task) => {
    expect(issuesOf(TaskRequest, task)).toEqual([]);
  });

  test("names an unknown field", () => {
    expect(issuesOf(TaskRequest, { url, retries: 3 })).toEqual([expect.stringContaining("retries")]);
  });

  test.each([
    ["GET", { body: {} }],
    ["GET", { body_base64: "aGVsbG8=" }],
  ])("refuses a body with %s: %j", (method, body) => {
    expect(issuesOf(TaskRequest, { url, method, ...body })).toEqual([
      `body: expected no body with ${method}`,
    ]);
  });

  test("refuses two bodies", () => {
    expect(issuesOf(TaskRequest, { url, body: "a", body_base64: "YQ==" })).toEqual([
      "body_base64: expected body or body_base64, got both",
    ]);
  });

  test("says of every wrong place where it is", () => {
    const task = { url: 1, priority: 11, callback: { timeout: "never" } };

    expect(issuesOf(TaskRequest, task).map((line) => line.split(":")[0])).toEqual([
      "url",
      "priority",
      "callback.timeout",
    ]);
  });
});

describe("Instant", () => {
  test("reads back what toISOString writes", () => {
    const dates = fc.date({
      min: new Date("1970-01-01T00:00:00Z"),
      max: new Date("9999-12-31T23:59:59Z"),
      noInvalidDate: true,
    });
    fc.assert(
      fc.property(dates, (date) => {
        expect(Instant.parse(date.toISOString())).toBe(date.getTime());
      }),
    );
  });

  test.each([
    ["2026-11-23", '"2026-11-23"'],
    ["2026-11-23T10:00:00", '"2026-11-23T10:00:00"'],
    ["2026-02-30T10:00:00Z", '"2026-02-30T10:00:00Z"'],
    [1_790_000_000, "a number"],
    ["soon", "a string of 4 characters"],
    [null, "null"],
  ])("refuses %j, and says what was expected and what came", (value, shown) => {
    expect(issuesOf(Instant, value)).toEqual([
      `: expected an ISO 8601 instant such as "2026-11-23T10:00:00Z", got ${shown}`,
    ]);
  });
});

describe("QueueName", () => {
  test.each(["default", "a", "0", "payments.eu-1_b", "x".repeat(64)])("takes %s", (name) => {
    expect(QueueName.safeParse(name).success).toBe(true);
  });

  test.each(["", "Payments", "-a", ".a", "a/b", "a b", "a\n", "ä", "x".repeat(65)])("refuses %j", (name) => {
    expect(issuesOf(QueueName, name)).toEqual([
      ": expected 1 to 64 of a-z, 0-9, '.', '_' and '-', the first a letter or digit",
    ]);
  });
});

describe("BatchRequest", () => {
  test("leaves each task to be checked by itself", () => {
    expect(issuesOf(BatchRequest, { tasks: [{ url }, "not a task", null] })).toEqual([]);
  });

  test.each([
    ["no task", { tasks: [] }, "tasks: "],
    ["1,001 tasks", { tasks: Array.from({ length: 1_001 }, () => ({ url })) }, "tasks: "],
    ["something else beside them", { tasks: [{ url }], queue: "a" }, ": "],
    ["no list", [{ url }], ": "],
  ])("refuses %s", (_, batch, start) => {
    expect(issuesOf(BatchRequest, batch)).toEqual([expect.stringMatching(new RegExp(`^${start}`))]);
  });
});

describe("TaskQuery", () => {
  test("reads the texts of a query string", () => {
    const query = { limit: "20", state: "held", created_after: "2026-11-23T10:00:00Z" };

    expect(TaskQuery.parse(query)).toEqual({
      limit: 20,
      state: "held",
      created_after: Date.UTC(2026, 10, 23, 10),
    });
  });

  test("gives 50 tasks a page where nothing is said", () => {
    expect(TaskQuery.parse({})).toEqual({ limit: 50 });
  });

  test.each(["0", "201", "1.5", "many", ""])("refuses a limit of %j", (limit) => {
    expect(issuesOf(TaskQuery, { limit })).toEqual([expect.stringMatching(/^limit: /)]);
  });

  test("names an unknown filter", () => {
    expect(issuesOf(TaskQuery, { labels: "eu" })).toEqual([expect.stringContaining("labels")]);
  });
});
