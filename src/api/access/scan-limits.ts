import {
  isForgettable,
  mayScan,
  NO_SCANS,
  type ScanBudget,
  scanBegun,
  scanEnded,
} from "../../core/pressure/scan-budget.ts";
import { clock } from "../../platform/clock.ts";
import { AppError } from "../http/app-error.ts";

/** Keys remembered before those that have nothing to be remembered for are looked for. */
const MANY_KEYS = 1_000;

const budgets = new Map<string, ScanBudget>();

/** What a list has cost so far; whoever runs it adds to it. */
export interface ScanCost {
  shards: number;
  rows: number;
}

/**
 * Runs a list of a key within what its key may ask of this process. Throws AppError `rate_limited` where too many
 * are under way, or those before looked at too many rows.
 */
export async function withinScanBudget<T>(keyId: string, run: (cost: ScanCost) => Promise<T>): Promise<T> {
  const before = budgets.get(keyId) ?? NO_SCANS;
  const may = mayScan(before, clock.now());
  if (!may.ok) throw rateLimited(may.afterMs);
  budgets.set(keyId, scanBegun(before));
  const cost: ScanCost = { shards: 0, rows: 0 };
  try {
    return await run(cost);
  } finally {
    const now = clock.now();
    budgets.set(keyId, scanEnded(budgets.get(keyId) ?? NO_SCANS, cost.shards, cost.rows, now));
    if (budgets.size > MANY_KEYS) forget(now);
  }
}

function forget(now: number): void {
  for (const [keyId, budget] of budgets) if (isForgettable(budget, now)) budgets.delete(keyId);
}

function rateLimited(afterMs: number): AppError {
  const seconds = Math.ceil(afterMs / 1_000);
  const detail = `too many lists with this key: try again in ${seconds} s, one list after the other`;
  return new AppError("rate_limited", detail, { headers: { "retry-after": String(seconds) } });
}
