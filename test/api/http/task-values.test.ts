import { describe, expect, test } from "vitest";
import { countTaskValues, MAX_TASK_VALUES } from "../../../src/api/http/task-values.ts";

describe("countTaskValues", () => {
  test.each<[unknown, number]>([
    [{ url: "x" }, 1],
    [{ url: "x", labels: ["a", "b"] }, 4],
    [{ url: "x", body: [1, 2, { body: 3 }] }, 1],
    [{ metadata: { body: [1, 2] } }, 4],
    [[1, [2, 3]], 4],
    ["body", 0],
    [null, 0],
  ])("of %j is %i", (raw, count) => {
    expect(countTaskValues(raw)).toBe(count);
  });

  test("stops above what a task may have, however wide or deep it is", () => {
    const wide = { labels: Array(1_000_000).fill(0) };
    const deep = { retry: Array.from({ length: 1_000 }, () => [[Array(100).fill(0)]]) };
    expect([wide, deep].map(countTaskValues)).toEqual([MAX_TASK_VALUES + 1, MAX_TASK_VALUES + 1]);
  });

  test("lets the fullest task through that every limit allows", () => {
    const intervals = Array(50).fill("1s");
    const probe = { url: "x", period: "1s", timeout: "1s", success_threshold: 1 };
    const backoff = { strategy: "schedule", jitter: "none", intervals };
    const rule = { when: "true", do: "retry", max_attempts: 2, backoff, until: { probe }, log: true };
    const headers = Object.fromEntries(Array.from({ length: 64 }, (_, i) => [`x-${i}`, ""]));
    const task = {
      retry: { backoff, conditions: Array(20).fill("true"), rules: Array(20).fill(rule) },
      callback: { url: "x", on: ["failed"], headers, retry: { backoff } },
      headers,
      labels: Array(16).fill("a"),
      metadata: { a: Array(4_000).fill(0) },
    };
    expect(countTaskValues(task)).toBeLessThan(MAX_TASK_VALUES);
  });
});
