import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type SlotSituation, splitSlots } from "../../../src/core/pressure/slot-split.ts";

const build = (over: Partial<SlotSituation>): SlotSituation => ({
  limit: 10,
  inFlight: 0,
  retriesInFlight: 0,
  budget: Number.POSITIVE_INFINITY,
  ...over,
});

describe("splitSlots", () => {
  test.each<[string, [number, number], Partial<SlotSituation>, [number, number]]>([
    ["gives first attempts all slots where no retry waits", [20, 0], {}, [10, 0]],
    ["gives retries all slots where no first attempt waits", [0, 20], {}, [0, 10]],
    ["gives retries half where both wait", [20, 20], {}, [5, 5]],
    ["gives retries what first attempts do not need", [2, 3], {}, [2, 3]],
    ["gives first attempts what retries do not need", [20, 1], {}, [9, 1]],
    ["counts retries in flight against their half", [20, 20], { inFlight: 6, retriesInFlight: 4 }, [3, 1]],
    ["gives a retry the only slot of a limit of one", [5, 5], { limit: 1 }, [0, 1]],
    ["gives retries no more than the budget", [20, 20], { budget: 2 }, [8, 2]],
    ["gives none where the limit fell below what is in flight", [5, 5], { limit: 3, inFlight: 7 }, [0, 0]],
    ["gives all where nothing limits", [500, 700], { limit: Number.POSITIVE_INFINITY }, [500, 700]],
  ])("%s", (_name, [firsts, retries], over, expected) => {
    const go = splitSlots({ firsts, retries }, build(over));
    expect([go.firsts, go.retries]).toEqual(expected);
  });

  test("never exceeds the limit, and leaves no slot unused that somebody may have", () => {
    const count = fc.nat(50);
    fc.assert(
      fc.property(count, count, fc.integer({ min: 1, max: 60 }), count, count, count, (...n) => {
        const [firsts, retries, limit, budget, firstsInFlight, retriesInFlight] = n;
        const inFlight = firstsInFlight + retriesInFlight;
        const go = splitSlots({ firsts, retries }, { limit, inFlight, retriesInFlight, budget });
        const free = Math.max(0, limit - inFlight);
        expect(Math.min(go.firsts, go.retries)).toBeGreaterThanOrEqual(0);
        expect(go.firsts + go.retries).toBeLessThanOrEqual(free);
        expect(go.retries).toBeLessThanOrEqual(Math.min(retries, budget));
        if (go.firsts < firsts) expect(go.firsts + go.retries).toBe(free);
      }),
    );
  });
});
