import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { planClaims, type ReadyLane } from "../../src/core/claim-plan.ts";

const capacity = fc.integer({ min: 1, max: 64 });
const lanes = fc
  .array(fc.nat({ max: 40 }), { maxLength: 12 })
  .map((inFlight): ReadyLane[] => inFlight.map((count, i) => ({ lane: `lane-${i}`, inFlight: count })));
const situation = fc.record({ ready: lanes, freeSlots: fc.nat({ max: 64 }), capacity });

function sum(plan: ReadonlyMap<string, number>): number {
  return [...plan.values()].reduce((total, count) => total + count, 0);
}

/** What a lane could still take by the rule that no lane holds more than half while others wait. */
function roomOf({ inFlight }: ReadyLane, ready: readonly ReadyLane[], slots: number): number {
  const most = ready.length > 1 ? Math.max(1, Math.floor(slots / 2)) : slots;
  return Math.max(0, most - inFlight);
}

describe("planClaims", () => {
  test("gives every slot to the only lane that waits", () => {
    expect(planClaims([{ lane: "a", inFlight: 0 }], 8, 8)).toEqual(new Map([["a", 8]]));
  });

  test("gives slots in turn, beginning with the first lane", () => {
    const ready = ["a", "b", "c"].map((lane) => ({ lane, inFlight: 0 }));

    expect([...planClaims(ready, 5, 64)]).toEqual([
      ["a", 2],
      ["b", 2],
      ["c", 1],
    ]);
  });

  test("counts what is in flight towards the half that a lane may hold", () => {
    const ready = [
      { lane: "hung", inFlight: 3 },
      { lane: "other", inFlight: 0 },
    ];

    expect([...planClaims(ready, 5, 8)]).toEqual([
      ["hung", 1],
      ["other", 4],
    ]);
  });

  test("leaves out a lane that holds its half already", () => {
    const ready = [
      { lane: "hung", inFlight: 6 },
      { lane: "other", inFlight: 0 },
    ];

    expect([...planClaims(ready, 2, 8)]).toEqual([["other", 2]]);
  });

  test("lets a lane have the only slot of a shard while others wait", () => {
    const ready = ["a", "b"].map((lane) => ({ lane, inFlight: 0 }));

    expect([...planClaims(ready, 1, 1)]).toEqual([["a", 1]]);
  });

  test.each([
    ["no lane waits", [], 5],
    ["no slot is free", [{ lane: "a", inFlight: 0 }], 0],
    ["more is in flight than there are slots", [{ lane: "a", inFlight: 0 }], -3],
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
