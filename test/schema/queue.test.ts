import { describe, expect, test } from "vitest";
import { BreakerSettings } from "../../src/schema/breaker.ts";
import { QueueSettings, QueueView, Retention, TaskCounts } from "../../src/schema/queue.ts";
import { TASK_STATES } from "../../src/schema/task.ts";
import { issuesOf } from "../support/issues.ts";

const DAY_MS = 86_400_000;
const counts = Object.fromEntries(TASK_STATES.map((state) => [state, 0]));

describe("QueueSettings", () => {
  test("fills in what is left out", () => {
    expect(QueueSettings.parse({})).toEqual({
      encrypt: false,
      retry: {},
      timeout: 20_000,
      callback: null,
      concurrency: 256,
      retention: { succeeded: 7 * DAY_MS, failed: 30 * DAY_MS },
      breaker: BreakerSettings.parse({}),
      retry_budget: { enabled: true, ratio: 0.2, per_minute: 10 },
      rate: null,
      adaptive_concurrency: true,
      events: null,
    });
  });

  test("reads durations as milliseconds", () => {
    const settings = { timeout: "90s", retention: { succeeded: "1d" }, callback: { timeout: "5s" } };

    expect(QueueSettings.parse(settings)).toMatchObject({
      timeout: 90_000,
      retention: { succeeded: DAY_MS, failed: 30 * DAY_MS },
      callback: { timeout: 5_000 },
    });
  });

  test("reads back what it has written, so that settings can be stored", () => {
    const parsed = QueueSettings.parse({ timeout: "90s", retry: { max_age: "1h" }, shards: 8 });

    expect(QueueSettings.parse(JSON.parse(JSON.stringify(parsed)))).toEqual(parsed);
  });

  test.each([
    ["0 slots", { concurrency: 0 }, "concurrency"],
    ["10,001 slots", { concurrency: 10_001 }, "concurrency"],
    ["0 shards", { shards: 0 }, "shards"],
    ["257 shards", { shards: 257 }, "shards"],
    ["a timeout over 10 minutes", { timeout: "11m" }, "timeout"],
    ["a retention over 90 days", { retention: { failed: "91d" } }, "retention.failed"],
    ["a wrong policy", { retry: { max_attempts: 0 } }, "retry.max_attempts"],
    ["a wrong callback", { callback: { url: 1 } }, "callback.url"],
    ["an unknown field", { speed: 1 }, ""],
  ])("refuses %s", (_, settings, path) => {
    expect(issuesOf(QueueSettings, settings)).toEqual([expect.stringMatching(new RegExp(`^${path}: .`))]);
  });

  test.each([{ concurrency: 1 }, { concurrency: 10_000 }, { shards: 1 }, { shards: 256 }])(
    "takes %j",
    (settings) => {
      expect(issuesOf(QueueSettings, settings)).toEqual([]);
    },
  );
});

describe("Retention", () => {
  test("can be none at all", () => {
    expect(Retention.parse({ succeeded: 0, failed: 0 })).toEqual({ succeeded: 0, failed: 0 });
  });
});

describe("TaskCounts", () => {
  test("has one count for each state", () => {
    expect(TaskCounts.parse(counts)).toEqual(counts);
  });

  test.each(TASK_STATES)("misses that of %s", (state) => {
    expect(issuesOf(TaskCounts, { ...counts, [state]: undefined })).toEqual([
      expect.stringMatching(new RegExp(`^${state}: `)),
    ]);
  });
});

describe("QueueView", () => {
  test("shows settings without the number of shards, which stands beside them", () => {
    const { shards, ...settings } = QueueSettings.parse({ shards: 2 });
    const at = "2026-11-23T10:00:00.000Z";
    const view = { name: "payments", paused: false, shards, settings, created_at: at, updated_at: at };

    expect(QueueView.parse(view)).toEqual(view);
    expect(issuesOf(QueueView, { ...view, settings: { ...settings, shards } })).toEqual([
      expect.stringContaining("shards"),
    ]);
  });
});
