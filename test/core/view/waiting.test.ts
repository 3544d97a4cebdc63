import { describe, expect, test } from "vitest";
import { type ShardSituation, waitingOn } from "../../../src/core/view/waiting.ts";
import { buildTask, NOW } from "../../support/shard/build-task.ts";

const free: ShardSituation = { now: NOW, paused: false, slotFree: true };
const full = { ...free, slotFree: false };
const paused = { ...free, paused: true };
const probe = { url: "https://api.example.com/ready", period: 10_000, timeout: 5_000, success_threshold: 1 };

describe("waitingOn", () => {
  test.each(["running", "succeeded", "failed", "cancelled"] as const)("is null for a %s task", (state) => {
    expect(waitingOn(buildTask({ state, dueAt: NOW + 9_000 }), { ...paused, slotFree: false })).toBeNull();
  });

  test.each([
    ["signal" as const, "signal"],
    [null, "signal"],
    [{ probe }, "probe"],
  ])("says what a task held until %j waits for", (until, waiting) => {
    expect(waitingOn(buildTask({ state: "held", until }), paused)).toBe(waiting);
  });

  test.each(["pending", "retrying"] as const)("is null for a %s task about to be called", (state) => {
    expect(waitingOn(buildTask({ state }), free)).toBeNull();
  });

  test("is the capacity where slots are free but the process has no place for a call", () => {
    expect(waitingOn(buildTask({}), { ...full, placesTaken: true })).toBe("capacity");
    expect(waitingOn(buildTask({}), full)).toBe("concurrency");
  });

  test("is the schedule before the first due time", () => {
    expect(waitingOn(buildTask({ dueAt: NOW + 1 }), free)).toBe("schedule");
  });

  test("is the backoff between two attempts", () => {
    const task = buildTask({ state: "retrying", trigger: "retry", dueAt: NOW + 1 });

    expect(waitingOn(task, free)).toBe("backoff");
  });

  test("is the schedule where a resumed task's grant was taken back", () => {
    const task = buildTask({ state: "retrying", trigger: "resume", dueAt: NOW + 1 });

    expect(waitingOn(task, free)).toBe("schedule");
  });

  test.each(["pending", "retrying"] as const)("is the pause of the queue before a slot: %s", (state) => {
    expect(waitingOn(buildTask({ state }), { ...paused, slotFree: false })).toBe("paused");
  });

  test("is the due time before the pause", () => {
    expect(waitingOn(buildTask({ dueAt: NOW + 1 }), paused)).toBe("schedule");
  });

  test.each(["breaker", "rate", "budget", "concurrency"] as const)(
    "is what keeps the target from being called, before a free slot: %s",
    (why) => {
      const shut = { ...full, gate: { why, until: NOW + 4_000, breaker: null, isAsked: false } };
      expect(waitingOn(buildTask(), shut)).toBe(why);
      expect(waitingOn(buildTask({ state: "retrying" }), shut)).toBe(why);
      expect(waitingOn(buildTask({ dueAt: NOW + 1 }), shut)).toBe("schedule");
      expect(waitingOn(buildTask(), { ...shut, paused: true })).toBe("paused");
      expect(waitingOn(buildTask({ state: "running" }), shut)).toBeNull();
    },
  );

  test("is a slot where none is free", () => {
    expect(waitingOn(buildTask(), full)).toBe("concurrency");
  });

  test("is a slot while an earlier round's attempt is in flight", () => {
    const task = buildTask({ lane: null, leaseUntil: NOW + 9_000 });

    expect(waitingOn(task, free)).toBe("concurrency");
  });
});
