import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { env as rawEnv } from "cloudflare:workers";
import { afterEach, describe, expect, test, vi } from "vitest";
import { createApp } from "../../src/api/app.ts";
import type { Env } from "../../src/platform/env.ts";
import type { Problem } from "../../src/schema/problem.ts";
import type { TaskAccepted } from "../../src/schema/task.ts";
import { makeRequest } from "../support/workers/api.ts";

const env = rawEnv as unknown as Env;
const TARGET = "https://api.example.com/as-written";
const WRITTEN =
  '{ "id": 12345678901234567890, "price": 1.10,\n"10": 1, "2": 2, "id": 1e400, "__proto__": {"é": "\\u00e9"} }';
const METADATA = '{"order":9007199254740993,"total":1.10,"__proto__":{"a":1}}';

async function ask(method: string, path: string, text?: string, type = "application/json") {
  const ctx = createExecutionContext();
  const { headers } = makeRequest(method, path, {});
  headers.set("content-type", type);
  const request = new Request(`https://redrive.example.com${path}`, { method, headers, body: text ?? null });
  const response = await createApp().fetch(request, env, ctx);
  const answer = await response.text();
  await waitOnExecutionContext(ctx);
  return { status: response.status, headers: response.headers, text: answer, json: JSON.parse(answer) };
}

/** The bodies that the target got. */
function stubTarget(): string[] {
  const bodies: string[] = [];
  const target = async (input: RequestInfo | URL, init?: RequestInit) => {
    bodies.push(await new Request(input, init).text());
    return new Response(null, { status: 204 });
  };
  vi.stubGlobal("fetch", target);
  return bodies;
}

afterEach(() => {
  vi.unstubAllGlobals();
});

describe("a JSON body", () => {
  test("reaches the target byte for byte as it was written", async () => {
    const bodies = stubTarget();
    expect((await ask("POST", "/v1/tasks", `{"url":"${TARGET}","body": ${WRITTEN} }`)).status).toBe(202);
    expect(bodies).toEqual([WRITTEN]);
  });

  test("does so from a batch", async () => {
    const bodies = stubTarget();
    const batch = `{ "tasks": [{"body":1.0,"url":"${TARGET}"} , {"url":"${TARGET}","body":${WRITTEN}}] }`;
    expect((await ask("POST", "/v1/tasks/batch", batch)).status).toBe(202);
    expect(bodies.sort()).toEqual(["1.0", WRITTEN].sort());
  });

  test("conflicts under the same key with one that differs only beyond a double", async () => {
    stubTarget();
    const key = crypto.randomUUID();
    const submit = (body: string) =>
      ask("POST", "/v1/tasks", `{"url":"${TARGET}","idempotency_key":"${key}","body":${body}}`);
    expect((await submit('{"id":9007199254740992}')).status).toBe(202);
    expect((await submit('{"id":9007199254740993}')).json).toMatchObject({ code: "idempotency_conflict" });
    expect((await submit('{ "id": 9007199254740992 }')).json).toMatchObject({ duplicate: true });
  });

  test("of null is none with GET", async () => {
    const bodies = stubTarget();
    expect((await ask("POST", "/v1/tasks", `{"url":"${TARGET}","method":"GET","body":null}`)).status).toBe(
      202,
    );
    expect(bodies).toEqual([""]);
  });

  test("from YAML is refused where it cannot be kept", async () => {
    const yaml = `url: ${TARGET}\nbody:\n  ids: [1, 9007199254740993]\n`;
    const { status, json } = await ask("POST", "/v1/tasks", yaml, "application/yaml");
    expect(status).toBe(400);
    expect((json as Problem).errors?.[0]?.path).toBe("body.ids[1]");
  });
});

describe("metadata", () => {
  test("is given back as it was written", async () => {
    stubTarget();
    const label = crypto.randomUUID();
    const task = `{"url":"${TARGET}","labels":["${label}"],"metadata":${METADATA}}`;
    const { id } = (await ask("POST", "/v1/tasks", task)).json as TaskAccepted;
    const shown = await ask("GET", `/v1/tasks/${id}`);
    expect(shown.text).toContain(`"metadata":${METADATA},`);
    expect(shown.json).not.toHaveProperty("metadataText");
    expect((await ask("GET", `/v1/tasks?label=${label}`)).text).toContain(`"metadata":${METADATA},`);
  });

  test("counts by its length as written", async () => {
    const { json } = await ask(
      "POST",
      "/v1/tasks",
      `{"url":"${TARGET}","metadata":{"a":0.${"0".repeat(70_000)}}}`,
    );
    expect((json as Problem).errors?.[0]).toMatchObject({ path: "metadata" });
  });
});

describe("what would be lost without a word", () => {
  test.each([
    ['{"url":"u","url":"v"}', "url"],
    ['{"url":"u","headers":{"a":"1","a":"2"}}', "headers.a"],
    ['{"url":"u","headers":{"__proto__":"1"}}', "headers.__proto__"],
    ['{"url":"u","callback":{"headers":{"__proto__":"1"}}}', "callback.headers.__proto__"],
  ])("is refused: %s", async (text, path) => {
    const { status, json } = await ask("POST", "/v1/tasks", text);
    expect(status).toBe(400);
    expect((json as Problem).errors?.[0]?.path).toBe(path);
  });

  test("is refused in a queue's settings", async () => {
    const { json } = await ask("PUT", "/v1/queues/q1", '{"callback":{"headers":{"__proto__":"1"}}}');
    expect((json as Problem).errors?.[0]?.path).toBe("callback.headers.__proto__");
  });
});

test.each(["/healthz", "/v1/tasks", "/v1/tasks/tsk_none", "/nowhere", "/openapi.json", "/docs/app.js"])(
  "%s is answered with no-store and nosniff",
  async (path) => {
    const ctx = createExecutionContext();
    const response = await createApp().fetch(makeRequest("GET", path, {}), env, ctx);
    expect(response.headers.get("cache-control")).toBe("no-store");
    expect(response.headers.get("x-content-type-options")).toBe("nosniff");
    await response.text();
  },
);
