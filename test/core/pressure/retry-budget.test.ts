import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  budgetLeft,
  budgetRefillsAt,
  noteAttempt,
  noteResult,
  type RetryBudget,
  type RetryBudgetSettings,
  startBudget,
} from "../../../src/core/pressure/retry-budget.ts";

const NOW = Date.parse("2026-11-23T10:00:00.000Z");
const SETTINGS: RetryBudgetSettings = { enabled: true, ratio: 0.2, perMinute: 10 };

interface History {
  firsts?: number;
  retries?: number;
  ok?: number;
  failed?: number;
}

function build({ firsts = 0, retries = 0, ok = 0, failed = 0 }: History): RetryBudget {
  let budget = startBudget();
  for (let i = 0; i < firsts; i++) budget = noteAttempt(budget, false, NOW);
  for (let i = 0; i < retries; i++) budget = noteAttempt(budget, true, NOW);
  for (let i = 0; i < ok + failed; i++) budget = noteResult(budget, i < ok, NOW);
  return budget;
}
const left = (history: History, over: { falling?: boolean; shards?: number; now?: number } = {}) =>
  budgetLeft(build(history), SETTINGS, over.shards ?? 1, over.falling ?? false, over.now ?? NOW);

describe("budgetLeft", () => {
  test("does not bind before the first result", () => {
    expect(left({ retries: 1_000 })).toBe(Number.POSITIVE_INFINITY);
  });

  test("does not bind while a quarter of the calls succeeds", () => {
    expect(left({ retries: 1_000, ok: 25, failed: 75 })).toBe(Number.POSITIVE_INFINITY);
  });

  test("binds while fewer succeed: a fifth of first attempts and ten a minute", () => {
    expect(left({ firsts: 100, ok: 24, failed: 76 })).toBe(30);
    expect(left({ firsts: 100, retries: 29, ok: 24, failed: 76 })).toBe(1);
    expect(left({ firsts: 100, retries: 40, failed: 100 })).toBe(0);
  });

  test("binds while the limit is falling, however many succeed", () => {
    expect(left({ firsts: 100, ok: 100 }, { falling: true })).toBe(30);
  });

  test("counts the last minute only", () => {
    expect(left({ firsts: 100, retries: 30 }, { falling: true, now: NOW + 59_999 })).toBe(0);
    expect(left({ firsts: 100, retries: 30 }, { falling: true, now: NOW + 60_000 })).toBe(10);
    expect(left({ failed: 10 }, { now: NOW + 60_000 })).toBe(Number.POSITIVE_INFINITY);
  });

  test("divides the fixed part among the shards, but leaves each ten a minute, or all where there are fewer", () => {
    const inShard = (perMinute: number, shards: number) =>
      budgetLeft(build({ failed: 1 }), { ...SETTINGS, perMinute }, shards, false, NOW);
    expect([inShard(100, 1), inShard(100, 4), inShard(100, 256)]).toEqual([100, 25, 10]);
    expect([inShard(10, 4), inShard(3, 4), inShard(1, 256)]).toEqual([10, 3, 1]);
  });

  test("lets a task that is alone make all its tries by default, whatever its queue's shards", () => {
    expect(left({ firsts: 1, retries: 3, failed: 4 }, { shards: 256 })).toBeGreaterThanOrEqual(1);
  });

  test("is Infinity where it is switched off", () => {
    const budget = build({ retries: 1_000, failed: 1_000 });
    expect(budgetLeft(budget, { ...SETTINGS, enabled: false }, 1, true, NOW)).toBe(Number.POSITIVE_INFINITY);
  });

  test("keeps one who asks before each retry within a fifth of first attempts and ten, over any history", () => {
    const events = fc.array(fc.constantFrom("first", "retry", "ok", "failed"), { maxLength: 300 });
    fc.assert(
      fc.property(events, fc.integer({ min: 1, max: 20 }), (sequence, shards) => {
        let budget = startBudget();
        let firsts = 0;
        let retries = 0;
        for (const event of sequence) {
          if (event === "ok" || event === "failed") {
            budget = noteResult(budget, event === "ok", NOW);
          } else if (event === "first") {
            budget = noteAttempt(budget, false, NOW);
            firsts++;
          } else {
            const allowed = budgetLeft(budget, SETTINGS, shards, true, NOW);
            expect(Number.isInteger(allowed) && allowed >= 0).toBe(true);
            if (allowed === 0) continue;
            budget = noteAttempt(budget, true, NOW);
            retries++;
          }
        }
        expect(retries).toBeLessThanOrEqual(0.2 * firsts + 10);
      }),
    );
  });
});

describe("budgetRefillsAt", () => {
  test("is the end of the 10 s bucket, always after now", () => {
    expect([NOW, NOW + 1, NOW + 9_999].map(budgetRefillsAt)).toEqual([
      NOW + 10_000,
      NOW + 10_000,
      NOW + 10_000,
    ]);
  });

  test("is when a budget used up long ago has something left again", () => {
    const budget = build({ firsts: 100, retries: 30 });
    const refillsAt = budgetRefillsAt(NOW + 50_000);
    expect(budgetLeft(budget, SETTINGS, 1, true, refillsAt - 1)).toBe(0);
    expect(budgetLeft(budget, SETTINGS, 1, true, refillsAt)).toBe(10);
  });
});
