import { describe, expect, test } from "vitest";
import { callbackPhase, taskPhase } from "../../src/schema/state-facts.ts";
import { CALLBACK_STATES, TASK_STATES } from "../../src/schema/task.ts";

describe("phases", () => {
  test("of tasks: three states are ended, two wait for a time", () => {
    expect(TASK_STATES.filter((state) => taskPhase(state) === "ended")).toEqual([
      "succeeded",
      "failed",
      "cancelled",
    ]);
    expect(TASK_STATES.filter((state) => taskPhase(state) === "waiting")).toEqual(["pending", "retrying"]);
    expect(taskPhase("running")).toBe("called");
    expect(taskPhase("held")).toBe("held");
  });

  test("of callbacks: two states are ended, two wait for a time", () => {
    expect(CALLBACK_STATES.filter((state) => callbackPhase(state) === "ended")).toEqual([
      "delivered",
      "failed",
    ]);
    expect(CALLBACK_STATES.filter((state) => callbackPhase(state) === "waiting")).toEqual([
      "pending",
      "retrying",
    ]);
    expect(callbackPhase("running")).toBe("called");
  });
});
