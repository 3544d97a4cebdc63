import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { CallEffect } from "../../../src/core/breaker/call-effect.ts";
import {
  addCall,
  type BreakerCounts,
  bucketStart,
  type CountsReport,
  connectRun,
  dropOld,
  failureRun,
  mergeReport,
  NO_COUNTS,
  type SourceCounts,
  silentRun,
  windowSum,
} from "../../../src/core/breaker/counts.ts";
import { MAX_BREAKER_WINDOW_MS, MAX_CONNECT_FAILURES } from "../../../src/schema/breaker.ts";

const OK: CallEffect = { ok: true, slow: false, reach: "answered" };
const ERROR: CallEffect = { ok: false, slow: false, reach: "answered" };
const DROPPED: CallEffect = { ok: false, slow: false, reach: "dropped" };
const REFUSED: CallEffect = { ok: false, slow: false, reach: "unreached" };
const TIMEOUT: CallEffect = { ok: false, slow: true, reach: "unknown" };

interface Call {
  source: string;
  at: number;
  effect: CallEffect;
}
const T0 = 1_000_000_000;
const effects = fc.constantFrom(OK, ERROR, DROPPED, REFUSED, REFUSED, TIMEOUT);
/** Calls of up to three sources in the order of time, some at the same millisecond, over 200 s. */
const calls = fc
  .array(fc.record<Call>({ source: fc.constantFrom("a", "b", "c"), at: fc.nat(200), effect: effects }), {
    maxLength: 80,
  })
  .map((list) => list.map((call) => ({ ...call, at: T0 + call.at * 1_000 })).sort((x, y) => x.at - y.at));
const windows = fc.integer({ min: 20_000, max: 250_000 });

/** What each source reports after each of its calls: all that it has. */
function reportsOf(list: readonly Call[]): CountsReport[] {
  const own = new Map<string, SourceCounts>();
  return list.map(({ source, at, effect }) => {
    const counts = addCall(own.get(source) ?? NO_COUNTS, effect, at, 0, MAX_BREAKER_WINDOW_MS);
    own.set(source, counts);
    return { source, ...counts };
  });
}
const merge = (reports: readonly CountsReport[]): BreakerCounts =>
  reports.reduce<BreakerCounts>(mergeReport, new Map());
const countsOf = (list: readonly Call[]) => merge(reportsOf(list));
const at = (effect: CallEffect, ...seconds: number[]): Call[] =>
  seconds.map((second) => ({ source: "a", at: T0 + second * 1_000, effect }));

/** What the sums should be, from the calls themselves. */
function sumOf(list: readonly Call[], now: number, windowMs: number) {
  const counted = list.filter((call) => bucketStart(call.at) >= now - windowMs);
  const count = (holds: (effect: CallEffect) => boolean) => counted.filter((c) => holds(c.effect)).length;
  return {
    ok: count((e) => e.ok),
    failed: count((e) => !e.ok),
    slow: count((e) => e.slow),
    connect: count((e) => e.reach === "unreached"),
  };
}
function runOf(list: readonly Call[], now: number, windowMs: number) {
  const reached = list
    .filter((call) => ["answered", "dropped"].includes(call.effect.reach))
    .map((call) => call.at);
  const after = Math.max(now - windowMs, ...reached);
  return list.filter((call) => call.effect.reach === "unreached" && call.at > after).length;
}

describe("mergeReport", () => {
  test("comes to the same sums however reports are lost, repeated and reordered, but for each source's last", () => {
    const delivery = fc.infiniteStream(fc.record({ order: fc.nat(1_000), copies: fc.nat(3) }));
    fc.assert(
      fc.property(calls, delivery, windows, (list, stream, windowMs) => {
        const reports = reportsOf(list);
        const lastBySource = new Map(reports.map((report) => [report.source, report]));
        const delivered = reports
          .flatMap((report) => {
            const { order, copies } = stream.next().value;
            const least = lastBySource.get(report.source) === report ? 1 : 0;
            return Array.from({ length: Math.max(least, copies) }, (_, i) => ({
              report,
              order: order * (i + 1),
            }));
          })
          .sort((x, y) => x.order - y.order)
          .map(({ report }) => report);
        const counts = merge(delivered);
        const now = T0 + 200_000;
        expect(windowSum(counts, now, windowMs, 0)).toEqual(sumOf(list, now, windowMs));
        const run = connectRun(counts, now, windowMs, 0);
        const truly = runOf(list, now, windowMs);
        expect(Math.min(run, MAX_CONNECT_FAILURES)).toBe(Math.min(truly, MAX_CONNECT_FAILURES));
        expect(run).toBeLessThanOrEqual(truly);
        expect(failureRun(counts, now, windowMs, 0)).toBe(failureRun(merge(reports), now, windowMs, 0));
        expect(silentRun(counts, now, windowMs, 0)).toBe(silentRun(merge(reports), now, windowMs, 0));
      }),
      { numRuns: 300 },
    );
  });

  test("comes to the same counts in either order, and with every report twice", () => {
    fc.assert(
      fc.property(calls, fc.array(fc.nat(), { maxLength: 10 }), (list, picks) => {
        fc.pre(list.length > 0);
        const reports = reportsOf(list);
        const picked = picks.flatMap((pick) => reports[pick % reports.length] ?? []);
        const bySource = (counts: BreakerCounts) => [...counts].sort(([x], [y]) => (x < y ? -1 : 1));
        expect(bySource(merge(picked.toReversed()))).toEqual(bySource(merge(picked)));
        expect(bySource(merge([...picked, ...picked]))).toEqual(bySource(merge(picked)));
      }),
    );
  });

  test("keeps the counts of two lives of one shard apart", () => {
    const [before] = reportsOf(at(ERROR, 1));
    const [after] = reportsOf(at(ERROR, 2));
    if (before === undefined || after === undefined) throw new Error("expected reports");
    const counts = merge([before, { ...after, source: "a#2" }]);
    expect(windowSum(counts, T0 + 3_000, 60_000, 0).failed).toBe(2);
  });
});

describe("dropOld", () => {
  test("changes no sum over later times", () => {
    fc.assert(
      fc.property(calls, fc.nat(200), windows, (list, second, windowMs) => {
        const now = T0 + second * 1_000;
        const counts = countsOf(list.filter((call) => call.at <= now));
        const kept = dropOld(counts, now - windowMs);
        expect(windowSum(kept, now, windowMs, 0)).toEqual(windowSum(counts, now, windowMs, 0));
        expect(connectRun(kept, now, windowMs, 0)).toBe(connectRun(counts, now, windowMs, 0));
        expect(failureRun(kept, now, windowMs, 0)).toBe(failureRun(counts, now, windowMs, 0));
        expect(silentRun(kept, now, windowMs, 0)).toBe(silentRun(counts, now, windowMs, 0));
      }),
    );
  });

  test("keeps a source's run of failures whose bucket began earlier", () => {
    const kept = dropOld(countsOf(at(TIMEOUT, 25)), T0 + 22_000);
    expect(kept.get("a")?.buckets).toEqual([]);
    expect(failureRun(kept, T0 + 26_000, 4_000, 0)).toBe(1);
  });

  test("forgets buckets, and sources that told nothing since", () => {
    const counts = countsOf([...at(OK, 5, 25), ...at(REFUSED, 26).map((c) => ({ ...c, source: "b" }))]);
    expect(
      dropOld(counts, T0 + 20_000)
        .get("a")
        ?.buckets.map(({ start }) => start),
    ).toEqual([T0 + 20_000]);
    expect([...dropOld(counts, T0 + 26_000).keys()]).toEqual(["b"]);
    expect(dropOld(counts, T0 + 30_000).size).toBe(0);
  });
});

describe("windowSum", () => {
  test("sums the buckets that began in the window", () => {
    const counts = countsOf([...at(OK, 1, 11, 12), ...at(TIMEOUT, 13), ...at(REFUSED, 21)]);
    expect(windowSum(counts, T0 + 25_000, 60_000, 0)).toEqual({ ok: 3, failed: 2, slow: 1, connect: 1 });
    expect(windowSum(counts, T0 + 25_000, 20_000, 0)).toEqual({ ok: 2, failed: 2, slow: 1, connect: 1 });
    expect(windowSum(new Map(), T0, 60_000, 0)).toEqual({ ok: 0, failed: 0, slow: 0, connect: 0 });
  });

  test("leaves out what began before the breaker closed", () => {
    const closedAt = T0 + 4_000;
    const before = addCall(NO_COUNTS, ERROR, T0 + 3_000, 0, 60_000);
    const after = addCall(before, ERROR, T0 + 5_000, closedAt, 60_000);
    expect(after.buckets.map(({ start }) => start)).toEqual([T0, closedAt]);
    expect(windowSum(new Map([["a", after]]), T0 + 6_000, 60_000, closedAt).failed).toBe(1);
  });
});

describe("connectRun", () => {
  test("counts over sources since the latest connection anywhere", () => {
    const list: Call[] = [
      { source: "a", at: T0 + 1, effect: REFUSED },
      { source: "a", at: T0 + 2, effect: REFUSED },
      { source: "b", at: T0 + 3, effect: ERROR },
      { source: "a", at: T0 + 4, effect: REFUSED },
      { source: "c", at: T0 + 5, effect: REFUSED },
    ];
    expect(connectRun(countsOf(list), T0 + 6, 60_000, 0)).toBe(2);
    expect(connectRun(countsOf(list), T0 + 6, 60_000, T0 + 4)).toBe(1);
    expect(connectRun(new Map(), T0, 60_000, 0)).toBe(0);
  });

  test("is neither broken nor lengthened by a call of which it is not known", () => {
    const list = [...at(REFUSED, 1, 2), ...at(TIMEOUT, 3), ...at(REFUSED, 4)];
    expect(connectRun(countsOf(list), T0 + 5_000, 60_000, 0)).toBe(3);
  });

  test("forgets failures older than the window", () => {
    expect(connectRun(countsOf(at(REFUSED, 1, 2, 50)), T0 + 62_000, 60_000, 0)).toBe(1);
  });
});

describe("addCall", () => {
  test("remembers no more failures to connect, and no more buckets, than can count", () => {
    const list = Array.from({ length: 500 }, (_, i) => i);
    const own = list.reduce((counts, i) => addCall(counts, REFUSED, T0 + i * 1_000, 0, 60_000), NO_COUNTS);
    expect(own.reach.failedAt.length).toBe(MAX_CONNECT_FAILURES);
    expect(own.reach.seq).toBe(500);
    expect(own.buckets.length).toBeLessThanOrEqual(7);
    expect(own.buckets.at(-1)).toMatchObject({ failed: 10, connect: 10, seq: 500 });
  });

  test("does not go back in time where the clock does", () => {
    const own = addCall(addCall(NO_COUNTS, OK, T0 + 9, 0, 60_000), OK, T0 + 3, 0, 60_000);
    expect(own.reach.reachedAt).toBe(T0 + 9);
  });
});
