import { describe, expect, test } from "vitest";
import { deliveryLane, HELD_LANE, retryLane } from "../../../src/core/task/lane.ts";
import { readdressed, rekeyed } from "../../../src/core/task/rekey.ts";
import { buildTask } from "../../support/shard/build-task.ts";

const NEW = "key:default/eu";

describe("rekeyed", () => {
  test("moves a task from its target's line to the other's", () => {
    const task = buildTask({ state: "pending" });
    expect(rekeyed({ ...task, lane: task.target }, NEW)).toEqual({ ...task, target: NEW, lane: NEW });
    expect(rekeyed({ ...task, state: "retrying", lane: retryLane(task.target) }, NEW)).toEqual({
      ...task,
      state: "retrying",
      target: NEW,
      lane: retryLane(NEW),
    });
  });

  test("leaves a running and a held task where they are, for the next attempt", () => {
    const task = buildTask({ state: "pending" });
    for (const [state, lane] of [
      ["running", null],
      ["held", HELD_LANE],
    ] as const)
      expect(rekeyed({ ...task, state, lane }, NEW)).toEqual({ ...task, state, lane, target: NEW });
  });

  test("is the same task where that has the target already", () => {
    const task = buildTask({ state: "pending" });
    expect(rekeyed(task, task.target)).toBe(task);
  });

  test.each(["succeeded", "failed", "cancelled"] as const)("is null of a task that has %s", (state) => {
    expect(rekeyed(buildTask({ state }), NEW)).toBeNull();
  });
});

describe("readdressed", () => {
  test("moves a callback that waits to the other target's line", () => {
    const task = buildTask({ state: "succeeded", callback: { state: "pending" } });
    const lane = deliveryLane(NEW);
    const moved = readdressed(task, NEW);
    expect(moved).toEqual({ ...task, lane, callback: { ...task.callback, lane } });
    expect(readdressed(moved, NEW)).toBe(moved);
  });

  test("leaves a task alone that has no callback, or one that does not wait", () => {
    for (const task of [
      buildTask({ state: "succeeded" }),
      buildTask({ state: "succeeded", callback: { state: "delivered" } }),
    ])
      expect(readdressed(task, NEW)).toBe(task);
  });
});
