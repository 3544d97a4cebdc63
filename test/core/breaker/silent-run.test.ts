import { describe, expect, test } from "vitest";
import { newBreaker, onCounts } from "../../../src/core/breaker/breaker.ts";
import { silentRun } from "../../../src/core/breaker/counts.ts";
import { type BreakerPolicy, DEFAULT_BREAKER_POLICY } from "../../../src/core/breaker/policy.ts";
import {
  by,
  type Call,
  DROPPED,
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
import { seededRandom } from "../../support/server/stories.ts";

function runOf(calls: readonly Call[], nowMs: number, fromMs = -T0): number {
  return silentRun(toldAtEnd(calls), T0 + nowMs, WINDOW_MS, T0 + fromMs);
}

/** Where no rate and no run of other failures opens a breaker. */
const SILENCE_ONLY: BreakerPolicy = { ...DEFAULT_BREAKER_POLICY, minimum: 100_000, failuresInARow: 100_000 };

/** The first call after which a breaker opens, from 1, and why; null: it stays closed. */
function opensBy(calls: readonly Call[]): [number, string] | null {
  let number = 0;
  for (const { counts, ms } of toldBy(calls)) {
    number++;
    const { breaker } = onCounts(newBreaker(0), counts, SILENCE_ONLY, T0 + ms, () => 0);
    if (breaker.state === "open") return [number, breaker.reason];
  }
  return null;
}

describe("silentRun", () => {
  test("counts a source's calls without an answer since its last one, resets and refusals alike", () => {
    const mixed = [...by("a", DROPPED, 3_000, 3_001), ...by("a", REFUSED, 4_000)];
    expect(runOf([...by("a", DROPPED, 1_000), ...by("a", OK, 2_000), ...mixed], 5_000)).toBe(3);
    expect(runOf([...by("a", DROPPED, 1_000), ...by("a", ERROR, 2_000), ...mixed], 5_000)).toBe(3);
    expect(runOf([], 0)).toBe(0);
  });

  test("is neither made nor broken by a timeout", () => {
    expect(runOf([...by("a", DROPPED, 1_000, 3_000), ...by("a", TIMEOUT, 2_000, 4_000)], 5_000)).toBe(2);
  });

  test("counts of several sources what follows each one's first, and one for these", () => {
    const once = ["a", "b", "c"].flatMap((source, i) => by(source, DROPPED, i));
    expect(runOf(once, 10)).toBe(1);
    expect(runOf([...once, ...by("a", DROPPED, 5), ...by("b", DROPPED, 6)], 10)).toBe(3);
  });

  test("ends at an answer of any source that is told", () => {
    const answered = [...by("b", OK, 450), ...by("b", DROPPED, 2_000)];
    expect(runOf([...by("a", DROPPED, ...every(100, 10)), ...answered], 2_000)).toBe(5);
  });

  test("forgets what is older than the window, or from before the breaker closed", () => {
    const list = by("a", DROPPED, 1_000, 2_000, 50_000);
    expect(runOf(list, 62_000)).toBe(1);
    expect(runOf(list, 51_000, 1_500)).toBe(2);
  });

  test("remembers as many as a setting may ask for, and reads a report of a release that told none", () => {
    expect(runOf(by("a", DROPPED, ...every(100, 90)), 9_000)).toBe(40);
    const reach = { seq: 9, reachedAt: 0, failedAt: [] };
    expect(silentRun(new Map([["a", { buckets: [], reach }]]), T0, WINDOW_MS, 0)).toBe(0);
  });
});

describe("a target that takes connections and ends them without an answer", () => {
  test("is down after ten calls in a row, of one shard or of several", () => {
    expect(opensBy(by("a", DROPPED, ...every(1, 30)))).toEqual([
      10,
      "at least 10 calls in a row got no answer",
    ]);
    const shards = every(1, 40).flatMap((ms, i) => by("abcd"[i % 4] ?? "", DROPPED, ms));
    expect(opensBy(shards)).toEqual([13, "at least 10 calls in a row got no answer"]);
  });

  test("counts as one that refuses some of them", () => {
    const calls = every(1, 30).flatMap((ms, i) => by("a", i % 3 === 0 ? REFUSED : DROPPED, ms));
    expect(opensBy(calls)?.[0]).toBe(10);
  });

  test.each([1, 4, 16, 100])(
    "is not down where it resets one call in five by chance, called by %i shards",
    (shards) => {
      for (let seed = 1; seed <= 20; seed++) {
        const random = seededRandom(seed);
        const calls = every(25, 2_400).flatMap((ms) =>
          by(`s${Math.floor(random() * shards)}`, random() < 0.2 ? DROPPED : OK, ms),
        );
        expect([seed, opensBy(calls)]).toEqual([seed, null]);
      }
    },
  );
});
