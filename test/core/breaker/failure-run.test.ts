import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { newBreaker, onCounts } from "../../../src/core/breaker/breaker.ts";
import { addCall, failureRun, failuresSince, NO_COUNTS } from "../../../src/core/breaker/counts.ts";
import { type BreakerPolicy, DEFAULT_BREAKER_POLICY } from "../../../src/core/breaker/policy.ts";
import { MAX_FAILURES_IN_A_ROW } from "../../../src/schema/breaker.ts";
import {
  by,
  type Call,
  ERROR,
  every,
  OK,
  REFUSED,
  T0,
  TIMEOUT,
  toldAtEnd,
  toldBy,
  WINDOW_MS,
} from "../../support/breaker-calls.ts";

const runOf = (calls: readonly Call[], nowMs: number, fromMs = -T0) =>
  failureRun(toldAtEnd(calls), T0 + nowMs, WINDOW_MS, T0 + fromMs);

describe("failureRun", () => {
  test("counts a source's failures of whatever kind since its latest success", () => {
    const kinds = [...by("a", ERROR, 4_000), ...by("a", REFUSED, 5_000), ...by("a", TIMEOUT, 6_000)];
    expect(runOf([...by("a", ERROR, 1_000, 2_000), ...by("a", OK, 3_000), ...kinds], 7_000)).toBe(3);
    expect(runOf([], 0)).toBe(0);
  });

  test("takes failures of the same tenth of a second for one", () => {
    expect(runOf(by("a", ERROR, 0, 1, 50, 99, 100, 199, 300), 400)).toBe(3);
    expect(runOf(by("a", ERROR, ...every(1, 99)), 400)).toBe(1);
  });

  test("ends at a success of any source that is told", () => {
    const list = [...by("a", ERROR, ...every(100, 10)), ...by("b", OK, 450), ...by("b", ERROR, 2_000)];
    expect(runOf(list, 2_000)).toBe(5);
  });

  test("counts of several sources what follows each one's first failure, and one for these", () => {
    const once = ["a", "b", "c", "d"].flatMap((source, i) => by(source, ERROR, i * 500));
    expect(runOf(once, 3_000)).toBe(1);
    expect(runOf([...once, ...by("a", ERROR, 2_000), ...by("c", ERROR, 2_500)], 3_000)).toBe(3);
    expect(runOf([...once, ...by("a", ERROR, 2_000), ...by("c", ERROR, 2_001)], 3_000)).toBe(2);
  });

  test("forgets what is older than the window, or from before the breaker closed", () => {
    const list = by("a", ERROR, 1_000, 2_000, 50_000);
    expect(runOf(list, 62_000)).toBe(1);
    expect(runOf(list, 51_000, 1_500)).toBe(2);
  });

  test("remembers as many failures as a setting may ask for, and no more", () => {
    const counts = toldAtEnd(by("a", ERROR, ...every(100, 200)));
    expect(failureRun(counts, T0 + 20_000, WINDOW_MS, 0)).toBe(MAX_FAILURES_IN_A_ROW);
    expect(counts.get("a")?.reach.faultsAt).toHaveLength(MAX_FAILURES_IN_A_ROW);
  });

  test("counts no failure twice where the clock goes back", () => {
    expect(runOf([...by("a", ERROR, 1_000)], 1_000)).toBe(1);
    const ahead = addCall(NO_COUNTS, ERROR, T0 + 1_000, 0, WINDOW_MS);
    const back = addCall(ahead, ERROR, T0 + 500, 0, WINDOW_MS);
    expect(back.reach.faultsAt).toEqual([T0 + 1_000]);
  });

  test("takes a report of a release that did not tell it for none, and reads one that told every failure", () => {
    const reach = { seq: 9, reachedAt: 0, failedAt: [] };
    expect(failureRun(new Map([["a", { buckets: [], reach }]]), T0, WINDOW_MS, 0)).toBe(0);
    const dense = { ...reach, faultsAt: every(1, 50, T0) };
    expect(failureRun(new Map([["a", { buckets: [], reach: dense }]]), T0 + 50, WINDOW_MS, 0)).toBe(1);
  });
});

/** Where nothing but a run of failures opens a breaker: rates are of a past that outweighs all. */
const RUN_ONLY: BreakerPolicy = { ...DEFAULT_BREAKER_POLICY, minimum: 100_000, connectFailures: 100 };
/** When a breaker opens that hears of the calls one after another; null: it stays closed. */
function opensAtMs(calls: readonly Call[]): number | null {
  for (const { counts, ms, effect } of toldBy(calls)) {
    if (effect.ok) continue;
    const { breaker } = onCounts(newBreaker(0), counts, RUN_ONLY, T0 + ms, () => 0);
    if (breaker.state === "open") return ms;
  }
  return null;
}

const sources = fc.constantFrom("a", "b", "c", "d");
/** Any calls of four sources within 20 s, up to 300 of them: refused, failed, or answered. */
const anyCalls = fc.array(
  fc.record<Call>({
    source: sources,
    ms: fc.nat(20_000),
    effect: fc.constantFrom(OK, ERROR, REFUSED, TIMEOUT),
  }),
  { maxLength: 300, size: "max" },
);
/** Times at which a burst of refusals comes, and how many there are in it, a millisecond apart. */
const bursts = fc.array(
  fc.record({ source: sources, ms: fc.nat(20_000), count: fc.integer({ max: 90, min: 1 }) }),
  {
    maxLength: 20,
    size: "max",
  },
);

describe("a run of failures that opens a breaker", () => {
  test("never comes from a target that sheds but answers each source now and then", () => {
    fc.assert(
      fc.property(bursts, fc.integer({ min: 100, max: 1_800 }), (list, gapMs) => {
        const refused = list.flatMap(({ source, ms, count }) => by(source, ERROR, ...every(1, count, ms)));
        const answered = ["a", "b", "c", "d"].flatMap((source) =>
          by(source, OK, ...every(gapMs, Math.ceil(21_000 / gapMs))),
        );
        expect(opensAtMs([...answered, ...refused])).toBeNull();
      }),
      { numRuns: 200 },
    );
  });

  test("never comes within 1.9 s of the first failure, however many there are", () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ source: sources, ms: fc.nat(1_899) }), { maxLength: 400, size: "max" }),
        (list) => {
          const calls = list.map((call) => ({ ...call, effect: ERROR, ms: call.ms }));
          expect(opensAtMs(calls)).toBeNull();
        },
      ),
      { numRuns: 50 },
    );
  });

  test("comes within 2.1 s from a target that fails all calls, whatever it answered before", () => {
    fc.assert(
      fc.property(
        anyCalls,
        sources,
        fc.integer({ min: 1, max: 100 }),
        fc.constantFrom(ERROR, REFUSED, TIMEOUT),
        (past, source, stepMs, effect) => {
          const dead = by(source, effect, ...every(stepMs, Math.ceil(2_100 / stepMs) + 1, 20_001));
          const openedAtMs = opensAtMs([...past, ...dead]);
          expect(openedAtMs).not.toBeNull();
          expect(openedAtMs).toBeLessThanOrEqual(20_001 + 2_100);
        },
      ),
      { numRuns: 200 },
    );
  });

  test("comes from as many as the settings ask for, and not from one fewer", () => {
    const withRun = (failuresInARow: number) =>
      onCounts(
        newBreaker(0),
        toldAtEnd(by("a", ERROR, ...every(100, 7))),
        { ...RUN_ONLY, failuresInARow },
        T0 + 700,
        () => 0,
      ).breaker.state;
    expect([withRun(7), withRun(8)]).toEqual(["open", "closed"]);
  });
});

describe("failuresSince", () => {
  const at = 1_700_000_000_000;
  const source = (reach: { okAt?: number; faultsAt?: number[] }) => ({
    buckets: [],
    reach: { seq: 1, reachedAt: 0, failedAt: [], ...reach },
  });
  const failures = (...reaches: { okAt?: number; faultsAt?: number[] }[]) =>
    failuresSince(new Map(reaches.map((reach, i) => [`s${i}`, source(reach)])), at, 60_000, 0);

  test("sums over sources, those of one burst taken for one", () => {
    expect(failures({ faultsAt: [at - 300, at - 200] }, { faultsAt: [at - 200, at - 100] })).toBe(3);
    expect(failures({}, { faultsAt: [at] })).toBe(1);
  });

  test("counts from the latest success anywhere on, and no further back than the window", () => {
    expect(failures({ okAt: at - 250 }, { faultsAt: [at - 300, at - 200] })).toBe(1);
    expect(failures({ okAt: at - 70_000, faultsAt: [at - 61_000, at - 1_000] })).toBe(1);
    expect(failures({ okAt: at })).toBe(0);
  });
});
