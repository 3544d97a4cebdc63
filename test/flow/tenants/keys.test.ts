import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { KeyRequest } from "../../../src/schema/key.ts";
import { ask, openWorld, type World } from "../../support/server/stories.ts";

let world: World;

beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.stop());

async function makeKey(request: Omit<KeyRequest, "name">): Promise<{ id: string; key: string }> {
  const answer = await ask(world.server, "POST", "/v1/keys", { body: { name: "of a test", ...request } });
  expect(answer.status).toBe(201);
  return answer.body;
}

/** The status of a call of each scope's kind. */
async function mayDo(key: string): Promise<Record<string, number>> {
  const { id } = await world.client.submit({ url: world.place().url, delay: "1h" });
  const calls: [string, string, string, unknown?][] = [
    ["submit", "POST", "/v1/tasks", { url: world.place().url }],
    ["read", "GET", `/v1/tasks/${id}`],
    ["operate", "POST", `/v1/tasks/${id}/cancel`],
    ["admin", "PUT", "/v1/queues/made-by-key", {}],
  ];
  const answers = await Promise.all(
    calls.map(async ([scope, method, path, body]) => [
      scope,
      (await ask(world.server, method, path, { body, key })).status,
    ]),
  );
  return Object.fromEntries(answers);
}

describe.concurrent("an API key", () => {
  test.for([
    ["submit", { submit: 202, read: 403, operate: 403, admin: 403 }],
    ["read", { submit: 403, read: 200, operate: 403, admin: 403 }],
    ["operate", { submit: 403, read: 403, operate: 200, admin: 403 }],
    ["admin", { submit: 202, read: 200, operate: 200, admin: expect.any(Number) }],
  ] as const)("with the scope %s may do that and nothing else", async ([scope, expected]) => {
    const { key } = await makeKey({ scopes: [scope] });
    const may = await mayDo(key);

    expect(may).toEqual(expected);
    if (scope === "admin") expect([200, 201]).toContain(may.admin);
  });

  test("that lacks a scope gets a problem that names it", async () => {
    const { key } = await makeKey({ scopes: ["submit"] });
    const answer = await ask(world.server, "GET", "/v1/tasks", { key });

    expect(answer.headers.get("content-type")).toBe("application/problem+json");
    expect(answer).toMatchObject({
      status: 403,
      body: { code: "forbidden", detail: expect.stringContaining("read"), request_id: expect.any(String) },
    });
  });

  test("that is wrong, made up or missing is no key", async () => {
    const { key } = await makeKey({ scopes: ["admin"] });
    for (const wrong of [
      `${key.slice(0, -1)}${key.endsWith("a") ? "b" : "a"}`,
      "root",
      `${world.server.apiKey}x`,
    ]) {
      const answer = await ask(world.server, "GET", "/v1/tasks", { key: wrong });
      expect(answer).toMatchObject({ status: 401, body: { code: "unauthorized" } });
    }
    const none = await fetch(`${world.server.url}/v1/tasks`);
    expect([none.status, none.headers.get("www-authenticate")]).toEqual([401, "Bearer"]);
  });

  test("for some queues sees no other queue, nor its tasks", async () => {
    const [own, other] = [await world.makeQueue(), await world.makeQueue()];
    const { key } = await makeKey({ scopes: ["submit", "read", "operate"], queues: [own] });
    const hidden = await world.client.submit({ url: world.place().url, queue: other, delay: "1h" });
    const submitTo = (queue: string) =>
      ask(world.server, "POST", "/v1/tasks", { body: { url: world.place().url, queue }, key });
    const read = await ask(world.server, "GET", `/v1/tasks/${hidden.id}`, { key });
    const cancel = await ask(world.server, "POST", `/v1/tasks/${hidden.id}/cancel`, { key });
    const queues = await ask(world.server, "GET", "/v1/queues", { key });
    const list = await ask(world.server, "GET", `/v1/tasks?queue=${other}`, { key });

    expect((await submitTo(own)).status).toBe(202);
    expect(await submitTo(other)).toMatchObject({ status: 404, body: { code: "queue_not_found" } });
    expect(await submitTo("default")).toMatchObject({ status: 404, body: { code: "queue_not_found" } });
    for (const answer of [read, cancel]) {
      expect(answer).toMatchObject({ status: 404, body: { code: "task_not_found" } });
    }
    expect(list).toMatchObject({ status: 404, body: { code: "queue_not_found" } });
    expect(queues.body.queues.map(({ name }: { name: string }) => name)).toEqual([own]);
    expect((await world.client.get(hidden.id)).state).toBe("pending");
  });

  test("for some queues makes no keys, whatever its scopes", async () => {
    const { key } = await makeKey({ scopes: ["admin"], queues: ["default"] });
    const answer = await ask(world.server, "POST", "/v1/keys", {
      body: { name: "more", scopes: ["admin"] },
      key,
    });

    expect(answer).toMatchObject({ status: 403, body: { code: "forbidden" } });
  });

  test("is shown once, listed without itself, and ends with its revocation", async () => {
    const { id, key } = await makeKey({ scopes: ["read"] });
    const before = await ask(world.server, "GET", "/v1/tasks", { key });
    const list = await ask(world.server, "GET", "/v1/keys");
    const revoked = await ask(world.server, "DELETE", `/v1/keys/${id}`);
    const after = await ask(world.server, "GET", "/v1/tasks", { key });

    expect(before.status).toBe(200);
    expect(list.body.keys).toContainEqual(
      expect.objectContaining({ id, name: "of a test", scopes: ["read"] }),
    );
    expect(JSON.stringify(list.body)).not.toContain(key);
    expect([revoked.status, after.status]).toEqual([204, 401]);
    expect((await ask(world.server, "DELETE", `/v1/keys/${id}`)).status).toBe(404);
  });
});
