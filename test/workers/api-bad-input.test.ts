import { env as rawEnv } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { createApp } from "../../src/api/app.ts";
import { ROUTES } from "../../src/api/routes.ts";
import type { Env } from "../../src/platform/env.ts";
import { MAX_BATCH_BYTES, MAX_BODY_BYTES, MAX_TASK_BYTES } from "../../src/schema/limits.ts";
import { call, callProblem } from "../support/workers/api.ts";

const URL = "https://api.example.com/x";
const env = rawEnv as unknown as Env;
const manyHeaders = Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`x-${i}`, "1"]));
const rule = (fields: object) => ({ url: URL, retry: { rules: [{ when: "true", do: "retry", ...fields }] } });

describe("POST /v1/tasks refuses", () => {
  test.each<[string, object, number, string, string]>([
    ["no url", {}, 400, "invalid_request", "url"],
    ["a list", [], 400, "invalid_request", ""],
    ["an unknown field", { url: URL, urll: 1 }, 400, "invalid_request", "urll"],
    ["an unknown field deep inside", rule({ wen: "x" }), 400, "invalid_request", "retry.rules[0].wen"],
    ["a wrong type", { url: URL, priority: "high" }, 400, "invalid_request", "priority"],
    ["an unknown method", { url: URL, method: "TRACE" }, 400, "invalid_request", "method"],
    ["a body with GET", { url: URL, method: "GET", body: {} }, 400, "invalid_request", "body"],
    ["two bodies", { url: URL, body: "a", body_base64: "YQ==" }, 400, "invalid_request", "body_base64"],
    ["bytes that are not base64", { url: URL, body_base64: "a" }, 400, "invalid_request", "body_base64"],
    ["a bad duration", { url: URL, timeout: "10 seconds" }, 400, "invalid_request", "timeout"],
    ["a negative duration", { url: URL, delay: -1 }, 400, "invalid_request", "delay"],
    ["a delay over 30 days", { url: URL, delay: "30d1ms" }, 400, "invalid_request", "delay"],
    [
      "a run_at over 30 days ahead",
      { url: URL, run_at: "2199-01-01T00:00:00Z" },
      400,
      "invalid_request",
      "run_at",
    ],
    [
      "a run_at without offset",
      { url: URL, run_at: "2026-11-23T10:00:00" },
      400,
      "invalid_request",
      "run_at",
    ],
    ["no attempts", { url: URL, retry: { max_attempts: 0 } }, 400, "invalid_request", "retry.max_attempts"],
    [
      "101 attempts",
      { url: URL, retry: { max_attempts: 101 } },
      400,
      "invalid_request",
      "retry.max_attempts",
    ],
    [
      "an expression that does not parse",
      rule({ when: "status ==" }),
      400,
      "invalid_request",
      "retry.rules[0].when",
    ],
    [
      "an expression of a wrong type",
      rule({ when: "status" }),
      400,
      "invalid_request",
      "retry.rules[0].when",
    ],
    [
      "an unknown name in an expression",
      { url: URL, retry: { conditions: ["statuss == 1"] } },
      400,
      "invalid_request",
      "retry.conditions[0]",
    ],
    ["a hold without until", rule({ do: "hold" }), 400, "invalid_request", "retry.rules[0].until"],
    [
      "a schedule without intervals",
      { url: URL, retry: { backoff: { strategy: "schedule" } } },
      400,
      "invalid_request",
      "retry.backoff.intervals",
    ],
    ["a relative URL", { url: "/x" }, 400, "invalid_request", "url"],
    ["another scheme", { url: "ftp://example.com/" }, 400, "invalid_request", "url"],
    ["userinfo", { url: "https://user:pw@example.com/" }, 400, "invalid_request", "url"],
    ["a private address", { url: "http://0x0a.1/" }, 400, "invalid_request", "url"],
    ["the metadata address", { url: "http://[::ffff:169.254.169.254]/" }, 400, "invalid_request", "url"],
    [
      "a refused callback",
      { url: URL, callback: { url: "http://10.1.2.3/" } },
      400,
      "invalid_request",
      "callback.url",
    ],
    ["a callback to nowhere", { url: URL, callback: {} }, 400, "invalid_request", "callback.url"],
    ["the header host", { url: URL, headers: { Host: "x" } }, 400, "invalid_request", "headers.Host"],
    [
      "the header content-length",
      { url: URL, headers: { "content-length": "1" } },
      400,
      "invalid_request",
      "headers.content-length",
    ],
    [
      "the header connection",
      { url: URL, headers: { connection: "close" } },
      400,
      "invalid_request",
      "headers.connection",
    ],
    [
      "a Redrive header",
      { url: URL, headers: { "Redrive-Attempt": "1" } },
      400,
      "invalid_request",
      "headers.Redrive-Attempt",
    ],
    [
      "a control character in a header",
      { url: URL, headers: { "x-a": "1\r\nx-b: 2" } },
      400,
      "invalid_request",
      "headers.x-a",
    ],
    ["65 headers", { url: URL, headers: manyHeaders }, 400, "invalid_request", "headers"],
    [
      "over 32 KB of headers",
      { url: URL, headers: { "x-a": "x".repeat(32_768) } },
      400,
      "invalid_request",
      "headers",
    ],
    ["17 labels", { url: URL, labels: Array(17).fill("a") }, 400, "invalid_request", "labels"],
    ["large metadata", { url: URL, metadata: { a: "x".repeat(8_192) } }, 400, "invalid_request", "metadata"],
    [
      "a key with a line break",
      { url: URL, idempotency_key: "a\nb" },
      400,
      "invalid_request",
      "idempotency_key",
    ],
    ["a long key", { url: URL, idempotency_key: "x".repeat(256) }, 400, "invalid_request", "idempotency_key"],
    ["a queue's name that is none", { url: URL, queue: "A B" }, 400, "invalid_request", "queue"],
    ["a queue that was never made", { url: URL, queue: "none" }, 404, "queue_not_found", "queue"],
    ["a body over 1 MB", { url: URL, body: "x".repeat(MAX_BODY_BYTES + 1) }, 413, "body_too_large", "body"],
  ])("%s", async (_, body, status, code, path) => {
    const refusal = await callProblem("POST", "/v1/tasks", { body });
    expect([refusal.status, refusal.problem.code]).toEqual([status, code]);
    expect(refusal.problem.errors?.map((error) => error.path)).toEqual([path]);
    expect(refusal.problem.errors?.[0]?.message).not.toBe("");
    expect(refusal.headers.get("content-type")).toBe("application/problem+json");
    expect(refusal.problem).toMatchObject({
      type: `urn:redrive:problem:${code}`,
      status,
      request_id: refusal.headers.get("x-request-id"),
    });
  });

  test("says what was expected and what came, with the position in an expression", async () => {
    const { problem } = await callProblem("POST", "/v1/tasks", { body: rule({ when: "status = 503" }) });
    expect(problem.errors?.[0]?.message).toMatch(/^at column \d+: /);
    const { problem: other } = await callProblem("POST", "/v1/tasks", {
      body: { url: URL, retry: { max_attempts: 0 } },
    });
    expect(other.detail).toBe("retry.max_attempts: expected at least 1, got 0");
  });

  test.each<[string, string, string, number, string]>([
    ["malformed JSON", "application/json", '{"url":', 400, "malformed_body"],
    ["an empty body", "application/json", "", 400, "malformed_body"],
    ["malformed YAML", "application/yaml", "url: [", 400, "malformed_body"],
    ["YAML with a custom tag", "application/yaml", "url: !!js/function x", 400, "malformed_body"],
    [
      "deep nesting",
      "application/json",
      `{"body":${"[".repeat(50_000)}${"]".repeat(50_000)}}`,
      400,
      "invalid_request",
    ],
    ["a number beyond JSON", "application/json", `{"url":"${URL}","priority":1e999}`, 400, "invalid_request"],
    ["another content type", "text/plain", "{}", 415, "unsupported_media_type"],
    ["a form", "application/x-www-form-urlencoded", "url=x", 415, "unsupported_media_type"],
    [
      "a request over its limit",
      "application/json",
      `"${"x".repeat(MAX_TASK_BYTES)}"`,
      413,
      "body_too_large",
    ],
    ["YAML over its limit", "application/yaml", `a: ${"x".repeat(65_536)}`, 413, "body_too_large"],
  ])("%s", async (_, type, body, status, code) => {
    const refusal = await callProblem("POST", "/v1/tasks", { body, headers: { "content-type": type } });
    expect([refusal.status, refusal.problem.code]).toEqual([status, code]);
  });

  test("malformed JSON with its place", async () => {
    const { problem } = await callProblem("POST", "/v1/tasks", { body: '{\n  "url": x}' });
    expect(problem.detail).toBe("expected JSON, got something else at line 2 column 10 (position 11)");
  });

  test("nothing of a pollution, which stays in the task's own body", async () => {
    const body = `{"url":"${URL}","delay":"1h","__proto__":{"polluted":1}}`;
    expect((await callProblem("POST", "/v1/tasks", { body })).problem.errors?.[0]?.path).toBe("__proto__");
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });
});

describe("POST /v1/tasks/batch refuses", () => {
  test.each<[string, unknown, number, string, string]>([
    ["no tasks", { tasks: [] }, 400, "invalid_request", "tasks"],
    ["1,001 tasks", { tasks: Array(1_001).fill({}) }, 400, "invalid_request", "tasks"],
    ["a list", [], 400, "invalid_request", ""],
    ["an unknown field", { tasks: [1], queue: "x" }, 400, "invalid_request", "queue"],
  ])("%s", async (_, body, status, code, path) => {
    const { status: came, problem } = await callProblem("POST", "/v1/tasks/batch", { body });
    expect([came, problem.code, problem.errors?.[0]?.path]).toEqual([status, code, path]);
  });

  test("over 8 MB", async () => {
    const { status, problem } = await callProblem("POST", "/v1/tasks/batch", {
      body: `"${"x".repeat(MAX_BATCH_BYTES)}"`,
    });
    expect([status, problem.code]).toEqual([413, "body_too_large"]);
  });

  test("a key for all of them", async () => {
    const options = { body: { tasks: [{ url: URL }] }, headers: { "idempotency-key": "a" } };
    expect((await callProblem("POST", "/v1/tasks/batch", options)).problem.code).toBe("invalid_request");
  });

  test("YAML", async () => {
    const options = { body: "tasks: []", headers: { "content-type": "application/yaml" } };
    expect((await callProblem("POST", "/v1/tasks/batch", options)).status).toBe(415);
  });
});

describe("a query parameter that comes twice", () => {
  test.each([
    ["GET", "/v1/tasks?limit=1&limit=2", ["limit"]],
    ["GET", "/v1/tasks?state=pending&label=a&label=a", ["label"]],
    ["GET", "/v1/breakers?limit=1&%6Cimit=1", ["limit"]],
    ["POST", "/v1/tasks/none/retry?force=false&force=true", ["force"]],
    ["DELETE", "/v1/queues/none?force=true&force", ["force"]],
    ["GET", "/sandbox/target?script=200&script=503", ["script"]],
    ["GET", "/v1/queues?a=1&a=2&b=1&b=2", ["a", "b"]],
  ])("is refused by %s %s", async (method, path, names) => {
    const { status, problem } = await callProblem(method, path);
    expect(status).toBe(400);
    const message = "expected the query parameter once, got it again";
    expect(problem.errors).toEqual(names.map((name) => ({ path: name, message })));
  });
});

describe("routes", () => {
  const documented = ROUTES.map(({ method, path }) => `${method} ${path}`);

  test("are documented, every one", () => {
    const internal = ["GET /", "GET /docs/app.js"];
    const served = createApp()
      .routes.filter(({ method, path }) => method !== "ALL" && !path.startsWith("/sandbox"))
      .map(({ method, path }) => `${method} ${path.replace(/:(\w+)/g, "{$1}")}`);
    expect([...new Set(served)].filter((route) => !internal.includes(route)).sort()).toEqual(
      documented.toSorted(),
    );
  });

  test.each(ROUTES.map(({ method, path }) => [method, path] as const))(
    "%s %s answers",
    async (method, path) => {
      const given = path.replace("{id}", "none").replace("{name}", "none").replace("{key}", "none");
      const response = await call(method, given, { ...(method !== "GET" && { body: {} }) });
      const text = await response.text();
      expect(response.status).toBeLessThan(500);
      expect(response.status).not.toBe(405);
      expect(text).not.toContain('"code":"not_found"');
      expect(response.headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
    },
  );

  test.each([
    ["DELETE", "/v1/tasks", "GET, HEAD, POST"],
    ["POST", "/v1/tasks/tsk_1", "GET, HEAD"],
    ["GET", "/v1/tasks/tsk_1/cancel", "POST"],
    ["PATCH", "/v1/queues/a", "DELETE, GET, HEAD, PUT"],
    ["POST", "/healthz", "GET, HEAD"],
  ])("%s %s answers 405 with Allow", async (method, path, allow) => {
    const { status, headers, problem } = await callProblem(method, path);
    expect([status, problem.code, headers.get("allow")]).toEqual([405, "method_not_allowed", allow]);
  });

  test.each(["/v1", "/v1/", "/v1/task", "/nothing", "/v1/tasks/a/b/c", "/v1/tasks/"])(
    "%s answers 404",
    async (path) => {
      const { status, problem } = await callProblem("GET", path);
      expect([status, problem.code]).toEqual([404, "not_found"]);
    },
  );

  test("answer HEAD as GET without a body", async () => {
    const response = await call("HEAD", "/v1/queues/default");
    expect(response.status).toBe(200);
    expect(await response.text()).toBe("");
  });

  test("lead from / to the reference", async () => {
    const response = await call("GET", "/", { key: null });
    expect([response.status, response.headers.get("location")]).toEqual([302, "/docs"]);
    const page = await call("GET", "/docs", { key: null });
    expect(page.headers.get("content-security-policy")).toContain("script-src 'self'");
    expect(await page.text()).toContain("Redrive API");
  });

  test("serve the sandbox where it is on only", async () => {
    expect((await call("GET", "/sandbox/inbox")).status).toBe(200);
    expect((await call("GET", "/sandbox/inbox", { key: null })).status).toBe(401);
    const off = { ...env, REDRIVE_SANDBOX: "" };
    expect((await createApp().request("/sandbox/inbox", {}, off)).status).toBe(404);
  });

  test("say what is wrong with a setting", async () => {
    const wrong = { ...env, REDRIVE_ALLOW_TARGETS: "everything" };
    const response = await createApp().request("/readyz", {}, wrong);
    expect(response.status).toBe(503);
    expect(await response.text()).toContain("REDRIVE_ALLOW_TARGETS");
  });
});
