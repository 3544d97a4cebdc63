import { describe, expect, test } from "vitest";
import {
  attemptRequest,
  callbackRequest,
  probeRequest,
  traceparentOf,
  withKeys,
} from "../../../src/core/task/call-request.ts";
import type { TransitionContext } from "../../../src/core/task/transition.ts";
import { type TaskEvent, transition } from "../../../src/core/task/transition.ts";
import { buildFault, buildTask, failFor, NOW, retryIn } from "../../support/shard/build-task.ts";
import { buildConfig } from "../../support/shard/shard-messages.ts";

const TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

function requestOf(task: Parameters<typeof attemptRequest>[0]) {
  return attemptRequest(task, 5, 20_000, NOW);
}

describe("attemptRequest", () => {
  test("says how redirects are followed only where the task does", () => {
    expect(requestOf(buildTask({ call: { redirectMode: "loose" } }))).toMatchObject({
      redirectMode: "loose",
    });
    expect(requestOf(buildTask({}))).not.toHaveProperty("redirectMode");
  });

  test("is the task's call with the context of the attempt", () => {
    const task = buildTask({
      state: "running",
      attempt: 3,
      call: {
        method: "PUT",
        headers: { "X-Order": "991" },
        body: '{"amount":5}',
        maxRedirects: 2,
        idempotencyKey: "order-991",
        traceparent: TRACEPARENT,
      },
    });

    expect(requestOf(task)).toEqual({
      url: "https://api.example.com/charge",
      method: "PUT",
      headers: {
        "user-agent": expect.stringMatching(/^Redrive /),
        "x-order": "991",
        "idempotency-key": "order-991",
        "redrive-task-id": "tsk_1",
        "redrive-attempt": "3",
        "redrive-max-attempts": "5",
        "redrive-deadline": "2026-11-23T10:00:20.000Z",
        "x-retry-count": "2",
        traceparent: TRACEPARENT,
      },
      body: '{"amount":5}',
      timeoutMs: 20_000,
      maxRedirects: 2,
      sign: null,
    });
  });

  test("has the task's id for an Idempotency-Key where the task sets none", () => {
    expect(requestOf(buildTask({ state: "running" })).headers["idempotency-key"]).toBe("tsk_1");
  });

  test("lets the task name its own user agent, in any case", () => {
    const task = buildTask({ state: "running", call: { headers: { "User-Agent": "shop/1.0" } } });

    expect(requestOf(task).headers["user-agent"]).toBe("shop/1.0");
  });

  test("lets no header of the task stand in for Redrive's own", () => {
    const headers = { "Redrive-Attempt": "99", "Idempotency-Key": "forged", "X-Retry-Count": "0" };
    const task = buildTask({ state: "running", attempt: 2, call: { headers } });

    expect(requestOf(task).headers).toMatchObject({
      "redrive-attempt": "2",
      "idempotency-key": "tsk_1",
      "x-retry-count": "1",
    });
  });

  test("tells the same request with the same key and trace over attempts and rounds", () => {
    const sent = rounds().map((task) => requestOf(task));
    const constant = sent.map(({ url, method, body, headers }) => {
      const { "redrive-attempt": _, "x-retry-count": __, ...rest } = headers;
      return { url, method, body, rest };
    });

    expect(sent.map(({ headers }) => headers["redrive-attempt"])).toEqual(["1", "2", "3"]);
    expect(constant[1]).toEqual(constant[0]);
    expect(constant[2]).toEqual(constant[0]);
  });

  test("sends base64 as the bytes it stands for", () => {
    const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
    const body = Buffer.from(bytes).toString("base64");

    expect(requestOf(buildTask({ call: { body, bodyEncoding: "base64" } })).body).toEqual(bytes);
  });

  test("sends text as it is, even where it could be base64", () => {
    expect(requestOf(buildTask({ call: { body: "aGVsbG8=", bodyEncoding: "utf8" } })).body).toBe("aGVsbG8=");
  });

  test.each(["utf8", "base64"] as const)("has no body where the task has none (%s)", (bodyEncoding) => {
    expect(requestOf(buildTask({ call: { body: null, bodyEncoding } })).body).toBeNull();
  });
});

/** The same task in flight: at first, as a retry, and in the round after a redrive. */
function rounds() {
  const context: TransitionContext = { now: NOW, callbackFor: () => null };
  const admit: TaskEvent = { type: "admit", leaseMs: 30_000 };
  const settled = { type: "settle", outcome: buildFault(), response: null } as const;
  const after = (task: ReturnType<typeof buildTask>, ...events: TaskEvent[]) =>
    events.reduce((before, event) => {
      const result = transition(before, event, context);
      if (!result.ok) throw new Error(result.detail);
      return result.task;
    }, task);
  const first = after(buildTask({ call: { body: "hello" } }), admit);
  const second = after(first, { ...settled, decision: retryIn(0) }, admit);
  const failed: TaskEvent = { ...settled, decision: failFor("max_attempts") };
  return [first, second, after(second, failed, { type: "redrive", force: false, maxAgeMs: 1_000 }, admit)];
}

describe("traceparentOf", () => {
  test("is a sampled W3C trace context", () => {
    expect(traceparentOf("tsk_1")).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
  });

  test("is the same for a task each time, and another for each task, in both of its parts", () => {
    const ids = Array.from({ length: 1_000 }, (_, i) => `tsk_${i}`);
    const parts = ids.map((id) => traceparentOf(id).split("-"));

    expect(ids.map(traceparentOf)).toEqual(ids.map(traceparentOf));
    expect(new Set(parts.map(([, trace]) => trace)).size).toBe(1_000);
    expect(new Set(parts.map(([, , span]) => span)).size).toBe(1_000);
  });
});

describe("callbackRequest", () => {
  const delivery = {
    url: "https://me.example.com/hook",
    headers: {},
    body: '{"type":"task.succeeded"}',
    messageId: "tsk_1_1",
    secrets: ["whsec_new", "whsec_old"],
    timeoutMs: 10_000,
  };

  test("posts JSON to be signed with every secret, and follows no redirect", () => {
    expect(callbackRequest(delivery)).toEqual({
      url: "https://me.example.com/hook",
      method: "POST",
      headers: { "user-agent": expect.stringMatching(/^Redrive /), "content-type": "application/json" },
      body: '{"type":"task.succeeded"}',
      timeoutMs: 10_000,
      maxRedirects: 0,
      sign: { messageId: "tsk_1_1", secrets: ["whsec_new", "whsec_old"] },
    });
  });

  test("carries the headers of its settings", () => {
    expect(callbackRequest({ ...delivery, headers: { "X-Tenant": "eu" } }).headers["x-tenant"]).toBe("eu");
  });
});

describe("probeRequest", () => {
  test("is a bare GET", () => {
    expect(probeRequest("https://api.example.com/ready", 5_000)).toEqual({
      url: "https://api.example.com/ready",
      method: "GET",
      headers: { "user-agent": expect.stringMatching(/^Redrive /) },
      body: null,
      timeoutMs: 5_000,
      maxRedirects: 0,
      sign: null,
    });
  });
});

describe("withKeys", () => {
  const config = buildConfig({}, { name: "pay", dataKeys: ["key:v1:s:k:d"] });
  const sealed = { queue: "pay", keys: ["key:v1:s:k:d"] };
  const attempt = (headers: Record<string, string>) =>
    requestOf(buildTask({ state: "running", call: { headers } }));
  const delivery = (secrets: string[]) =>
    callbackRequest({
      url: "https://a.example/",
      headers: {},
      body: "{}",
      messageId: "m",
      secrets,
      timeoutMs: 1,
    });

  test("leaves a request without sealed values as it is", () => {
    const plain = attempt({ authorization: "Bearer x" });
    expect(withKeys(plain, config)).toBe(plain);
    const signed = delivery(["whsec_x"]);
    expect(withKeys(signed, config)).toBe(signed);
  });

  test("brings the queue's keys along with a sealed header or signing secret", () => {
    expect(withKeys(attempt({ authorization: "sealed:v1:k:d" }), config).sealed).toEqual(sealed);
    expect(withKeys(delivery(["whsec_x", "sealed:v1:k:d"]), config).sealed).toEqual(sealed);
  });

  test("says what of the bodies is sealed, or is to be", () => {
    const more = { body: true, answer: true } as const;
    expect(withKeys(attempt({}), config, more).sealed).toEqual({ ...sealed, ...more });
  });

  test("passes a sealed body on as it is stored, whatever it holds", () => {
    const call = { body: "sealed:v1:k:d", bodyEncoding: "base64", bodySealed: true } as const;
    expect(requestOf(buildTask({ state: "running", call })).body).toBe("sealed:v1:k:d");
  });

  test("says that it is sealed also where the queue has no keys, so that nobody sends what is stored", () => {
    const request = withKeys(attempt({ authorization: "sealed:v1:k:d" }), buildConfig());
    expect(request.sealed).toEqual({ queue: "default", keys: [] });
  });
});
