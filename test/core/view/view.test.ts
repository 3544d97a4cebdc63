import { describe, expect, test } from "vitest";
import { REDACTED } from "../../../src/core/call/secret-headers.ts";
import { taskSummary, taskView, type ViewContext } from "../../../src/core/view/view.ts";
import { CALLBACK_STATES, TASK_STATES, TaskSummary, TaskView } from "../../../src/schema/task.ts";
import {
  buildAttempt,
  buildDelivery,
  buildOpenAttempt,
  buildTask,
  NOW,
} from "../../support/shard/build-task.ts";

const context: ViewContext = { queue: "payments", maxAttempts: 5, now: NOW, paused: false, slotFree: true };
const response = {
  status: 200,
  headers: { "content-type": "text/plain", "set-cookie": "session=s3cret" },
  body: "fine",
  bodyEncoding: "utf8",
  truncated: false,
} as const;
const CASES = TASK_STATES.flatMap((state) => [
  { name: state, task: buildTask({ state }) },
  {
    name: `${state}, long ago and with an answer`,
    task: buildTask({ state, attempt: 4, round: 2, response }),
  },
]).concat(
  CALLBACK_STATES.map((state) => ({
    name: `failed, its callback ${state}`,
    task: buildTask({ state: "failed", callback: { state } }),
  })),
);

describe("taskView", () => {
  test.each(CASES)("has exactly the wire's fields for a task that is $name", ({ task }) => {
    const view = taskView(task, context);

    expect(TaskView.strict().parse(view)).toEqual(view);
    expect(JSON.parse(JSON.stringify(view))).toEqual(view);
  });

  test("hands the text of metadata on only where a parse would change it", () => {
    const metadataText = '{"id":9007199254740993}';
    const call = { metadata: { id: 9_007_199_254_740_992 }, metadataText };
    expect(taskView(buildTask({ call }), context)).toMatchObject({ metadataText });
    expect(taskView(buildTask({}), context)).not.toHaveProperty("metadataText");
  });

  test("shows everything of a retrying task", () => {
    const task = buildTask({
      state: "retrying",
      trigger: "retry",
      attempt: 2,
      dueAt: NOW + 1_500,
      attemptsOmitted: 1,
      response,
      history: [
        buildAttempt({ number: 2, startedAt: NOW - 2_000, nextAt: NOW + 1_500, errorMessage: "busy" }),
      ],
      call: {
        headers: { accept: "text/plain" },
        labels: ["eu"],
        metadata: { order: "991" },
        idempotencyKey: "o-991",
      },
    });

    expect(taskView(task, context)).toEqual({
      id: "tsk_1",
      state: "retrying",
      queue: "payments",
      summary:
        "Attempt 2 of 5 failed 2 s ago: 503 server_error from https://api.example.com. Next try in 1.5 s.",
      waiting_on: "backoff",
      due_at: "2026-11-23T10:00:01.500Z",
      expires_at: "2026-11-24T10:00:00.000Z",
      reason: null,
      url: "https://api.example.com/charge",
      method: "POST",
      headers: { accept: "text/plain" },
      target: "https://api.example.com",
      priority: 5,
      labels: ["eu"],
      metadata: { order: "991" },
      idempotency_key: "o-991",
      round: 1,
      max_attempts: 5,
      attempt_count: 2,
      attempts: [
        {
          number: 2,
          round: 1,
          trigger: "submit",
          started_at: "2026-11-23T09:59:58.000Z",
          duration_ms: 40,
          status: 503,
          error_type: "server_error",
          error_code: "server_error",
          error_message: "busy",
          body_error: null,
          class: "transient",
          decision: "retry",
          rule: "table",
          delay_ms: 1_000,
          next_at: "2026-11-23T10:00:01.500Z",
        },
      ],
      attempts_omitted: 1,
      response: {
        status: 200,
        headers: { "content-type": "text/plain", "set-cookie": REDACTED },
        body: "fine",
        body_encoding: "utf8",
        truncated: false,
      },
      callback: null,
      created_at: "2026-11-23T09:59:00.000Z",
      finalized_at: null,
    });
  });

  test("shows no header whose value is a secret", () => {
    const secrets = { Authorization: "Bearer s3cret", "X-Api-Key": "s3cret", "x-session-token": "s3cret" };
    const task = buildTask({
      state: "succeeded",
      response,
      call: { headers: { ...secrets, accept: "*/*" } },
    });

    const view = taskView(task, context);

    expect(JSON.stringify(view)).not.toContain("s3cret");
    expect(view.headers).toEqual({
      Authorization: REDACTED,
      "X-Api-Key": REDACTED,
      "x-session-token": REDACTED,
      accept: "*/*",
    });
  });

  test("shows an attempt under way without a result", () => {
    const task = buildTask({ state: "running", history: [buildOpenAttempt()] });

    expect(taskView(task, context).attempts[0]).toMatchObject({
      duration_ms: null,
      status: null,
      class: null,
      decision: null,
      next_at: null,
    });
  });

  test("shows each delivery of a callback", () => {
    const attempts = [buildDelivery({ nextAt: NOW + 5_000 }), buildDelivery({ number: 2, durationMs: null })];
    const task = buildTask({ state: "failed", callback: { state: "running", attempts } });

    expect(taskView(task, context).callback).toEqual({
      url: "https://me.example.com/hook",
      state: "running",
      attempts: [
        {
          number: 1,
          started_at: "2026-11-23T10:00:00.000Z",
          duration_ms: 20,
          status: 500,
          error_type: "server_error",
          body_error: null,
          next_at: "2026-11-23T10:00:05.000Z",
        },
        {
          number: 2,
          started_at: "2026-11-23T10:00:00.000Z",
          duration_ms: null,
          status: 500,
          error_type: "server_error",
          body_error: null,
          next_at: null,
        },
      ],
      reason: null,
    });
  });

  test("shows why a callback failed", () => {
    const task = buildTask({ state: "failed", callback: { state: "failed", reason: "stopped" } });

    expect(taskView(task, context).callback?.reason).toBe("stopped");
  });
});

describe("taskSummary", () => {
  test.each(CASES)("has exactly the wire's fields for a task that is $name", ({ task }) => {
    const view = taskSummary(task, context);

    expect(TaskSummary.strict().parse(view)).toEqual(view);
  });

  test("gives a held task no due time, as it waits for a condition", () => {
    const held = taskSummary(buildTask({ state: "held", dueAt: NOW + 1_000 }), context);
    expect(held).toMatchObject({ due_at: null, expires_at: "2026-11-24T10:00:00.000Z" });
  });

  test.each(["pending", "retrying"] as const)("says when a %s task is due and expires", (state) => {
    expect(taskSummary(buildTask({ state, dueAt: NOW + 1_000 }), context)).toMatchObject({
      due_at: "2026-11-23T10:00:01.000Z",
      expires_at: "2026-11-24T10:00:00.000Z",
      finalized_at: null,
    });
  });

  test("says when a running task expires, since it is due no more", () => {
    expect(taskSummary(buildTask({ state: "running" }), context)).toMatchObject({
      due_at: null,
      expires_at: "2026-11-24T10:00:00.000Z",
    });
  });

  test.each([
    ["succeeded", "succeeded"],
    ["failed", "permanent"],
    ["cancelled", "cancelled"],
  ] as const)("says when and why a %s task ended", (state, reason) => {
    expect(taskSummary(buildTask({ state, dueAt: NOW + 9_000 }), context)).toMatchObject({
      due_at: null,
      expires_at: null,
      waiting_on: null,
      reason,
      finalized_at: "2026-11-23T10:00:00.000Z",
    });
  });

  test("says what a task waits for, in its shard's situation", () => {
    expect(taskSummary(buildTask(), { ...context, paused: true })).toMatchObject({
      waiting_on: "paused",
      summary: "Due, and waiting for its queue to be resumed; no attempt is used.",
    });
  });
});
