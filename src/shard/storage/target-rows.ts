import { type KeptBreaker, keptOf, type LocalBreaker } from "../../core/breaker/local-breaker.ts";
import { type Hold, NO_HOLD } from "../../core/policy/hold.ts";
import type { SqlPort } from "../../platform/sql-port.ts";

/** A target that nothing has waited for this long is no longer worth a row: the next call finds out anew. */
const FORGET_OPEN_MS = 86_400_000;

/** What is on disk of a target. */
export interface KeptTarget extends Hold {
  breaker: KeptBreaker | null;
  /** The row whose call is the probe under way; null: none is. */
  probing: string | null;
  /** The paths of an origin that are targets of their own, since they alone failed. */
  splits: readonly SplitPath[];
}

/** A path that is split off its origin. */
export interface SplitPath {
  /** Whole segments: `/hooks/alice`. */
  path: string;
  /** Its target key. */
  key: string;
  since: number;
  /** Why, in words. */
  reason: string;
}

/** What of a target is written: what must outlive memory. */
export interface TargetToKeep extends Hold {
  key: string;
  local: LocalBreaker;
  probing: string | null;
  /** It has a row of its own. */
  onDisk: boolean;
  splits: readonly SplitPath[];
}

/** What a target has on disk that nothing is known of. */
export const NOTHING_KEPT: KeptTarget = { breaker: null, ...NO_HOLD, probing: null, splits: [] };

/**
 * All targets with a row; read once, at a start. Rows that say nothing any more are deleted, but one of an isolated
 * target stays. One that cannot be read is as none: its Breaker object tells again.
 */
export function readKept(sql: SqlPort, now: number): Map<string, KeptTarget> {
  const kept = new Map<string, KeptTarget>();
  for (const row of sql.exec("SELECT key, breaker, held_from, held_until, splits FROM targets").toArray()) {
    const key = String(row.key);
    const heldUntil = Number(row.held_until ?? 0);
    // An older release did not write since when: from now on it is no longer than any.
    const heldFrom = Number(row.held_from ?? (heldUntil > now ? now : 0));
    const target = { ...parse(row.breaker), heldFrom, heldUntil, splits: parseSplits(row.splits) };
    if (saysNothing(target, now)) sql.exec("DELETE FROM targets WHERE key = ?", key);
    else kept.set(key, target);
  }
  return kept;
}

/** Writes what must outlive memory, or removes the row where nothing must. True where there is a row now. */
export function writeKept(sql: SqlPort, target: TargetToKeep, now: number): boolean {
  const breaker = keptOf(target.local);
  if (breaker === null && target.heldUntil <= now && target.splits.length === 0) {
    if (target.onDisk) sql.exec("DELETE FROM targets WHERE key = ?", target.key);
    return false;
  }
  sql.exec(
    "INSERT OR REPLACE INTO targets (key, breaker, held_from, held_until, splits) VALUES (?, ?, ?, ?, ?)",
    target.key,
    breaker === null ? null : JSON.stringify({ ...breaker, probing: target.probing }),
    target.heldUntil > now ? target.heldFrom : null,
    target.heldUntil > now ? target.heldUntil : null,
    target.splits.length > 0 ? JSON.stringify(target.splits) : null,
  );
  return true;
}

function saysNothing({ breaker, heldUntil, splits }: KeptTarget, now: number): boolean {
  if (heldUntil > now || splits.length > 0) return false;
  if (breaker === null) return true;
  return breaker.breaker.state !== "isolated" && (breaker.askAt ?? 0) < now - FORGET_OPEN_MS;
}

function parse(text: unknown): Pick<KeptTarget, "breaker" | "probing"> {
  try {
    if (typeof text !== "string") return NOTHING_KEPT;
    const { probing = null, ...breaker } = JSON.parse(text) as KeptBreaker & { probing?: string | null };
    return { breaker, probing };
  } catch {
    return NOTHING_KEPT;
  }
}

/** What cannot be read is as none: what fails is split off anew. */
function parseSplits(text: unknown): readonly SplitPath[] {
  try {
    return typeof text === "string" ? (JSON.parse(text) as SplitPath[]) : [];
  } catch {
    return [];
  }
}
