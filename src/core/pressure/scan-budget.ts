import { SECOND_MS } from "../../schema/limits.ts";

/**
 * What the lists of one API key may cost a process. A list looks at rows that it does not show; who asks for many at
 * once would keep all others waiting.
 */
export interface ScanBudget {
  /** Lists under way. */
  running: number;
  /** Until when what was looked at is paid for, at so many rows a second. */
  paidAt: number;
}

/** Lists of one key that may be under way at once. */
export const MOST_SCANS = 8;
/** Rows that the lists of one key may look at, each second on average. */
const ROWS_A_SECOND = 20_000;
/** How far ahead of that average they may be: 200,000 rows. */
const BURST_MS = 10 * SECOND_MS;
/** To ask a shard costs as much as to look at so many rows in it. */
const ROWS_OF_A_CALL = 20;

/** A key that has asked for nothing yet. */
export const NO_SCANS: ScanBudget = { running: 0, paidAt: 0 };

/** Whether one more list may begin; else after how many milliseconds to ask again. */
export function mayScan(budget: ScanBudget, now: number): { ok: true } | { ok: false; afterMs: number } {
  const aheadMs = budget.paidAt - BURST_MS - now;
  if (aheadMs > 0) return { ok: false, afterMs: aheadMs };
  return budget.running < MOST_SCANS ? { ok: true } : { ok: false, afterMs: SECOND_MS };
}

/** A list has begun. */
export function scanBegun(budget: ScanBudget): ScanBudget {
  return { ...budget, running: budget.running + 1 };
}

/** A list has ended, for which so many shards were asked and looked at so many rows. */
export function scanEnded(budget: ScanBudget, shards: number, rows: number, now: number): ScanBudget {
  const costMs = ((shards * ROWS_OF_A_CALL + rows) * SECOND_MS) / ROWS_A_SECOND;
  return { running: budget.running - 1, paidAt: Math.max(now, budget.paidAt) + costMs };
}

/** True where nothing has to be remembered of a key. */
export function isForgettable({ running, paidAt }: ScanBudget, now: number): boolean {
  return running === 0 && paidAt <= now;
}
