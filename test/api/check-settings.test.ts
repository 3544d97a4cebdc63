import { describe, expect, test } from "vitest";
import { checkSettings } from "../../src/catalog/check-settings.ts";
import { QueueSettings } from "../../src/schema/queue.ts";

describe("checkSettings", () => {
  test("accepts a new queue with its default shards, and with its own", () => {
    expect(checkSettings(QueueSettings.parse({}), null)).toBeNull();
    expect(checkSettings(QueueSettings.parse({ shards: 1, concurrency: 1 }), null)).toBeNull();
  });

  test("accepts a change that leaves shards out or repeats them", () => {
    expect(checkSettings(QueueSettings.parse({}), 8)).toBeNull();
    expect(checkSettings(QueueSettings.parse({ shards: 8 }), 8)).toBeNull();
  });

  test("refuses another number of shards and names the fix", () => {
    const refusal = checkSettings(QueueSettings.parse({ shards: 2 }), 8);
    expect(refusal).toMatchObject({ code: "queue_conflict", errors: [{ path: "shards" }] });
    expect(refusal?.detail).toContain("leave shards out, or delete the queue and create it with shards: 2");
  });

  test("refuses fewer slots than shards and names the fix", () => {
    const created = checkSettings(QueueSettings.parse({ concurrency: 2 }), null);
    expect(created).toMatchObject({ code: "invalid_request", errors: [{ path: "concurrency" }] });
    expect(created?.detail).toContain("set shards: 2 or fewer");
    const changed = checkSettings(QueueSettings.parse({ concurrency: 2 }), 8);
    expect(changed?.detail).toContain("set concurrency: 8 or more");
  });

  test("accepts a rate that gives each shard an attempt an hour", () => {
    const rate = { limit: 2, per: "30m" };
    expect(checkSettings(QueueSettings.parse({ shards: 4, rate }), null)).toBeNull();
    expect(checkSettings(QueueSettings.parse({ rate: { limit: 1 } }), 256)).toBeNull();
  });

  test("refuses a rate that does not, and names the fix", () => {
    const rate = { limit: 3, per: "1h" };
    const created = checkSettings(QueueSettings.parse({ rate }), null);
    expect(created).toMatchObject({ code: "invalid_request", errors: [{ path: "rate.limit" }] });
    expect(created?.detail).toContain("set shards: 3 or fewer");
    const changed = checkSettings(QueueSettings.parse({ rate: { limit: 1, per: "30m" } }), 8);
    expect(changed?.detail).toContain("shards (8), got 2; set rate.limit: 4 or more");
  });
});
