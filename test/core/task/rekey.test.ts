import { describe, expect, test } from "vitest";
import { HELD_LANE, retryLane } from "../../../src/core/task/lane.ts";
import { rekeyed } from "../../../src/core/task/rekey.ts";
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
