import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { env as rawEnv } from "cloudflare:workers";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { createApp } from "../../src/api/app.ts";
import { ROUTES } from "../../src/api/routes.ts";
import { makeApiKey } from "../../src/core/text/api-key.ts";
import type { Env } from "../../src/platform/env.ts";
import type { Scope } from "../../src/schema/key.ts";
import type { Problem } from "../../src/schema/problem.ts";
import type { QueueView } from "../../src/schema/queue.ts";
import type { TaskList } from "../../src/schema/task.ts";
import { call, callJson, callProblem, makeRequest, submitTask } from "../support/workers/api.ts";

const URL = "https://api.example.com/x";
const env = rawEnv as unknown as Env;

async function makeKey(scopes: Scope[], queues?: string[]): Promise<{ id: string; key: string }> {
  const body = { name: "test", scopes, ...(queues && { queues }) };
  const { status, json } = await callJson<{ id: string; key: string }>("POST", "/v1/keys", { body });
  expect(status).toBe(201);
  return json;
}

/** A path of the route with something in place of its parameters. */
const pathOf = (path: string) =>
  path.replace("{id}", "none").replace("{name}", "none").replace("{key}", "none");
const keyed = ROUTES.filter(({ scope }) => scope !== null);

describe("authentication", () => {
  test.each(keyed.map(({ method, path }) => [method, path]))("%s %s asks for a key", async (method, path) => {
    const { status, headers, problem } = await callProblem(method, pathOf(path), { key: null });
    expect([status, problem.code]).toEqual([401, "unauthorized"]);
    expect(headers.get("www-authenticate")).toBe("Bearer");
  });

  test("takes the scheme in any case", async () => {
    const headers = { authorization: "bearer root-key-for-tests" };
    expect((await call("GET", "/v1/queues", { headers })).status).toBe(200);
  });

  test.each([
    ["another key", "Bearer root-key-for-test"],
    ["another scheme", "Basic root-key-for-tests"],
    ["a key that differs in its first character", "Bearer soot-key-for-tests"],
    ["a key that differs in its last character", "Bearer root-key-for-testz"],
    ["a key that differs in its case", "Bearer root-key-for-testS"],
    ["a part of the key", "Bearer root-key-for-test"],
    ["the key and more", "Bearer root-key-for-testss"],
    ["the key twice", "Bearer root-key-for-testsroot-key-for-tests"],
    ["a key of a wrong checksum", `Bearer ${makeApiKey(new Uint8Array(44)).text.slice(0, -1)}x`],
    ["a key that was never made", `Bearer ${makeApiKey(new Uint8Array(44).fill(7)).text}`],
  ])("refuses %s", async (_, authorization) => {
    expect((await callProblem("GET", "/v1/queues", { headers: { authorization } })).status).toBe(401);
  });

  test("refuses another key under the id of one that exists", async () => {
    const { id, key } = await makeKey(["read"]);
    const random = new Uint8Array(44).fill(9);
    const alphabet = "0123456789abcdefghjkmnpqrstvwxyz";
    random.set(Array.from(id, (character) => alphabet.indexOf(character)));
    const forged = makeApiKey(random);
    expect(forged.id).toBe(id);
    expect((await call("GET", "/v1/queues", { key })).status).toBe(200);
    expect((await call("GET", "/v1/queues", { key: forged.text })).status).toBe(401);
  });

  test.each(keyed.map(({ method, path }) => [method, path]))(
    "%s %s answers 503 where no key is configured",
    async (method, path) => {
      const ctx = createExecutionContext();
      const bare = { ...env, REDRIVE_API_KEY: "" };
      const response = await createApp().fetch(makeRequest(method, pathOf(path)), bare, ctx);
      await waitOnExecutionContext(ctx);
      expect(response.status).toBe(503);
      expect((await response.json<Problem>()).code).toBe("not_configured");
    },
  );

  test.each(["/healthz", "/readyz", "/openapi.json", "/docs", "/docs/app.js"])(
    "%s needs none",
    async (path) => {
      expect((await call("GET", path, { key: null })).status).toBe(200);
    },
  );
});

describe("scopes", () => {
  let keyByScope: Record<Scope, string>;

  beforeAll(async () => {
    const scopes: Scope[] = ["submit", "read", "operate", "admin"];
    const made = await Promise.all(
      scopes.map(async (scope) => [scope, (await makeKey([scope])).key] as const),
    );
    keyByScope = Object.fromEntries(made) as Record<Scope, string>;
  });

  test.each(keyed.map((route) => [route.method, route.path, route.scope as Scope] as const))(
    "%s %s needs %s",
    async (method, path, scope) => {
      for (const [held, key] of Object.entries(keyByScope)) {
        const { status, problem } = await callProblem(method, pathOf(path), {
          key,
          ...(method !== "GET" && { body: {} }),
        });
        if (held === scope || held === "admin") expect(status).not.toBe(403);
        else expect([status, problem.detail]).toEqual([403, `the API key lacks the scope "${scope}"`]);
      }
    },
  );
});

describe("a key for some queues", () => {
  let key: string;
  let hidden: string;

  beforeAll(async () => {
    for (const name of ["seen", "hidden"]) await call("PUT", `/v1/queues/${name}`, { body: { shards: 1 } });
    ({ key } = await makeKey(["admin"], ["seen"]));
    ({ id: hidden } = await submitTask({ url: URL, queue: "hidden", delay: "1h" }));
  });

  test("works for these", async () => {
    const { id } = await submitTask({ url: URL, queue: "seen", delay: "1h" }, { key });
    expect((await call("GET", `/v1/tasks/${id}`, { key })).status).toBe(200);
    expect((await call("GET", "/v1/queues/seen", { key })).status).toBe(200);
    expect((await call("PUT", "/v1/queues/seen", { key, body: {} })).status).toBe(200);
  });

  test("lists only their tasks and settings", async () => {
    const tasks = await callJson<TaskList>("GET", "/v1/tasks", { key });
    expect(new Set(tasks.json.tasks.map(({ queue }) => queue))).toEqual(new Set(["seen"]));
    const queues = await callJson<{ queues: QueueView[] }>("GET", "/v1/queues", { key });
    expect(queues.json.queues.map(({ name }) => name)).toEqual(["seen"]);
  });

  test.each([
    ["GET", "/v1/queues/hidden"],
    ["PUT", "/v1/queues/hidden"],
    ["PUT", "/v1/queues/new"],
    ["DELETE", "/v1/queues/hidden"],
    ["POST", "/v1/queues/hidden/pause"],
    ["POST", "/v1/queues/hidden/rotate-secret"],
    ["GET", "/v1/tasks?queue=hidden"],
  ])("sees nothing at %s %s", async (method, path) => {
    const body = method === "PUT" ? { body: {} } : {};
    expect((await callProblem(method, path, { key, ...body })).problem.code).toBe("queue_not_found");
  });

  test("sees no task of another queue, and hands none in", async () => {
    for (const [method, action] of [
      ["GET", ""],
      ["POST", "/cancel"],
      ["POST", "/retry"],
      ["POST", "/resume"],
    ] as const) {
      expect((await callProblem(method, `/v1/tasks/${hidden}${action}`, { key })).problem.code).toBe(
        "task_not_found",
      );
    }
    const body = { url: URL, queue: "hidden" };
    expect((await callProblem("POST", "/v1/tasks", { key, body })).problem.code).toBe("queue_not_found");
  });

  test("makes and lists no keys", async () => {
    const body = { name: "more", scopes: ["admin"] };
    expect((await callProblem("POST", "/v1/keys", { key, body })).status).toBe(403);
    expect((await callProblem("GET", "/v1/keys", { key })).status).toBe(403);
  });
});

describe("/v1/keys", () => {
  test("shows a key once", async () => {
    const { id, key } = await makeKey(["submit"]);
    const listed = await call("GET", "/v1/keys");
    const text = await listed.text();
    expect(text).toContain(id);
    expect(text).not.toContain(key);
    expect(text).not.toContain("hash");
  });

  test("revokes a key", async () => {
    const { id, key } = await makeKey(["read"]);
    expect((await call("GET", "/v1/queues", { key })).status).toBe(200);
    expect((await call("DELETE", `/v1/keys/${id}`)).status).toBe(204);
    expect((await call("GET", "/v1/queues", { key })).status).toBe(401);
    expect((await callProblem("DELETE", `/v1/keys/${id}`)).problem.code).toBe("key_not_found");
  });

  test("stops a key within ten seconds where another isolate revoked it", async () => {
    const { id, key } = await makeKey(["read"]);
    expect((await call("GET", "/v1/queues", { key })).status).toBe(200);
    const catalog = env.CATALOG.getByName("catalog") as unknown as {
      revokeKey(id: string): Promise<unknown>;
    };
    await catalog.revokeKey(id);
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 10_000 });
    try {
      expect((await call("GET", "/v1/queues", { key })).status).toBe(401);
    } finally {
      vi.useRealTimers();
    }
  });

  test.each<[object, string]>([
    [{ scopes: ["read"] }, "name"],
    [{ name: "", scopes: ["read"] }, "name"],
    [{ name: "a", scopes: [] }, "scopes"],
    [{ name: "a", scopes: ["root"] }, "scopes[0]"],
    [{ name: "a", scopes: ["read"], queues: [] }, "queues"],
    [{ name: "a", scopes: ["read"], queues: ["No"] }, "queues[0]"],
  ])("refuses %j", async (body, path) => {
    const { status, problem } = await callProblem("POST", "/v1/keys", { body });
    expect([status, problem.code, problem.errors?.[0]?.path]).toEqual([400, "invalid_request", path]);
  });
});
