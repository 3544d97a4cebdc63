import { describe, expect, test } from "vitest";
import { attemptsInRound, isFinal } from "../../../src/core/task/task.ts";
import { TASK_STATES } from "../../../src/schema/task.ts";
import { buildTask } from "../../support/shard/build-task.ts";

describe("isFinal", () => {
  test("holds for the three states that end a round", () => {
    expect(TASK_STATES.filter(isFinal)).toEqual(["succeeded", "failed", "cancelled"]);
  });
});

describe("attemptsInRound", () => {
  test.each([
    [{ attempt: 0 }, 0],
    [{ attempt: 3 }, 3],
    [{ attempt: 7, attemptsBefore: 5, round: 2 }, 2],
  ])("of a task with %j is %i", (overrides, count) => {
    expect(attemptsInRound(buildTask(overrides))).toBe(count);
  });
});
