import {
  BREAKER_BUCKET_MS,
  BREAKER_BURST_MS,
  MAX_CONNECT_FAILURES,
  MAX_FAILURES_IN_A_ROW,
  SILENT_FOR_CONNECT,
} from "../../schema/breaker.ts";
import type { CallEffect } from "./call-effect.ts";

/** Calls by what they say about their target; `slow` and `connect` are among the `ok` and the `failed`. */
export interface Counts {
  ok: number;
  failed: number;
  /** Took too large a share of the timeout. */
  slow: number;
  /** Failed before there was a connection. */
  connect: number;
}

/** What one source counted from `start` on, to the end of that 10 s slice. Only ever grows. */
export interface Bucket extends Counts {
  start: number;
  /** The `seq` of the last call in it. */
  seq: number;
}

/**
 * When a source was last unable to connect. Written by that source alone and numbered, so that of two the one
 * with the larger `seq` is right.
 */
export interface Reach {
  /** Calls the source has counted so far, which number them from 1. */
  seq: number;
  /** When it last had a connection; 0: never. */
  reachedAt: number;
  /** When it failed to connect since, oldest first; the last MAX_CONNECT_FAILURES. */
  failedAt: readonly number[];
  /** When a call last succeeded; absent: never, or not told. */
  okAt?: number;
  /**
   * When calls failed since, in whatever way, oldest first: the first of each BREAKER_BURST_MS, the last
   * MAX_FAILURES_IN_A_ROW of these.
   */
  faultsAt?: readonly number[];
  /** When a call last got an answer, of whatever kind; absent: never, or not told. */
  answeredAt?: number;
  /**
   * When calls got none since, for want of a connection or because it broke off, oldest first; the last MAX_SILENT. A
   * timeout is neither: the answer might have come.
   */
  silentAt?: readonly number[];
}

const MAX_SILENT = SILENT_FOR_CONNECT * MAX_CONNECT_FAILURES;

/** All that one source has counted lately; plain JSON. */
export interface SourceCounts {
  buckets: readonly Bucket[];
  reach: Reach;
}

/** What a source tells: the buckets that may be news, each whole. */
export interface CountsReport extends SourceCounts {
  /** A shard and the life of its memory: counts that start again at 0 are those of another source. */
  source: string;
}

/** What is known of a target, by source. */
export type BreakerCounts = ReadonlyMap<string, SourceCounts>;

/** What a source has counted before its first call. */
export const NO_COUNTS: SourceCounts = {
  buckets: [],
  reach: { seq: 0, reachedAt: 0, failedAt: [] },
};

/**
 * The counts with a report merged in. Of each (source, bucket) the largest values stay, so reports may be lost,
 * repeated and reordered: what the last one said holds.
 */
export function mergeReport(counts: BreakerCounts, report: CountsReport): BreakerCounts {
  const known = counts.get(report.source) ?? NO_COUNTS;
  const byStart = new Map(known.buckets.map((bucket) => [bucket.start, bucket]));
  for (const bucket of report.buckets)
    byStart.set(bucket.start, larger(bucket, byStart.get(bucket.start) ?? bucket));
  const merged: SourceCounts = {
    buckets: [...byStart.values()].sort((a, b) => a.start - b.start),
    reach: report.reach.seq > known.reach.seq ? report.reach : known.reach,
  };
  return new Map(counts).set(report.source, merged);
}

/**
 * The counts without what began before `before`. Sums over later times are unchanged; a source that has told
 * nothing since is forgotten.
 */
export function dropOld(counts: BreakerCounts, before: number): BreakerCounts {
  const kept = new Map<string, SourceCounts>();
  for (const [source, { buckets, reach }] of counts) {
    const recent = buckets.filter((bucket) => bucket.start >= before);
    const { reachedAt, failedAt, faultsAt = [], silentAt = [] } = reach;
    const lastAt = Math.max(reachedAt, ...failedAt, ...faultsAt, ...silentAt);
    if (recent.length > 0 || lastAt >= before) kept.set(source, { buckets: recent, reach });
  }
  return kept;
}

/** The sum over all sources of the buckets that began in the last `windowMs`, and not before `from`. */
export function windowSum(counts: BreakerCounts, now: number, windowMs: number, from: number): Counts {
  const since = Math.max(now - windowMs, from);
  const sum = { ok: 0, failed: 0, slow: 0, connect: 0 };
  for (const { buckets } of counts.values()) {
    for (const bucket of buckets) {
      if (bucket.start < since) continue;
      sum.ok += bucket.ok;
      sum.failed += bucket.failed;
      sum.slow += bucket.slow;
      sum.connect += bucket.connect;
    }
  }
  return sum;
}

/**
 * How often in a row, over all sources, a connection was not to be had: failures in the last `windowMs` that
 * came after the latest connection anywhere, and after `from`. Exact up to MAX_CONNECT_FAILURES; beyond, at
 * least that many.
 */
export function connectRun(counts: BreakerCounts, now: number, windowMs: number, from: number): number {
  const reaches = [...counts.values()].map(({ reach }) => reach);
  const after = Math.max(now - windowMs, from, ...reaches.map(({ reachedAt }) => reachedAt));
  return reaches.reduce((sum, { failedAt }) => sum + failedAt.filter((at) => at > after).length, 0);
}

/**
 * How often in a row, over all sources, calls got no answer, since the latest that is known anywhere and after `from`,
 * in the last `windowMs`. Of several sources it counts as failureRun does: one for the first of each. Exact for one
 * source up to MAX_SILENT; beyond, at least that many.
 */
export function silentRun(counts: BreakerCounts, now: number, windowMs: number, from: number): number {
  const reaches = [...counts.values()].map(({ reach }) => reach);
  const after = Math.max(now - windowMs, from, ...reaches.map(({ answeredAt = 0 }) => answeredAt));
  const runs = reaches.map(({ silentAt = [] }) => silentAt.filter((at) => at > after).length);
  const followed = runs.reduce((sum, run) => sum + Math.max(0, run - 1), 0);
  return followed + (runs.some((run) => run > 0) ? 1 : 0);
}

/**
 * How often in a row, over all sources, calls failed: failures in the last `windowMs` that came after the latest
 * success anywhere, and after `from`, those of one BREAKER_BURST_MS taken for one. What a source called after its
 * last failure may not have been told, so its first failure says nothing about the others' successes before it:
 * only those that follow count, and one for all the first ones. Exact for one source up to MAX_FAILURES_IN_A_ROW;
 * beyond, at least that many.
 */
export function failureRun(counts: BreakerCounts, now: number, windowMs: number, from: number): number {
  const reaches = [...counts.values()].map(({ reach }) => reach);
  const after = Math.max(now - windowMs, from, ...reaches.map(({ okAt = 0 }) => okAt));
  const runs = reaches.map(({ faultsAt = [] }) => burstsAt(faultsAt.filter((at) => at > after)));
  const followed = new Set(runs.flatMap((run) => run.slice(1)));
  return followed.size + (runs.some((run) => run.length > 0) ? 1 : 0);
}

/**
 * How many failures there were, over all sources, since the latest success that is known and after `from`, in the last
 * `windowMs`, those of one BREAKER_BURST_MS taken for one. More than `failureRun` where there are several sources: what
 * the others called since their last report is not asked for.
 */
export function failuresSince(counts: BreakerCounts, now: number, windowMs: number, from: number): number {
  const reaches = [...counts.values()].map(({ reach }) => reach);
  const after = Math.max(now - windowMs, from, ...reaches.map(({ okAt = 0 }) => okAt));
  return burstsAt(reaches.flatMap(({ faultsAt = [] }) => faultsAt.filter((at) => at > after))).length;
}

/**
 * A source's own counts with one more call, which ended at `now`. A new bucket begins every 10 s, and at `from`
 * (when the breaker closed), so that no bucket holds calls of before and after. Buckets older than `windowMs` go.
 */
export function addCall(
  own: SourceCounts,
  effect: CallEffect,
  now: number,
  from: number,
  windowMs: number,
): SourceCounts {
  const start = Math.max(bucketStart(now), from);
  const buckets = own.buckets.filter((bucket) => bucket.start >= now - windowMs && bucket.start !== start);
  const before = own.buckets.find((bucket) => bucket.start === start);
  const reach = reachAfter(own.reach, effect, now);
  const bucket = before ?? { start, seq: 0, ok: 0, failed: 0, slow: 0, connect: 0 };
  return { buckets: [...buckets, counted(bucket, effect, reach.seq)], reach };
}

/** When the slice of time began that `now` is in. */
export function bucketStart(now: number): number {
  return Math.floor(now / BREAKER_BUCKET_MS) * BREAKER_BUCKET_MS;
}

function counted(bucket: Bucket, { ok, slow, reach }: CallEffect, seq: number): Bucket {
  return {
    start: bucket.start,
    seq,
    ok: bucket.ok + (ok ? 1 : 0),
    failed: bucket.failed + (ok ? 0 : 1),
    slow: bucket.slow + (slow ? 1 : 0),
    connect: bucket.connect + (reach === "unreached" ? 1 : 0),
  };
}

function reachAfter(before: Reach, effect: CallEffect, now: number): Reach {
  const after = {
    ...before,
    seq: before.seq + 1,
    ...(effect.ok
      ? { okAt: Math.max(before.okAt ?? 0, now), faultsAt: [] }
      : { faultsAt: withFault(before.faultsAt ?? [], now) }),
  };
  const connected = { reachedAt: Math.max(before.reachedAt, now), failedAt: [] };
  const silentAt = [...(before.silentAt ?? []), now].slice(-MAX_SILENT);
  switch (effect.reach) {
    case "answered":
      return { ...after, ...connected, answeredAt: Math.max(before.answeredAt ?? 0, now), silentAt: [] };
    case "dropped":
      return { ...after, ...connected, silentAt };
    case "unreached":
      return { ...after, failedAt: [...before.failedAt, now].slice(-MAX_CONNECT_FAILURES), silentAt };
    case "unknown":
      return after;
  }
}

/** The instants with one more, where that is not of the same burst as the last. */
function withFault(faultsAt: readonly number[], now: number): readonly number[] {
  const last = faultsAt.at(-1);
  if (last !== undefined && burstAt(now) <= burstAt(last)) return faultsAt;
  return [...faultsAt, now].slice(-MAX_FAILURES_IN_A_ROW);
}

/** The bursts that there are among instants. */
function burstsAt(instants: readonly number[]): number[] {
  return [...new Set(instants.map(burstAt))];
}

function burstAt(at: number): number {
  return Math.floor(at / BREAKER_BURST_MS);
}

function larger(a: Bucket, b: Bucket): Bucket {
  return {
    start: a.start,
    seq: Math.max(a.seq, b.seq),
    ok: Math.max(a.ok, b.ok),
    failed: Math.max(a.failed, b.failed),
    slow: Math.max(a.slow, b.slow),
    connect: Math.max(a.connect, b.connect),
  };
}
