import { describe, expect, test } from "vitest";
import {
  type EndedRow,
  passPauseMs,
  retentionEndsAt,
  retentionOf,
  shortestRetention,
} from "../../../src/core/task/retention.ts";

const HOUR = 3_600_000;
const RETENTIONS = { succeeded: 100 * HOUR, failed: 200 * HOUR };
const ENDED: EndedRow = { state: "succeeded", finalizedAt: 1_000, lane: null, leaseUntil: null };

describe("how long final tasks are kept", () => {
  test("is one time for those that succeeded, and one for all others", () => {
    expect(retentionOf("succeeded", RETENTIONS)).toBe(100 * HOUR);
    expect(retentionOf("failed", RETENTIONS)).toBe(200 * HOUR);
    expect(retentionOf("cancelled", RETENTIONS)).toBe(200 * HOUR);
    expect(shortestRetention(RETENTIONS)).toBe(100 * HOUR);
  });

  test("begins when a task ends", () => {
    expect(retentionEndsAt(ENDED, RETENTIONS)).toBe(1_000 + 100 * HOUR);
    expect(retentionEndsAt({ ...ENDED, state: "cancelled" }, RETENTIONS)).toBe(1_000 + 200 * HOUR);
  });

  test.each<[string, Partial<EndedRow>]>([
    ["is not final", { state: "retrying" }],
    ["has no time of its end", { finalizedAt: null }],
    ["waits for the delivery of its callback", { lane: ">https://a.example" }],
    ["has a delivery in flight", { leaseUntil: 2_000 }],
  ])("does not end while a row %s", (_, row) => {
    expect(retentionEndsAt({ ...ENDED, ...row }, RETENTIONS)).toBeNull();
  });

  test("lets passes of pruning be ten minutes apart, and a hundredth of the shortest retention", () => {
    expect(passPauseMs(RETENTIONS)).toBe(HOUR);
    expect(passPauseMs({ succeeded: HOUR, failed: HOUR })).toBe(HOUR / 6);
  });
});
