import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ask, FAILS_ON_PURPOSE, inTurn, openWorld, verified, type World } from "../support/server/stories.ts";

/** Waits as they are set: a failing target would stretch them. */
const QUICK = {
  backoff: { strategy: "fixed", initial_interval: "20ms", jitter: "none", adaptive: "off" },
} as const;

let world: World;

beforeAll(async () => {
  world = await openWorld({ queue: FAILS_ON_PURPOSE });
});
afterAll(() => world.stop());

describe.concurrent("a submitted task", () => {
  test("is retried until it succeeds, then told of by a callback that a public library verifies", async () => {
    const target = world.place(
      inTurn({ status: 503 }, { status: 503 }, { status: 200, body: '{"paid":true}' }),
    );
    const receiver = world.place();
    const submitted = await ask(world.server, "POST", "/v1/tasks", {
      body: {
        url: target.url,
        body: { amount: 5 },
        retry: { max_attempts: 3, ...QUICK },
        labels: ["eu"],
        metadata: { order: "991" },
        callback: { url: receiver.url },
      },
    });
    const [call] = await receiver.waitForCalls(1);

    expect(submitted.status).toBe(202);
    expect(submitted.headers.get("location")).toBe(`/v1/tasks/${submitted.body.id}`);
    if (call === undefined) throw new Error("no call");
    const payload = verified(call, world.server.signingSecret);
    expect(payload).toMatchObject({
      type: "task.succeeded",
      data: {
        task: {
          id: submitted.body.id,
          round: 1,
          queue: "default",
          state: "succeeded",
          attempts: 3,
          metadata: { order: "991" },
          labels: ["eu"],
        },
        response: { status: 200, body: '{"paid":true}', body_encoding: "utf8", truncated: false },
        error: null,
        history: [
          { attempt: 1, status: 503, error_type: "server_error", delay_ms: 20 },
          { attempt: 2, status: 503, error_type: "server_error", delay_ms: 20 },
          { attempt: 3, status: 200, error_type: null, delay_ms: null },
        ],
      },
    });
    expect(() =>
      verified({ ...call, body: call.body.replace("991", "992") }, world.server.signingSecret),
    ).toThrow();
    expect(target.calls()).toHaveLength(3);
  });

  test("is sent whole at every attempt, with the headers that place it", async () => {
    const target = world.place(inTurn({ status: 503 }, { status: 200 }));
    const submittedAt = Date.now();
    const submitted = await ask(world.server, "POST", "/v1/tasks", {
      body: {
        url: `${target.url}/charge?a=1`,
        method: "PUT",
        headers: { "X-Shop": "west", Authorization: "Bearer of-the-target" },
        body: { amount: 5, note: "für" },
        timeout: "5s",
        retry: { max_attempts: 4, ...QUICK },
      },
    });
    const { id } = submitted.body;
    const [first, second] = await target.waitForCalls(2);

    const always = {
      "x-shop": "west",
      authorization: "Bearer of-the-target",
      "content-type": "application/json",
      "idempotency-key": id,
      "redrive-task-id": id,
      "redrive-max-attempts": "4",
      traceparent: expect.stringMatching(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/),
    };
    expect(first?.headers).toMatchObject({ ...always, "redrive-attempt": "1", "x-retry-count": "0" });
    expect(second?.headers).toMatchObject({ ...always, "redrive-attempt": "2", "x-retry-count": "1" });
    expect(second?.headers.traceparent).toBe(first?.headers.traceparent);
    for (const call of [first, second]) {
      expect(call).toMatchObject({ method: "PUT", body: '{"amount":5,"note":"für"}' });
      expect(call?.path).toMatch(/\/charge\?a=1$/);
      const deadlineAt = Date.parse(call?.headers["redrive-deadline"] ?? "");
      expect(deadlineAt).toBeGreaterThanOrEqual(submittedAt + 5_000);
      expect(deadlineAt).toBeLessThanOrEqual((call?.receivedAt ?? 0) + 5_000);
    }
  });

  test("hands on its own idempotency key and the trace context of its submit", async () => {
    const target = world.place();
    const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    await ask(world.server, "POST", "/v1/tasks", {
      body: { url: target.url },
      headers: { "idempotency-key": "order-991", traceparent },
    });
    const [call] = await target.waitForCalls(1);

    expect(call?.headers).toMatchObject({ "idempotency-key": "order-991", traceparent });
  });

  test("fails at once on a permanent fault, and the callback says why", async () => {
    const target = world.place(() => ({
      status: 400,
      body: '{"error":{"code":"bad_amount","message":"no"}}',
    }));
    const receiver = world.place();
    const { id } = await world.client.submit({ url: target.url, callback: { url: receiver.url } });
    const [call] = await receiver.waitForCalls(1);

    expect(target.calls()).toHaveLength(1);
    expect(await world.client.get(id)).toMatchObject({
      state: "failed",
      reason: "permanent",
      attempts: [{ status: 400, error_type: "client_error", error_code: "bad_amount", class: "permanent" }],
    });
    expect(call && verified(call, world.server.signingSecret)).toMatchObject({
      type: "task.failed",
      data: { error: { type: "client_error", code: "bad_amount", message: "no", reason: "permanent" } },
    });
  });

  test("fails when its attempts are used up", async () => {
    const target = world.place(() => ({ status: 500 }));
    const { id } = await world.client.submit({ url: target.url, retry: { max_attempts: 3, ...QUICK } });

    expect(await world.client.wait(id)).toMatchObject({
      state: "failed",
      reason: "max_attempts",
      attempt_count: 3,
      summary: expect.stringContaining("500 server_error"),
    });
    expect(target.calls()).toHaveLength(3);
  });

  test("counts an attempt that outlasts its timeout as failed", async () => {
    const target = world.place(inTurn("hang", { status: 200 }));
    const { id } = await world.client.submit({ url: target.url, timeout: "1s", retry: QUICK });

    expect((await world.client.wait(id)).attempts).toMatchObject([
      { status: 0, error_type: "timeout", class: "transient", decision: "retry" },
      { status: 200, decision: "succeed" },
    ]);
  });
});

describe.concurrent("what the target says beyond its status", () => {
  test("Retry-After is waited for in full, whatever the backoff says", async () => {
    const target = world.place(inTurn({ status: 503, headers: { "retry-after": "2" } }, { status: 200 }));
    await world.client.submit({ url: target.url, retry: QUICK });
    const [first, second] = await target.waitForCalls(2);

    // Waited from when the answer came, which is after the call was received.
    expect((second?.receivedAt ?? 0) - (first?.receivedAt ?? 0)).toBeGreaterThanOrEqual(2_000);
  });

  test("RateLimit-Reset is waited for after a 429", async () => {
    const target = world.place(inTurn({ status: 429, headers: { "ratelimit-reset": "1" } }, { status: 200 }));
    const { id } = await world.client.submit({ url: target.url, retry: QUICK });
    const [first, second] = await target.waitForCalls(2);

    expect((second?.receivedAt ?? 0) - (first?.receivedAt ?? 0)).toBeGreaterThanOrEqual(1_000);
    expect((await world.client.wait(id)).attempts[0]).toMatchObject({ error_type: "rate_limited" });
  });

  test.for([
    ["489", { status: 489 }],
    ["Redrive-Retry: no", { status: 503, headers: { "redrive-retry": "no" } }],
  ] as const)("%s ends the task, whatever its policy says", async ([, answer]) => {
    const target = world.place(() => answer);
    const rules = [{ when: "status > 0", do: "retry" as const }];
    const { id } = await world.client.submit({ url: target.url, retry: { ...QUICK, rules } });

    expect(await world.client.wait(id)).toMatchObject({
      state: "failed",
      reason: "no_retry",
      attempt_count: 1,
    });
    expect(target.calls()).toHaveLength(1);
  });
});

describe.concurrent("where a task may go", () => {
  test.for([
    "http://10.0.0.1/",
    "http://169.254.169.254/latest/meta-data",
    "http://[::ffff:192.168.0.1]/",
    "http://0x0a000001/",
    "http://metadata.google.internal/",
    "https://user:secret@example.com/",
    "ftp://example.com/",
  ])("%s is refused at submit, as target and as callback", async (url) => {
    const own = world.place().url;
    const asTarget = await ask(world.server, "POST", "/v1/tasks", { body: { url } });
    const asCallback = await ask(world.server, "POST", "/v1/tasks", {
      body: { url: own, callback: { url } },
    });

    expect(asTarget).toMatchObject({
      status: 400,
      body: { code: "invalid_request", errors: [{ path: "url" }] },
    });
    expect(asCallback).toMatchObject({ status: 400, body: { errors: [{ path: "callback.url" }] } });
  });

  test("a redirect is not followed unless the task asks for it", async () => {
    const goal = world.place();
    const target = world.place(() => ({ status: 302, headers: { location: goal.url } }));
    const { id } = await world.client.submit({ url: target.url });

    expect(await world.client.wait(id)).toMatchObject({
      state: "failed",
      attempts: [{ status: 302, error_type: "redirect" }],
    });
    expect(goal.calls()).toHaveLength(0);
  });

  test("a redirect is followed as far as the task says, method and body kept by a 307", async () => {
    const goal = world.place();
    const hop = world.place(() => ({ status: 307, headers: { location: goal.url } }));
    const target = world.place(() => ({ status: 307, headers: { location: hop.url } }));
    const near = await world.client.submit({ url: target.url, max_redirects: 1 });
    const far = await world.client.submit({ url: target.url, max_redirects: 2, body: "whole" });

    expect(await world.client.wait(near.id)).toMatchObject({
      state: "failed",
      attempts: [{ error_type: "redirect" }],
    });
    expect(await world.client.wait(far.id)).toMatchObject({ state: "succeeded" });
    expect(goal.calls()).toMatchObject([{ method: "POST", body: "whole" }]);
  });

  test.for(["http://10.0.0.1/", "http://169.254.169.254/latest/meta-data", "file:///etc/passwd"])(
    "a redirect to %s is refused",
    async (location) => {
      const target = world.place(() => ({ status: 302, headers: { location } }));
      const { id } = await world.client.submit({ url: target.url, max_redirects: 5 });

      expect(await world.client.wait(id)).toMatchObject({
        state: "failed",
        reason: "permanent",
        attempts: [{ status: 0, error_type: "invalid_request" }],
      });
      expect(target.calls()).toHaveLength(1);
    },
  );
});

describe.concurrent("the answer that is kept", () => {
  test("is cut to 64 KB, for the task and for its callback", async () => {
    const target = world.place(() => ({ status: 200, body: "é".repeat(50_000) }));
    const receiver = world.place();
    const { id } = await world.client.submit({ url: target.url, callback: { url: receiver.url } });
    const [call] = await receiver.waitForCalls(1);

    const kept = { body: "é".repeat(32_768), body_encoding: "utf8", truncated: true };
    expect((await world.client.get(id)).response).toMatchObject(kept);
    expect(call && verified(call, world.server.signingSecret).data.response).toMatchObject(kept);
  });

  test("is base64 where it is no text", async () => {
    const bytes = Buffer.from([0, 255, 254, 1, 200]);
    const binary = createServer((_, response) => response.end(bytes));
    await once(binary.listen(0, "127.0.0.1"), "listening");
    const { port } = binary.address() as AddressInfo;
    const { id } = await world.client.submit({ url: `http://127.0.0.1:${port}/` });
    const task = await world.client.wait(id);
    binary.close();

    expect(task.response).toMatchObject({
      body: bytes.toString("base64"),
      body_encoding: "base64",
      truncated: false,
    });
  });

  test("has no headers that carry secrets", async () => {
    const headers = { "set-cookie": "session=1", "x-page": "2" };
    const target = world.place(() => ({ status: 200, headers }));
    const { id } = await world.client.submit({ url: target.url });
    const task = await world.client.wait(id);

    expect(task.response?.headers).toMatchObject({ "x-page": "2" });
    expect(JSON.stringify(task)).not.toContain("session=1");
  });
});
