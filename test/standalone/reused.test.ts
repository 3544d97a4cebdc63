import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { RedriveClient, TaskRequestInput, TaskView } from "../../src/client/index.ts";
import { type RawTarget, raw, startRawTarget } from "../support/server/raw-target.ts";
import { startServer, type TestServer } from "../support/server/server.ts";
import { ask, clientOf, taskWhen } from "../support/server/stories.ts";

const OK = raw("HTTP/1.1 200 OK\nContent-Length: 0");
const RETRY = {
  max_attempts: 3,
  backoff: { strategy: "fixed", initial_interval: "50ms", jitter: "none" },
} as const;

let server: TestServer;
let client: RedriveClient;
const targets: RawTarget[] = [];

beforeAll(async () => {
  server = await startServer();
  client = clientOf(server);
});
afterAll(async () => {
  await Promise.all([server?.stop(), ...targets.map((target) => target.stop())]);
});

/** A target that answers the first request of each connection, and closes it at the second without a byte. */
async function closesAtTheSecond(how: "FIN" | "RST"): Promise<RawTarget> {
  const target = await startRawTarget(({ number }) => (number === 1 ? OK : [how]));
  targets.push(target);
  return target;
}

/** A task after one that has left a connection: how many attempts it took, and what the target saw of it. */
async function secondTask(target: RawTarget, task: Omit<TaskRequestInput, "url">) {
  const first = await client.submit({ url: `${target.url}first`, method: "GET" });
  await taskWhen(client, first.id, ({ state }) => state === "succeeded");
  // Not by the client, which gives every task a key.
  const given = { url: `${target.url}second`, retry: RETRY, ...task };
  const { body } = await ask(server, "POST", "/v1/tasks", { body: given });
  const { attempts } = await taskWhen(client, body.id as string, isOver);
  const calls = target.calls.filter(({ text }) => / \/second /.test(text) && !text.startsWith("OPTIONS"));
  return { attempts: attempts.map(({ error_type }) => error_type), calls };
}

const isOver = ({ state }: TaskView) => state === "succeeded" || state === "failed";

describe.each(["FIN", "RST"] as const)("where a kept connection ends by %s when the call comes", (how) => {
  test.each([
    ["a PUT with a body", { method: "PUT", body: { a: 1 } }],
    ["a POST with a key of its own", { method: "POST", body: { a: 1 }, idempotency_key: `order-7-${how}` }],
    ["a GET, by workerd itself,", { method: "GET" }],
    ["a DELETE, by workerd itself,", { method: "DELETE" }],
  ] as const)("%s is sent again whole, as the same attempt", async (_, task) => {
    const target = await closesAtTheSecond(how);

    const { attempts, calls } = await secondTask(target, task);

    expect(attempts).toEqual([null]);
    expect(calls.map(({ connection, number }) => [connection, number])).toEqual([
      [1, 2],
      [2, 1],
    ]);
    expect(calls[1]?.text).toBe(calls[0]?.text);
  });

  test("a POST without a key of its own uses an attempt", async () => {
    const target = await closesAtTheSecond(how);

    const { attempts, calls } = await secondTask(target, { method: "POST", body: { a: 1 } });

    expect(attempts).toEqual(["reset", null]);
    expect(calls).toHaveLength(2);
  });

  test("a POST that may be tried once only is sent once", async () => {
    const target = await closesAtTheSecond(how);
    const once = {
      method: "POST",
      body: { a: 1 },
      idempotency_key: `order-8-${how}`,
      retry: { max_attempts: 1 },
    } as const;

    const { attempts, calls } = await secondTask(target, once);

    expect(attempts).toEqual(["reset"]);
    expect(calls).toHaveLength(1);
  });
});

test.each([
  ["with a body", { method: "PUT", body: { a: 1 } }],
  ["without one", { method: "GET" }],
] as const)("a call %s that is lost on the new connection too is not sent a third time", async (_, task) => {
  const target = await startRawTarget(({ text }) => (text.includes(" /first ") ? OK : ["FIN"]));
  targets.push(target);

  const { attempts, calls } = await secondTask(target, { ...task, retry: { max_attempts: 1 } });

  expect(attempts).toEqual(["reset"]);
  expect(calls).toHaveLength(2);
});
