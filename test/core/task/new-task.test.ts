import { describe, expect, test } from "vitest";
import { type NewTask, taskFrom } from "../../../src/core/task/new-task.ts";
import { makeTaskId } from "../../../src/core/task/task-id.ts";
import { buildCall, NOW, TARGET } from "../../support/shard/build-task.ts";

const MAX_AGE_MS = 3_600_000;

function buildNewTask(overrides: Partial<NewTask> = {}): NewTask {
  return {
    id: "tsk_1",
    target: TARGET,
    priority: 7,
    delayMs: 0,
    runAt: null,
    call: buildCall(),
    idempotencyKey: null,
    requestHash: null,
    edge: true,
    ...overrides,
  };
}

describe("taskFrom", () => {
  test("makes a pending task that waits in its target's lane and has made no attempt", () => {
    const request = buildNewTask();

    expect(taskFrom(request, MAX_AGE_MS, NOW)).toEqual({
      id: "tsk_1",
      state: "pending",
      target: TARGET,
      lane: TARGET,
      priority: 7,
      dueAt: NOW,
      expiresAt: NOW + MAX_AGE_MS,
      round: 1,
      attempt: 0,
      attemptsBefore: 0,
      lease: 0,
      leaseUntil: null,
      settledLease: 0,
      trigger: "submit",
      createdAt: NOW,
      finalizedAt: null,
      reason: null,
      until: null,
      call: request.call,
      history: [],
      attemptsOmitted: 0,
      response: null,
      callback: null,
    });
  });

  test.each([
    ["a delay", { delayMs: 10_000 }, NOW + 10_000, "schedule"],
    ["an instant to come", { runAt: NOW + 5_000 }, NOW + 5_000, "schedule"],
    ["an instant, which wins over a delay", { runAt: NOW + 5_000, delayMs: 60_000 }, NOW + 5_000, "schedule"],
    ["an instant that is over, which wins too", { runAt: NOW - 5_000, delayMs: 60_000 }, NOW, "submit"],
  ] as const)("is due after %s, and max_age runs from then", (_, overrides, dueAt, trigger) => {
    expect(taskFrom(buildNewTask(overrides), MAX_AGE_MS, NOW)).toMatchObject({
      dueAt,
      trigger,
      expiresAt: dueAt + MAX_AGE_MS,
      createdAt: NOW,
    });
  });

  test("was created when its id was made, which lists go by", () => {
    const id = makeTaskId({ createdAt: NOW - 40, shard: 0, queueRef: 1 }, () => 0);

    expect(taskFrom(buildNewTask({ id }), MAX_AGE_MS, NOW).createdAt).toBe(NOW - 40);
  });
});
