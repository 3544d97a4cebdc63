import { describe, expect, test } from "vitest";
import { RekeyRequest, RekeyResult, TaskRekey } from "../../src/schema/rekey.ts";

describe("RekeyRequest", () => {
  test("needs a queue and a breaker_key, and looks at all its tasks that are not final", () => {
    expect(RekeyRequest.parse({ queue: "hooks", breaker_key: "alice" })).toEqual({
      queue: "hooks",
      breaker_key: "alice",
      dry_run: false,
    });
    for (const wrong of [{ queue: "hooks" }, { breaker_key: "alice" }])
      expect(RekeyRequest.safeParse(wrong).success).toBe(false);
  });

  test.each([{ breaker_key: "" }, { breaker_key: "a/b" }, { state: "succeeded" }, { states: [] }])(
    "takes no %j",
    (wrong) => {
      const right = {
        queue: "hooks",
        breaker_key: null,
        state: "held",
        label: "a",
        target: "x",
        cursor: "y",
      };
      expect(RekeyRequest.safeParse(right).success).toBe(true);
      expect(RekeyRequest.safeParse({ ...right, ...wrong }).success).toBe(false);
    },
  );
});

test("TaskRekey takes null for the target of the URL, and not nothing", () => {
  expect(TaskRekey.parse({ breaker_key: null })).toEqual({ breaker_key: null });
  expect(TaskRekey.safeParse({}).success).toBe(false);
});

test("RekeyResult says whether there may be more", () => {
  const result = { matched: 3, changed: 2, dry_run: false, next_cursor: null };
  expect(RekeyResult.parse(result)).toEqual(result);
});
