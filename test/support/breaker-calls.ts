import type { CallEffect } from "../../src/core/breaker/call-effect.ts";
import {
  addCall,
  type BreakerCounts,
  mergeReport,
  NO_COUNTS,
  type SourceCounts,
} from "../../src/core/breaker/counts.ts";

export const OK: CallEffect = { ok: true, slow: false, reach: "answered" };
export const ERROR: CallEffect = { ok: false, slow: false, reach: "answered" };
export const DROPPED: CallEffect = { ok: false, slow: false, reach: "dropped" };
export const REFUSED: CallEffect = { ok: false, slow: false, reach: "unreached" };
export const TIMEOUT: CallEffect = { ok: false, slow: false, reach: "unknown" };
export const T0 = 1_000_000_000;
export const WINDOW_MS = 60_000;

/** A call of a source that ended `ms` after T0. */
export interface Call {
  source: string;
  ms: number;
  effect: CallEffect;
}

/** What is known once a call has ended. */
export interface Told extends Call {
  counts: BreakerCounts;
}

/** Calls of one source that ended so. */
export function by(source: string, effect: CallEffect, ...times: number[]): Call[] {
  return times.map((ms) => ({ source, ms, effect }));
}

/** So many times, one step apart. */
export function every(stepMs: number, count: number, fromMs = 0): number[] {
  return Array.from({ length: count }, (_, i) => fromMs + i * stepMs);
}

/** What is known, call by call, where each source tells all it has at once after a failure, and nothing after a success. */
export function* toldBy(calls: readonly Call[]): Generator<Told> {
  const own = new Map<string, SourceCounts>();
  let counts: BreakerCounts = new Map();
  for (const call of calls.toSorted((a, b) => a.ms - b.ms)) {
    const { source, ms, effect } = call;
    const next = addCall(own.get(source) ?? NO_COUNTS, effect, T0 + ms, 0, WINDOW_MS);
    own.set(source, next);
    if (!effect.ok) counts = mergeReport(counts, { source, ...next });
    yield { ...call, counts };
  }
}

/** What is known after all of them. */
export function toldAtEnd(calls: readonly Call[]): BreakerCounts {
  return [...toldBy(calls)].at(-1)?.counts ?? new Map();
}
