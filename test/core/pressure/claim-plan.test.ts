import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { lanesEnough, planClaims, type ReadyLane } from "../../../src/core/pressure/claim-plan.ts";

const capacity = fc.integer({ min: 1, max: 64 });
/** A lane of a holder of its own that nothing bounds. */
function plain(lane: string, inFlight = 0): ReadyLane {
  return { lane, holder: lane, inFlight, limit: Number.POSITIVE_INFINITY, room: Number.POSITIVE_INFINITY };
}

const bound = fc.oneof(fc.nat({ max: 10 }), fc.constant(Number.POSITIVE_INFINITY));
const lanes = fc
  .array(fc.record({ inFlight: fc.nat({ max: 40 }), limit: bound, room: bound }), { maxLength: 12 })
  .map((all): ReadyLane[] => all.map((one, i) => ({ ...plain(`lane-${i}`), ...one })));
/** Up to three lanes of each of up to four holders. */
const shared = fc
  .array(
    fc.record({
      inFlight: fc.nat({ max: 20 }),
      limit: bound,
      rooms: fc.array(bound, { minLength: 1, maxLength: 3 }),
    }),
    {
      maxLength: 4,
    },
  )
  .map((holders) =>
    holders.flatMap(({ inFlight, limit, rooms }, h) =>
      rooms.map(
        (room, i): ReadyLane => ({ lane: `${h}-${i}`, holder: `holder-${h}`, inFlight, limit, room }),
      ),
    ),
  );
const situation = fc.record({ ready: lanes, freeSlots: fc.nat({ max: 64 }), capacity });

function sum(plan: ReadonlyMap<string, number>): number {
  return [...plan.values()].reduce((total, count) => total + count, 0);
}

/** What a lane could still take by its bounds and by the rule that none holds more than half while others wait. */
function roomOf({ inFlight, limit, room }: ReadyLane, ready: readonly ReadyLane[], slots: number): number {
  const most = ready.length > 1 ? Math.max(1, Math.floor(slots / 2)) : slots;
  return Math.max(0, Math.min(room, Math.min(most, limit) - inFlight));
}

describe("planClaims", () => {
  test("gives every slot to the only lane that waits", () => {
    expect(planClaims([plain("a")], 8, 8)).toEqual(new Map([["a", 8]]));
  });

  test("gives slots in turn, beginning with the first lane", () => {
    const ready = ["a", "b", "c"].map((lane) => plain(lane));

    expect([...planClaims(ready, 5, 64)]).toEqual([
      ["a", 2],
      ["b", 2],
      ["c", 1],
    ]);
  });

  test("counts what is in flight towards the half that a lane may hold", () => {
    const ready = [plain("hung", 3), plain("other")];

    expect([...planClaims(ready, 5, 8)]).toEqual([
      ["hung", 1],
      ["other", 4],
    ]);
  });

  test("leaves out a lane that holds its half already", () => {
    const ready = [plain("hung", 6), plain("other")];

    expect([...planClaims(ready, 2, 8)]).toEqual([["other", 2]]);
  });

  test("lets a lane have the only slot of a shard while others wait", () => {
    const ready = ["a", "b"].map((lane) => plain(lane));

    expect([...planClaims(ready, 1, 1)]).toEqual([["a", 1]]);
  });

  test("gives a lane no more than it has room for, and the rest to the others", () => {
    const ready = [{ ...plain("a"), room: 2 }, plain("b"), { ...plain("c"), room: 0 }];

    expect([...planClaims(ready, 6, 12)]).toEqual([
      ["a", 2],
      ["b", 4],
    ]);
  });

  test("lets the lanes of one holder share its limit in turn", () => {
    const of = (lane: string) => ({ ...plain(lane, 3), holder: "a", limit: 6 });

    expect([...planClaims([of("a"), of("<a"), of(">a")], 10, 10)]).toEqual([
      ["a", 1],
      ["<a", 1],
      [">a", 1],
    ]);
  });

  test("lets the lanes of one holder have all slots, where no other waits", () => {
    const of = (lane: string) => ({ ...plain(lane), holder: "a" });

    expect([...planClaims([of("a"), of("<a")], 8, 8)]).toEqual([
      ["a", 4],
      ["<a", 4],
    ]);
  });

  test("lets the lanes of one holder have half of the slots together, where another waits", () => {
    const of = (lane: string) => ({ ...plain(lane), holder: "a" });

    expect([...planClaims([of("a"), of("<a"), plain("b")], 8, 8)]).toEqual([
      ["a", 2],
      ["<a", 2],
      ["b", 4],
    ]);
  });

  test.each([
    ["no lane waits", [], 5],
    ["no slot is free", [plain("a")], 0],
    ["more is in flight than there are slots", [plain("a")], -3],
  ])("plans nothing where %s", (_, ready, freeSlots) => {
    expect(planClaims(ready, freeSlots, 8).size).toBe(0);
  });

  test("never plans more than the free slots", () => {
    fc.assert(
      fc.property(situation, ({ ready, freeSlots, capacity }) => {
        expect(sum(planClaims(ready, freeSlots, capacity))).toBeLessThanOrEqual(freeSlots);
      }),
    );
  });

  test("never lets a lane grow beyond half of the slots while others wait", () => {
    fc.assert(
      fc.property(situation, ({ ready, freeSlots, capacity }) => {
        fc.pre(ready.length > 1);
        for (const { lane, inFlight } of ready) {
          const planned = planClaims(ready, freeSlots, capacity).get(lane) ?? 0;
          if (planned > 0) expect(planned + inFlight).toBeLessThanOrEqual(Math.max(1, capacity / 2));
        }
      }),
    );
  });

  test("never lets a holder grow beyond its limit, nor all its lanes together beyond half of the slots", () => {
    fc.assert(
      fc.property(shared, fc.nat({ max: 64 }), capacity, (ready, freeSlots, capacity) => {
        const plan = planClaims(ready, freeSlots, capacity);
        const holders = Map.groupBy(ready, ({ holder }) => holder);
        for (const of of holders.values()) {
          const planned = of.reduce((total, { lane }) => total + (plan.get(lane) ?? 0), 0);
          const most = holders.size > 1 ? Math.max(1, Math.floor(capacity / 2)) : capacity;
          const [{ inFlight, limit } = plain("")] = of;
          if (planned > 0) expect(planned + inFlight).toBeLessThanOrEqual(Math.min(most, limit));
          for (const { lane, room } of of) expect(plan.get(lane) ?? 0).toBeLessThanOrEqual(room);
        }
      }),
    );
  });

  test("leaves no slot free that a lane could take", () => {
    fc.assert(
      fc.property(situation, ({ ready, freeSlots, capacity }) => {
        const room = ready.reduce((total, lane) => total + roomOf(lane, ready, capacity), 0);
        expect(sum(planClaims(ready, freeSlots, capacity))).toBe(Math.min(freeSlots, room));
      }),
    );
  });

  test("is fair: a lane with room left is at most one grant behind any other", () => {
    fc.assert(
      fc.property(situation, ({ ready, freeSlots, capacity }) => {
        const plan = planClaims(ready, freeSlots, capacity);
        const most = Math.max(0, ...plan.values());
        for (const lane of ready) {
          const planned = plan.get(lane.lane) ?? 0;
          if (planned < roomOf(lane, ready, capacity)) expect(most - planned).toBeLessThanOrEqual(1);
        }
      }),
    );
  });

  test("returns only lanes that get any", () => {
    fc.assert(
      fc.property(situation, ({ ready, freeSlots, capacity }) => {
        for (const count of planClaims(ready, freeSlots, capacity).values()) expect(count).toBeGreaterThan(0);
      }),
    );
  });
});

/** Many holders with up to three lanes each that have room now; what is in flight fits the slots. */
const backlog = fc
  .record({
    capacity: fc.integer({ min: 1, max: 40 }),
    holders: fc.array(
      fc.record({
        busy: fc.nat({ max: 20 }),
        spare: fc.integer({ min: 1, max: 5 }),
        rooms: fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 3 }),
      }),
      { minLength: 1, maxLength: 60 },
    ),
  })
  .map(({ capacity: slots, holders }) => {
    let free = slots;
    const ready = holders.flatMap(({ busy, spare, rooms }, h) => {
      const inFlight = Math.min(busy, free);
      free -= inFlight;
      return rooms.map(
        (room, i): ReadyLane => ({
          lane: `${h}-${i}`,
          holder: `holder-${h}`,
          inFlight,
          limit: inFlight + spare,
          room: Math.min(room, spare),
        }),
      );
    });
    return { ready, free, slots };
  });

describe("lanesEnough", () => {
  test("lanes give the plan that all of them would give", () => {
    fc.assert(
      fc.property(backlog, ({ ready, free, slots }) => {
        const some = planClaims(ready.slice(0, lanesEnough(free)), free, slots);
        expect([...some]).toEqual([...planClaims(ready, free, slots)]);
      }),
      { numRuns: 1_000 },
    );
  });
});
