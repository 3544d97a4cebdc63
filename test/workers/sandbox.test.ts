import { env as rawEnv } from "cloudflare:workers";
import { Webhook } from "standardwebhooks";
import { beforeEach, describe, expect, test } from "vitest";
import type { Env } from "../../src/platform/env.ts";
import { sandboxRoutes } from "../../src/sandbox/routes.ts";
import { hangMs } from "../../src/sandbox/script.ts";

const env = rawEnv as unknown as Env;
const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

describe("/target", () => {
  test.each([
    [1, 503],
    [2, 429],
    [3, 200],
    [4, 200],
  ])("answers attempt %i of script 503,429,200 with %i", async (attempt, status) => {
    const response = await get("/target?script=503,429,200", { "redrive-attempt": String(attempt) });

    expect(response.status).toBe(status);
    expect(await response.json()).toEqual({ status, attempt });
  });

  test.each([undefined, "0", "-1", "two"])("takes redrive-attempt %s for the first", async (attempt) => {
    const response = await get(
      "/target?script=503,200",
      attempt === undefined ? {} : { "redrive-attempt": attempt },
    );

    expect(response.status).toBe(503);
  });

  test("sends Retry-After in whole seconds with errors and not with successes", async () => {
    const path = "/target?script=429,200&retry_after=1200ms";

    expect((await get(path, { "redrive-attempt": "1" })).headers.get("retry-after")).toBe("2");
    expect((await get(path, { "redrive-attempt": "2" })).headers.get("retry-after")).toBeNull();
  });

  test("takes a duration without a unit for milliseconds", async () => {
    expect((await get("/target?script=503&retry_after=3000")).headers.get("retry-after")).toBe("3");
  });

  test("answers to every method with the body asked for", async () => {
    const response = await sandboxRoutes.request("/target?body=hello", { method: "DELETE" }, env);

    expect(await response.text()).toBe("hello");
    expect(response.headers.get("content-type")).toBe("text/plain; charset=utf-8");
  });

  test("waits for the delay before it answers", async () => {
    const startedAt = performance.now();
    await get("/target?delay=60ms");

    // workerd's clock moves with timers; 5 ms for their grain.
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(55);
  });

  test("gives 204 no body", async () => {
    const response = await get("/target?script=204&body=x");

    expect(response.status).toBe(204);
    expect(await response.text()).toBe("");
  });

  test("answers a timeout only after the caller's deadline", async () => {
    const startedAt = performance.now();
    const deadline = new Date(Date.now() - 950).toISOString();
    const response = await get("/target?script=timeout", { "redrive-deadline": deadline });

    expect(response.status).toBe(504);
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(995);
  });

  test("breaks off within the body for reset", async () => {
    const response = await get("/target?script=reset");

    await expect(response.text()).rejects.toThrow("the script says reset");
  });

  test.each([
    ["script=503,teapot", "script", 'expected statuses from 200 to 599, "timeout" and "reset"'],
    ["script=", "script", "got another at step 1"],
    ["script=199", "script", "got another at step 1"],
    [`script=${"200,".repeat(100)}200`, "script", "expected at most 100 steps, got 101"],
    ["delay=31s", "delay", "expected a duration between 0ms and 30s"],
    ["retry_after=soon", "retry_after", "expected a duration"],
  ])("refuses %s and names %s", async (query, path, expected) => {
    const response = await get(`/target?${query}`);

    expect(response.status).toBe(400);
    expect(response.headers.get("content-type")).toBe("application/problem+json");
    expect(await response.json()).toMatchObject({
      code: "invalid_request",
      errors: [{ path, message: expect.stringContaining(expected) }],
    });
  });

  test("refuses a parameter it does not know", async () => {
    const response = await get("/target?scirpt=200");

    expect(response.status).toBe(400);
    expect(await response.text()).toContain("scirpt");
  });
});

describe("hangMs", () => {
  test.each([
    ["2026-11-23T10:00:05.000Z", 6_000],
    ["2026-11-23T10:10:00.000Z", 30_000],
    ["2026-11-23T09:00:00.000Z", 1_000],
    ["soon", 30_000],
    [undefined, 30_000],
  ])("keeps a caller with deadline %s waiting for %i ms", (deadline, ms) => {
    expect(hangMs(deadline, Date.parse("2026-11-23T10:00:00.000Z"))).toBe(ms);
  });
});

describe("/ready", () => {
  test("answers 503 until the instant and 204 from then on", async () => {
    expect((await get(`/ready?at=${Date.now() + 60_000}`)).status).toBe(503);
    expect((await get(`/ready?at=${Date.now()}`)).status).toBe(204);
  });

  test("refuses an instant that is none", async () => {
    const response = await get("/ready?at=noon");

    expect(response.status).toBe(400);
    expect(await response.text()).toContain("expected epoch milliseconds, got a string of 4 characters");
  });
});

describe("/inbox", () => {
  beforeEach(async () => {
    await sandboxRoutes.request("/inbox", { method: "DELETE" }, env);
  });

  test("lists a signed callback as verified, with its task, type and body", async () => {
    const body = callbackBody("tsk_1");
    expect((await post(body, signed("msg_1", body))).status).toBe(204);

    expect(await inbox()).toEqual({
      total: 1,
      callbacks: [
        {
          id: "msg_1",
          task_id: "tsk_1",
          type: "task.succeeded",
          received_at: expect.stringMatching(/^\d{4}-.*Z$/),
          verified: true,
          body: JSON.parse(body),
        },
      ],
    });
  });

  test("verifies a message that carries the signatures of two secrets", async () => {
    const body = callbackBody("tsk_1");
    const headers = signed("msg_1", body);
    const signature = `v1,${btoa("of another secret")} ${headers["webhook-signature"]}`;
    await post(body, { ...headers, "webhook-signature": signature });

    expect((await inbox()).callbacks[0]?.verified).toBe(true);
  });

  test.each([
    ["without a signature", () => ({})],
    ["signed with another secret", (body: string) => signed("msg_1", body, `whsec_${btoa("x".repeat(32))}`)],
    ["signed for another body", () => signed("msg_1", callbackBody("tsk_2"))],
    ["signed six minutes ago", (body: string) => signed("msg_1", body, SECRET, Date.now() - 6 * 60_000)],
    ["renamed after it was signed", (body: string) => ({ ...signed("msg_1", body), "webhook-id": "msg_2" })],
  ])("keeps a message %s as not verified", async (_, headersFor) => {
    const body = callbackBody("tsk_1");
    await post(body, headersFor(body));

    expect((await inbox()).callbacks).toMatchObject([{ task_id: "tsk_1", verified: false }]);
  });

  test("lists the newest first, of one task where asked, a message delivered twice twice", async () => {
    for (const [id, task] of [
      ["a", "tsk_1"],
      ["b", "tsk_2"],
      ["a", "tsk_1"],
      ["c", "tsk_1"],
    ] as const) {
      const body = callbackBody(task);
      await post(body, signed(id, body));
    }

    expect((await inbox()).callbacks.map(({ id }) => id)).toEqual(["c", "a", "b", "a"]);
    expect((await inbox("tsk_1")).callbacks.map(({ id }) => id)).toEqual(["c", "a", "a"]);
    expect(await inbox("tsk_none")).toEqual({ total: 0, callbacks: [] });
  });

  test("keeps what is no callback as it came", async () => {
    await post("not JSON", {});

    expect((await inbox()).callbacks).toMatchObject([
      { id: null, task_id: null, type: null, verified: false, body: "not JSON" },
    ]);
  });

  test("keeps the last 500 and shows the last 50 of them", async () => {
    for (let n = 0; n < 502; n++) await post(`{"n":${n}}`, {});

    const { total, callbacks } = await inbox();

    expect(total).toBe(500);
    expect(callbacks.map(({ body }) => body)).toEqual(Array.from({ length: 50 }, (_, i) => ({ n: 501 - i })));
  });

  test("refuses a body over 512 KB and keeps nothing of it", async () => {
    const response = await post("x".repeat(512 * 1_024 + 1), {});

    expect(response.status).toBe(413);
    expect(await response.json()).toMatchObject({ code: "body_too_large" });
    expect((await inbox()).total).toBe(0);
  });

  test("is empty after DELETE", async () => {
    await post(callbackBody("tsk_1"), {});
    expect((await sandboxRoutes.request("/inbox", { method: "DELETE" }, env)).status).toBe(204);

    expect(await inbox()).toEqual({ total: 0, callbacks: [] });
  });
});

test.each(["/target", "/ready?at=0", "/inbox"])("%s answers 404 while the sandbox is off", async (path) => {
  const response = await sandboxRoutes.request(path, {}, { ...env, REDRIVE_SANDBOX: "off" });

  expect(response.status).toBe(404);
  expect(await response.json()).toMatchObject({ code: "not_found" });
});

async function get(path: string, headers: Record<string, string> = {}): Promise<Response> {
  return sandboxRoutes.request(path, { headers }, env);
}

async function post(body: string, headers: Record<string, string>): Promise<Response> {
  return sandboxRoutes.request("/inbox", { method: "POST", body, headers }, env);
}

type InboxView = { total: number; callbacks: { id: string | null; verified: boolean; body: unknown }[] };

async function inbox(task?: string): Promise<InboxView> {
  return (await get(task === undefined ? "/inbox" : `/inbox?task=${task}`)).json();
}

function callbackBody(taskId: string): string {
  return JSON.stringify({ type: "task.succeeded", data: { task: { id: taskId } } });
}

/** The headers of a message, by the public library. */
function signed(id: string, body: string, secret = SECRET, at = Date.now()): Record<string, string> {
  return {
    "webhook-id": id,
    "webhook-timestamp": String(Math.floor(at / 1_000)),
    "webhook-signature": new Webhook(secret).sign(id, new Date(at), body),
  };
}
