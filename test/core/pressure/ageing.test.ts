import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { AGED_EVERY, agedAmong, sinceAged, slotOrder } from "../../../src/core/pressure/ageing.ts";

/** A row that waits in a lane: `age` orders rows by when they became due, the first the lowest. */
interface Waiting {
  age: number;
  priority: number;
}

/** What happens in a lane, round by round: rows become due, and some grants are made at once. */
const rounds = fc.array(
  fc.record({
    arrivals: fc.array(fc.nat({ max: 9 }), { maxLength: 12 }),
    grants: fc.nat({ max: 20 }),
  }),
  { minLength: 1, maxLength: 60 },
);

/** The rows as a lane grants them by the rule: all but the aged ones by priority, then the oldest of the rest. */
function grant(waiting: Waiting[], since: number, count: number): { granted: Waiting[]; since: number } {
  const aged = agedAmong(since, count);
  const byPriority = [...waiting]
    .sort((a, b) => b.priority - a.priority || a.age - b.age)
    .slice(0, count - aged);
  const rest = waiting.filter((row) => !byPriority.includes(row)).sort((a, b) => a.age - b.age);
  const byAge = rest.slice(0, aged);
  const granted = [...byPriority, ...byAge];
  return { granted, since: sinceAged(since, granted.length, byAge.length) };
}

describe("agedAmong", () => {
  test.each([
    [0, 1, 0],
    [6, 1, 0],
    [7, 1, 1],
    [0, 8, 1],
    [3, 64, 8],
    [40, 2, 2],
    [0, 0, 0],
  ])("after %i grants by priority, of %i more %i go by age", (since, count, aged) => {
    expect(agedAmong(since, count)).toBe(aged);
  });

  test("grants the n-th row by due time within n times 8 grants, whatever comes in meanwhile", () => {
    fc.assert(
      fc.property(rounds, fc.nat({ max: AGED_EVERY - 1 }), (all, start) => {
        let waiting: Waiting[] = [];
        let since = start;
        let made = 0;
        let grants = 0;
        const mustBy = new Map<Waiting, number>();
        for (const { arrivals, grants: count } of all) {
          for (const priority of arrivals) {
            const row = { age: made++, priority };
            waiting.push(row);
            mustBy.set(row, grants + waiting.length * AGED_EVERY);
          }
          const round = grant(waiting, since, Math.min(count, waiting.length));
          since = round.since;
          grants += round.granted.length;
          waiting = waiting.filter((row) => !round.granted.includes(row));
          for (const row of waiting) expect(grants).toBeLessThan(mustBy.get(row) ?? 0);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  test("leaves seven of eight grants to the priority", () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 30 }), { maxLength: 100 }), (counts) => {
        let since = 0;
        let aged = 0;
        for (const count of counts) {
          const now = agedAmong(since, count);
          since = sinceAged(since, count, now);
          aged += now;
        }
        expect(aged).toBeLessThanOrEqual(counts.reduce((sum, count) => sum + count, 0) / AGED_EVERY);
      }),
    );
  });
});

describe("slotOrder", () => {
  const task = (priority: number, idempotencyKey: string | null = null) => ({ priority, idempotencyKey });

  test("puts the higher priority first, and leaves equal ones in their order", () => {
    expect(slotOrder([task(0), task(2), task(9), task(2)])).toEqual([2, 1, 3, 0]);
  });

  test("leaves repeats of a key behind the first, whatever their priority", () => {
    expect(slotOrder([task(0, "k"), task(9, "k"), task(1), task(9, "other")])).toEqual([3, 2, 0, 1]);
  });

  test("gives every place once", () => {
    const some = fc.record({ priority: fc.nat({ max: 9 }), idempotencyKey: fc.constantFrom(null, "a", "b") });
    fc.assert(
      fc.property(fc.array(some), (tasks) => {
        const order = slotOrder(tasks);
        expect([...order].sort((a, b) => a - b)).toEqual([...tasks.keys()]);
        for (const key of ["a", "b"]) {
          const places = order.filter((index) => tasks[index]?.idempotencyKey === key);
          expect(places).toEqual([...places].sort((a, b) => a - b));
        }
      }),
    );
  });
});
