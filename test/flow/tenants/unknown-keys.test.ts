import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { API_KEY_BYTES, makeApiKey } from "../../../src/core/text/api-key.ts";
import { startServer, type TestServer } from "../../support/server/server.ts";

let server: TestServer;

beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.stop());

test("a key is taken at its first use and after it, whatever made-up ones come beside it", async () => {
  const flood = () =>
    Array.from({ length: 300 }, () => statusWith(makeApiKey(randomBytes(API_KEY_BYTES)).text));
  const first = flood();
  const { key } = await post<{ key: string }>("/v1/keys", { name: "shop", scopes: ["read"] });
  expect(await statusWith(key)).toBe(200);
  const second = flood();
  expect(await statusWith(key)).toBe(200);

  expect(new Set(await Promise.all([...first, ...second]))).toEqual(new Set([401]));
});

test("ids of tasks do not tell how many queues there are", async () => {
  const suffixes: string[] = [];
  for (const queue of ["tenant-a", "tenant-b", "tenant-c"]) {
    await post(`/v1/queues/${queue}`, {}, "PUT");
    const { id } = await post<{ id: string }>("/v1/tasks", { url: `${server.url}/sandbox/target`, queue });
    suffixes.push(id.slice("tsk_".length + 24));
  }

  for (const suffix of suffixes) expect(suffix).toMatch(/^[1-9A-Z][0-9A-Z]{6}$/);
  expect(new Set(suffixes.map((suffix) => suffix.slice(0, 4))).size).toBe(3);
});

async function statusWith(key: string): Promise<number> {
  return (await fetch(`${server.url}/v1/tasks`, { headers: { authorization: `Bearer ${key}` } })).status;
}

async function post<T>(path: string, body: object, method = "POST"): Promise<T> {
  const response = await fetch(`${server.url}${path}`, {
    method,
    headers: { authorization: `Bearer ${server.apiKey}`, "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  expect(response.ok).toBe(true);
  return (await response.json()) as T;
}
