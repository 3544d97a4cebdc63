import { describe, expect, test } from "vitest";
import { DEFAULT_CALLBACK_TIMEOUT_MS, effectiveCallback } from "../../src/core/callback-settings.ts";
import { DEFAULT_CALLBACK_POLICY } from "../../src/core/policy.ts";
import type { CallbackSettings } from "../../src/schema/task.ts";

const own = { url: "https://task.example.com/hook" };
const queue: CallbackSettings = {
  url: "https://queue.example.com/hook",
  on: ["failed"],
  timeout: 3_000,
  headers: { "x-from": "queue" },
  retry: { max_attempts: 4, max_age: 60_000 },
};

describe("effectiveCallback", () => {
  test("is the queue's where the task says nothing", () => {
    expect(effectiveCallback(undefined, queue)).toEqual({
      url: "https://queue.example.com/hook",
      on: ["failed"],
      timeoutMs: 3_000,
      headers: { "x-from": "queue" },
      policy: { ...DEFAULT_CALLBACK_POLICY, maxAttempts: 4, maxAgeMs: 60_000 },
    });
  });

  test("has the defaults where only a URL is known", () => {
    expect(effectiveCallback(own, null)).toEqual({
      url: "https://task.example.com/hook",
      on: ["succeeded", "failed", "cancelled"],
      timeoutMs: DEFAULT_CALLBACK_TIMEOUT_MS,
      headers: {},
      policy: DEFAULT_CALLBACK_POLICY,
    });
  });

  test("takes each field from the task first", () => {
    const all = {
      ...own,
      on: ["cancelled" as const],
      timeoutMs: 9_000,
      headers: { "x-from": "task" },
      retry: { max_attempts: 2 },
    };

    expect(effectiveCallback(all, queue)).toMatchObject({
      url: "https://task.example.com/hook",
      on: ["cancelled"],
      timeoutMs: 9_000,
      headers: { "x-from": "task" },
      policy: { maxAttempts: 2, maxAgeMs: 60_000 },
    });
  });

  test("takes what the task leaves out from the queue", () => {
    expect(effectiveCallback(own, queue)).toMatchObject({
      url: "https://task.example.com/hook",
      on: ["failed"],
      timeoutMs: 3_000,
      headers: { "x-from": "queue" },
    });
    expect(effectiveCallback({ on: ["succeeded"] }, queue)?.url).toBe("https://queue.example.com/hook");
  });

  test.each([
    ["the task wants none", null, queue],
    ["neither names a URL", { on: ["failed" as const] }, { timeout: 3_000 }],
    ["neither says anything", undefined, null],
  ])("is null where %s", (_, task, settings) => {
    expect(effectiveCallback(task, settings)).toBeNull();
  });
});
