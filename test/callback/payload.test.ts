import { describe, expect, test } from "vitest";
import { callbackBody, messageId, sealedPart } from "../../src/callback/payload.ts";
import type { Attempt, Task } from "../../src/core/task/task.ts";
import { CallbackPayload } from "../../src/schema/callback.ts";

const NOW = Date.parse("2026-11-23T10:00:00Z");

describe("sealedPart", () => {
  const text = "sealed:v1:key:AAAA";
  const response = { status: 200, headers: {}, body: text, bodyEncoding: "utf8", truncated: false } as const;

  test("is where the answer's body stands, and not where the submitter has put the same", () => {
    const task = buildTask({ response: { ...response, sealed: true } });
    const body = callbackBody({ ...task, call: { ...task.call, metadata: { body: text } } }, "payments", NOW);
    const { start, end } = sealedPart(body, { ...response, sealed: true }) ?? { start: 0, end: 0 };
    const opened = JSON.parse(`${body.slice(0, start)}fine${body.slice(end)}`);
    expect(opened.data).toMatchObject({ response: { body: "fine" }, task: { metadata: { body: text } } });
  });

  test("is null where no answer was kept, or its body is not sealed", () => {
    expect(sealedPart("{}", null)).toBeNull();
    expect(sealedPart(text, response)).toBeNull();
  });
});

describe("callbackBody", () => {
  test("tells a success in the shape of CallbackPayload", () => {
    const body = callbackBody(buildTask(), "payments", NOW);

    expect(CallbackPayload.strict().parse(JSON.parse(body))).toEqual({
      type: "task.succeeded",
      timestamp: "2026-11-23T10:00:00.000Z",
      data: {
        task: {
          id: "tsk_1",
          round: 2,
          queue: "payments",
          state: "succeeded",
          attempts: 4,
          metadata: { order: "991", nested: [1, null] },
          labels: ["eu"],
        },
        response: {
          status: 200,
          headers: { "content-type": "text/plain" },
          body: "fine",
          body_encoding: "utf8",
          truncated: false,
        },
        error: null,
        history: [
          { attempt: 3, status: 503, error_type: "server_error", delay_ms: 812 },
          { attempt: 4, status: 200, error_type: null, delay_ms: null },
        ],
      },
    });
  });

  test("tells the last fault and the reason of a failure", () => {
    const last = failure({
      number: 4,
      errorType: "client_error",
      errorCode: "bad_amount",
      errorMessage: "422",
    });
    const task = buildTask({ state: "failed", reason: "permanent", history: [failure({ number: 3 }), last] });

    expect(parse(task).data.error).toEqual({
      error_type: "client_error",
      type: "client_error",
      code: "bad_amount",
      message: "422",
      reason: "permanent",
    });
  });

  test("names the last failed attempt where the last attempt had not ended", () => {
    const open = failure({ number: 4, status: null, errorType: null, errorCode: null, decision: null });
    const task = buildTask({
      state: "cancelled",
      reason: "cancelled",
      history: [failure({ number: 3 }), open],
    });

    const payload = parse(task);

    expect(payload.type).toBe("task.cancelled");
    expect(payload.data.error).toMatchObject({ type: "server_error", reason: "cancelled" });
    expect(payload.data.history.at(-1)).toEqual({
      attempt: 4,
      status: null,
      error_type: null,
      delay_ms: 812,
    });
  });

  test("says of an attempt that the body of its answer broke, and of no other", () => {
    const history = [failure({ number: 3, bodyError: "decode" }), failure({ number: 4 })];
    const payload = parse(buildTask({ state: "failed", reason: "max_attempts", history }));
    expect(payload.data.history.map((attempt) => attempt.body_error)).toEqual(["decode", undefined]);
    expect(payload.data.history[1]).not.toHaveProperty("body_error");
  });

  test("has a reason only where the task was cancelled before any attempt", () => {
    const task = buildTask({ state: "cancelled", reason: "cancelled", history: [], response: null });

    expect(parse(task).data).toMatchObject({
      error: { type: null, code: null, message: null, reason: "cancelled" },
      response: null,
      history: [],
    });
  });

  test("does not tell faults of an earlier round", () => {
    const task = buildTask({
      state: "failed",
      reason: "max_age",
      history: [failure({ number: 1, round: 1 })],
    });

    expect(parse(task).data).toMatchObject({ error: { type: null, reason: "max_age" }, history: [] });
  });

  test("leaves out headers of the answer that carry secrets", () => {
    const headers = { "set-cookie": "a=b", "x-api-key": "k", "x-session-token": "t", etag: "1" };
    const task = buildTask({ response: { ...response, headers } });

    expect(parse(task).data.response?.headers).toEqual({ etag: "1" });
  });

  test("is the same for every delivery", () => {
    expect(callbackBody(buildTask(), "q", NOW + 60_000)).toBe(callbackBody(buildTask(), "q", NOW));
  });

  test("throws for a task that is not final", () => {
    expect(() => callbackBody(buildTask({ state: "retrying" }), "q", NOW)).toThrow();
  });
});

describe("messageId", () => {
  test("is another in each round", () => {
    expect([messageId("tsk_1", 1), messageId("tsk_1", 2)]).toEqual(["tsk_1_1", "tsk_1_2"]);
  });
});

const response = {
  status: 200,
  headers: { "content-type": "text/plain" },
  body: "fine",
  bodyEncoding: "utf8",
  truncated: false,
} as const;

function parse(task: Task): CallbackPayload {
  return CallbackPayload.parse(JSON.parse(callbackBody(task, "payments", NOW)));
}

function failure(overrides: Partial<Attempt> = {}): Attempt {
  return {
    number: 3,
    round: 2,
    trigger: "retry",
    startedAt: NOW - 2_000,
    durationMs: 5,
    status: 503,
    errorType: "server_error",
    errorCode: "server_error",
    errorMessage: "503",
    bodyError: null,
    faultClass: "transient",
    decision: "retry",
    rule: null,
    delayMs: 812,
    nextAt: NOW,
    ...overrides,
  };
}

function buildTask(overrides: Partial<Task> = {}): Task {
  const won = failure({ number: 4, status: 200, errorType: null, decision: "succeed", delayMs: null });
  return {
    id: "tsk_1",
    state: "succeeded",
    target: "https://api.example.com",
    lane: null,
    priority: 5,
    dueAt: NOW,
    expiresAt: NOW + 1_000,
    round: 2,
    attempt: 4,
    attemptsBefore: 2,
    lease: 4,
    leaseUntil: null,
    settledLease: 4,
    trigger: "retry",
    createdAt: NOW - 10_000,
    finalizedAt: NOW,
    reason: "succeeded",
    until: null,
    call: {
      url: "https://api.example.com/charge",
      method: "POST",
      headers: { authorization: "Bearer secret" },
      body: null,
      bodyEncoding: "utf8",
      timeoutMs: null,
      maxRedirects: 0,
      retry: null,
      labels: ["eu"],
      metadata: { order: "991", nested: [1, null] },
      idempotencyKey: null,
      traceparent: null,
    },
    history: [failure({ number: 1, round: 1 }), failure(), won],
    attemptsOmitted: 0,
    response,
    callback: null,
    ...overrides,
  };
}
