import { describe, expect, test } from "vitest";
import { CallbackPayload } from "../../src/schema/callback.ts";
import { CallbackEvent } from "../../src/schema/task.ts";
import { issuesOf } from "../support/issues.ts";

/** The message of the design's section 8. */
const message = {
  type: "task.succeeded",
  timestamp: "2026-11-23T10:00:00Z",
  data: {
    task: {
      id: "tsk_1",
      round: 1,
      queue: "payments",
      state: "succeeded",
      attempts: 3,
      metadata: {},
      labels: [],
    },
    response: { status: 200, headers: {}, body: "...", body_encoding: "utf8", truncated: false },
    error: null,
    history: [{ attempt: 1, status: 503, error_type: "server_error", delay_ms: 812 }],
  },
};

describe("CallbackPayload", () => {
  test("is the documented message", () => {
    expect(CallbackPayload.parse(message)).toEqual(message);
  });

  test("has a type for every state that a callback can tell of", () => {
    const types = CallbackPayload.shape.type.options;

    expect(types).toEqual(CallbackEvent.options.map((state) => `task.${state}`));
  });

  test("tells of a failure without an answer", () => {
    const error = { type: "timeout", code: "timeout", message: null, reason: "max_attempts" };
    const failed = { ...message, type: "task.failed", data: { ...message.data, response: null, error } };

    expect(CallbackPayload.parse(failed)).toEqual(failed);
  });

  test.each([
    ["another type", { ...message, type: "task.held" }, "type"],
    ["a timestamp that is none", { ...message, timestamp: "now" }, "timestamp"],
    [
      "an error type that is none",
      { ...message, data: { ...message.data, history: [{ ...message.data.history[0], error_type: "bad" }] } },
      "data.history.0.error_type",
    ],
  ])("is not a message with %s", (_, value, path) => {
    expect(issuesOf(CallbackPayload, value)).toEqual([expect.stringMatching(new RegExp(`^${path}: .`))]);
  });
});
