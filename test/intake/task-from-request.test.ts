import { describe, expect, test } from "vitest";
import { parse } from "../../src/api/http/parse.ts";
import { parseAddressRules } from "../../src/core/address/target-url.ts";
import { parseTaskId } from "../../src/core/task/task-id.ts";
import {
  type RoutedTask,
  type SubmitSituation,
  SubmittedTask,
  taskFromRequest,
} from "../../src/intake/task-from-request.ts";
import type { QueueConfig } from "../../src/protocol/queue-config.ts";
import { DAY_MS, MAX_BODY_BYTES } from "../../src/schema/limits.ts";
import { QueueSettings, type QueueSettingsInput } from "../../src/schema/queue.ts";
import type { TaskRequestInput } from "../../src/schema/task.ts";

const NOW = Date.parse("2026-11-23T10:00:00Z");
const URL = "https://api.example.com/charge";
const TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

function queue(settings: QueueSettingsInput = {}): QueueConfig {
  const { shards = 4, ...rest } = QueueSettings.parse(settings);
  return {
    name: "pay",
    ref: 7,
    shards,
    version: 1,
    paused: false,
    settings: rest,
    secrets: [],
    previousSecretUntil: null,
    createdAt: 0,
    updatedAt: 0,
  };
}

async function make(
  request: TaskRequestInput,
  situation: Partial<SubmitSituation> = {},
): Promise<RoutedTask> {
  const routed = await take(request, situation);
  if (!routed.ok) throw new Error(routed.detail);
  return routed;
}

function take(request: TaskRequestInput, situation: Partial<SubmitSituation> = {}) {
  return taskFromRequest(parse(SubmittedTask, request), {
    queue: queue(),
    rules: parseAddressRules(undefined),
    now: NOW,
    random: () => 0.5,
    traceparent: null,
    mayEdge: true,
    ...situation,
  });
}

async function errorOf(request: TaskRequestInput, situation: Partial<SubmitSituation> = {}) {
  const refusal = await take(request, situation);
  if (refusal.ok) throw new Error("expected a refusal");
  return { ...refusal, errors: refusal.errors ?? [] };
}

describe("taskFromRequest", () => {
  test("makes an id that routes to its shard", async () => {
    const { task, shard } = await make({ url: URL });
    expect(parseTaskId(task.id)).toEqual({ createdAt: NOW, shard, queueRef: 7 });
    expect(shard).toBe(2);
  });

  test("sends tasks of one key to one shard, whatever chance says", async () => {
    const shards = await Promise.all(
      [0, 0.3, 0.99].map((chance) => make({ url: URL, idempotency_key: "k" }, { random: () => chance })),
    );
    expect(new Set(shards.map(({ shard }) => shard)).size).toBe(1);
  });

  test("hashes only what has a key, and not the key", async () => {
    expect((await make({ url: URL })).task.requestHash).toBeNull();
    const first = await make({ url: URL, idempotency_key: "a", delay: "1s" });
    const second = await make({ url: URL, idempotency_key: "b", delay: 1_000, method: "POST" });
    expect(first.task.requestHash).toBe(second.task.requestHash);
  });

  test.each<[string, TaskRequestInput, unknown, string | undefined]>([
    ["an object", { url: URL, body: { a: 1 } }, '{"a":1}', "application/json"],
    ["null", { url: URL, body: null }, "null", "application/json"],
    ["text", { url: URL, body: "héllo" }, "héllo", "text/plain;charset=utf-8"],
    ["nothing", { url: URL }, null, undefined],
    ["bytes", { url: URL, body_base64: "AAEC" }, "AAEC", undefined],
    [
      "text of a type",
      { url: URL, body: "<a/>", headers: { "Content-Type": "text/xml" } },
      "<a/>",
      "text/xml",
    ],
  ])("sends %s with its content type", async (_, request, body, contentType) => {
    const { call } = (await make(request)).task;
    expect(call.body).toBe(body);
    expect(call.headers["content-type"]).toBe(contentType);
    expect(call.bodyEncoding).toBe("body_base64" in request ? "base64" : "utf8");
  });

  test("counts a body in bytes", async () => {
    const fits = "é".repeat(MAX_BODY_BYTES / 2);
    expect((await make({ url: URL, body: fits })).task.call.body).toBe(fits);
    const error = await errorOf({ url: URL, body: `${fits}x` });
    expect(error.code).toBe("body_too_large");
    expect(error.errors).toEqual([
      { path: "body", message: "expected a body of at most 1048576 bytes, got 1048577" },
    ]);
  });

  test("counts a base64 body by what it decodes to", async () => {
    const fits = "AAAA".repeat(349_525);
    expect((await make({ url: URL, body_base64: `${fits}AA==` })).task.call.bodyEncoding).toBe("base64");
    expect((await errorOf({ url: URL, body_base64: `${fits}AAA=` })).errors[0]?.path).toBe("body_base64");
  });

  test("aims at the origin, or at the breaker key of its queue", async () => {
    expect((await make({ url: "https://API.example.com:443/x" })).task.target).toBe(
      "https://api.example.com",
    );
    expect((await make({ url: URL, breaker_key: "psp" })).task.target).toBe("key:pay/psp");
  });

  test.each<[string, boolean, TaskRequestInput, Partial<SubmitSituation>]>([
    ["a plain task", true, { url: URL }, {}],
    ["a delay of nothing", true, { url: URL, delay: 0 }, {}],
    ["a delay", false, { url: URL, delay: "1s" }, {}],
    ["a run_at", false, { url: URL, run_at: "2026-11-23T09:00:00Z" }, {}],
    ["its own long timeout", false, { url: URL, timeout: "21s" }, {}],
    ["its queue's long timeout", false, { url: URL }, { queue: queue({ timeout: "30s" }) }],
    ["its own short timeout", true, { url: URL, timeout: "20s" }, { queue: queue({ timeout: "30s" }) }],
    ["a place late in a batch", false, { url: URL }, { mayEdge: false }],
  ])("with %s offers the edge: %s", async (_, edge, request, situation) => {
    expect((await make(request, situation)).task.edge).toBe(edge);
  });

  test("takes the trace context of the task before that of the submit", async () => {
    const other = TRACE.replace("4bf9", "aaaa");
    const own = await make({ url: URL, headers: { Traceparent: TRACE } }, { traceparent: other });
    expect(own.task.call.traceparent).toBe(TRACE);
    expect(own.task.call.headers).toEqual({});
    expect((await make({ url: URL }, { traceparent: other })).task.call.traceparent).toBe(other);
  });

  test("tells no callback from the queue's callback", async () => {
    expect((await make({ url: URL, callback: null })).task.call.callback).toBeNull();
    expect("callback" in (await make({ url: URL })).task.call).toBe(false);
    const { callback } = (await make({ url: URL, callback: { url: URL, timeout: "3s" } })).task.call;
    expect(callback).toEqual({ url: URL, timeoutMs: 3_000 });
  });

  test("asks for a callback URL only where the queue has none", async () => {
    expect((await errorOf({ url: URL, callback: {} })).errors[0]?.path).toBe("callback.url");
    const { task } = await make({ url: URL, callback: {} }, { queue: queue({ callback: { url: URL } }) });
    expect(task.call.callback).toEqual({});
  });

  test.each<[string, TaskRequestInput]>([
    ["url", { url: "http://127.0.0.1/" }],
    ["url", { url: "/relative" }],
    ["headers.Host", { url: URL, headers: { Host: "x" } }],
    ["callback.url", { url: URL, callback: { url: "http://10.0.0.1/" } }],
    ["callback.headers.webhook-id", { url: URL, callback: { url: URL, headers: { "webhook-id": "1" } } }],
    [
      "callback.retry.backoff.intervals",
      { url: URL, callback: { url: URL, retry: { backoff: { strategy: "fixed", intervals: [1] } } } },
    ],
    ["retry.conditions[0]", { url: URL, retry: { conditions: ["status =="] } }],
    ["retry.backoff.intervals", { url: URL, retry: { backoff: { strategy: "schedule" } } }],
    [
      "retry.rules[0].until.probe.url",
      {
        url: URL,
        retry: {
          rules: [{ when: "status == 401", do: "hold", until: { probe: { url: "http://localhost" } } }],
        },
      },
    ],
    ["idempotency_key", { url: URL, idempotency_key: "a\nb" }],
    ["run_at", { url: URL, run_at: new Date(NOW + 30 * DAY_MS + 1).toISOString() }],
  ])("refuses what is wrong with %s", async (path, request) => {
    const error = await errorOf(request);
    expect(error.code).toBe("invalid_request");
    expect(error.errors.map((issue) => issue.path)).toEqual([path]);
  });

  test("names every wrong place at once", async () => {
    const error = await errorOf({ url: "nope", headers: { te: "x" }, retry: { conditions: ["1"] } });
    expect(error.errors.map((issue) => issue.path)).toEqual(["headers.te", "url", "retry.conditions[0]"]);
    expect(error.detail).toMatch(/^headers\.te: .* \(and 2 more\)$/);
  });

  test("lets a schedule take its intervals from the queue", async () => {
    const scheduled = queue({ retry: { backoff: { strategy: "schedule", intervals: ["1s"] } } });
    const { task } = await make(
      { url: URL, retry: { backoff: { strategy: "schedule" } } },
      { queue: scheduled },
    );
    expect(task.call.retry).toEqual({ backoff: { strategy: "schedule" } });
  });
});
