import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { ROUTES } from "../../src/api/routes.ts";
import { call, callJson, stubTargets, submitTask } from "../support/workers/api.ts";

const FIELDS = [
  "url", "method", "headers", "body", "body_base64", "queue", "idempotency_key", "delay", "run_at", "priority", "timeout",
  "retry", "labels", "metadata", "callback", "tasks", "max_attempts", "backoff", "rules", "conditions", "when", "do",
  "until", "probe", "shards", "concurrency", "retention", "name", "scopes", "queues", "__proto__", "constructor",
]; // biome-ignore format: a list of words
const WORDS = [
  "https://api.example.com/x",
  "status == 503",
  "1h",
  "hold",
  "signal",
  "retry",
  "POST",
  "a",
  "admin",
  "\u0000",
  "\ud800",
];

/** JSON that is wrong in interesting ways: known names and near-right values in places where they do not belong. */
const nearJson = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 5 },
    fc.constantFrom<unknown>(...WORDS, null, true, 0, -1, 1.5, 1e21, ""),
    fc.jsonValue({ maxDepth: 1 }),
    fc.array(tie("value"), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom(...FIELDS), tie("value"), { maxKeys: 6, noNullPrototype: true }),
  ),
})).value;

const rawText = fc.oneof(
  fc.string(),
  fc.constantFrom("{", "[1,", "\ufeff{}", "nul", "a: &a [*a]", "? x", "%YAML 9\n---"),
);
const type = fc.constantFrom(
  "application/json",
  "application/json",
  "application/json",
  "application/yaml",
  "text/plain",
  "",
);

let ids: string[];

beforeAll(async () => {
  stubTargets(() => new Response(null, { status: 204 }));
  await call("PUT", "/v1/queues/fuzzed", { body: { shards: 1 } });
  await call("POST", "/v1/queues/fuzzed/pause");
  const { json } = await callJson<{ id: string }>("POST", "/v1/keys", {
    body: { name: "fuzzed", scopes: ["read"] },
  });
  ids = [
    (await submitTask({ url: "https://api.example.com/", queue: "fuzzed" })).id,
    json.id,
    "nonsense",
    "\u0000",
  ];
});

afterAll(() => {
  vi.unstubAllGlobals();
});

describe("random requests", () => {
  test("never make any route fail", async () => {
    const request = fc.record({
      route: fc.constantFrom(...ROUTES),
      name: fc.constantFrom("fuzzed", "none", "%", "..", "A B"),
      pick: fc.nat(3),
      body: fc.oneof(
        { weight: 4, arbitrary: nearJson.map((value) => JSON.stringify(value)) },
        { weight: 1, arbitrary: rawText },
      ),
      type,
      query: fc.oneof(
        { weight: 3, arbitrary: fc.constant("") },
        { weight: 1, arbitrary: fc.webQueryParameters().map((query) => `?${query}`) },
      ),
      key: fc.option(fc.string({ unit: "grapheme-ascii", maxLength: 20 }), { freq: 8 }),
    });
    await fc.assert(
      fc.asyncProperty(request, async ({ route, name, pick, body, type: contentType, query, key }) => {
        const path = route.path
          .replace("{name}", encodeURIComponent(name))
          .replace("{id}", encodeURIComponent(ids[pick] ?? "none"));
        const headers: Record<string, string> = { "content-type": contentType };
        if (key !== null) headers["idempotency-key"] = key;
        const hasBody = route.method !== "GET";
        const response = await call(route.method, path + query, { headers, ...(hasBody && { body }) });
        await response.arrayBuffer();
        expect(response.status).toBeLessThan(500);
        expect(response.headers.has("x-request-id")).toBe(true);
      }),
      { numRuns: 300 },
    );
  }, 60_000);

  test("never make a submit fail, whatever one field holds", async () => {
    const task = fc
      .record({ field: fc.constantFrom(...FIELDS), value: nearJson })
      .map(({ field, value }) => ({
        url: "https://api.example.com/",
        queue: "fuzzed",
        delay: "1h",
        [field]: value,
      }));
    await fc.assert(
      fc.asyncProperty(task, async (body) => {
        const response = await call("POST", "/v1/tasks", { body });
        await response.arrayBuffer();
        expect(response.status).toBeLessThan(500);
      }),
      { numRuns: 300 },
    );
  }, 60_000);
});
