import { describe, expect, test } from "vitest";
import {
  isForgettable,
  MOST_SCANS,
  mayScan,
  NO_SCANS,
  type ScanBudget,
  scanBegun,
  scanEnded,
} from "../../../src/core/pressure/scan-budget.ts";

const NOW = 1_000_000;

function budgetAfter(lists: number, shards: number, rows: number): ScanBudget {
  let budget = NO_SCANS;
  for (let i = 0; i < lists; i++) budget = scanEnded(scanBegun(budget), shards, rows, NOW);
  return budget;
}

describe("mayScan", () => {
  test("lets eight lists of a key be under way, and a ninth once one has ended", () => {
    let budget = NO_SCANS;
    for (let i = 0; i < MOST_SCANS; i++) {
      expect(mayScan(budget, NOW)).toEqual({ ok: true });
      budget = scanBegun(budget);
    }
    expect(mayScan(budget, NOW)).toEqual({ ok: false, afterMs: 1_000 });
    expect(mayScan(scanEnded(budget, 1, 10, NOW), NOW)).toEqual({ ok: true });
  });

  test("lets 200,000 rows be looked at, and then 20,000 a second", () => {
    const budget = budgetAfter(26, 4, 8_000);
    const refused = mayScan(budget, NOW);
    expect(refused).toMatchObject({ ok: false });
    if (refused.ok) return;
    expect(refused.afterMs).toBeCloseTo(504, 0);
    expect(mayScan(budget, NOW + refused.afterMs)).toEqual({ ok: true });
  });

  test("counts a shard that is asked as twenty rows", () => {
    expect(budgetAfter(1, 1_000, 0).paidAt).toBe(budgetAfter(1, 0, 20_000).paidAt);
  });
});

describe("isForgettable", () => {
  test.each([
    ["has paid", { running: 0, paidAt: NOW }, true],
    ["has not", { running: 0, paidAt: NOW + 1 }, false],
    ["has a list under way", { running: 1, paidAt: 0 }, false],
  ])("a key that %s: %s", (_, budget, expected) => {
    expect(isForgettable(budget, NOW)).toBe(expected);
  });
});
