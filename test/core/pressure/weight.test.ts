import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  FULL_WEIGHT,
  fits,
  PLAIN_WEIGHT,
  weightAllowed,
  weightOf,
} from "../../../src/core/pressure/weight.ts";

describe("weightOf", () => {
  test.each([
    [0, 0],
    [16_384, 0],
    [16_385, 16_385],
    [1_048_576, 1_048_576],
  ])("of %i bytes is %i", (bytes, weight) => {
    expect(weightOf(bytes)).toBe(weight);
  });
});

describe("weightAllowed", () => {
  test("is half as much after each time that the object was cut off, down to what is always allowed", () => {
    expect([0, 1, 2, 3, 50].map(weightAllowed)).toEqual([
      FULL_WEIGHT,
      FULL_WEIGHT / 2,
      PLAIN_WEIGHT,
      PLAIN_WEIGHT,
      PLAIN_WEIGHT,
    ]);
  });
});

describe("fits", () => {
  const load = { allowed: 100, inFlight: 50, reserved: 0 };

  test.each([
    ["nothing heavy, however much is in flight", 0, { ...load, inFlight: 1_000 }, true],
    ["what there is room for", 50, load, true],
    ["no more than there is room for", 51, load, false],
    ["what is heavier than all that is allowed, alone", 101, { ...load, inFlight: 0 }, true],
    ["nothing in the room that another waits for", 20, { ...load, reserved: 31 }, false],
    ["what leaves the room that another waits for", 20, { ...load, reserved: 30 }, true],
  ])("lets go %s", (_, weight, now, goes) => {
    expect(fits(weight, now)).toBe(goes);
  });

  test("never lets more be in flight than is allowed, but for one that is alone", () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 150 })), fc.nat({ max: 50 }), (weights, reserved) => {
        const going: number[] = [];
        for (const weight of weights) {
          const inFlight = going.reduce((sum, one) => sum + one, 0);
          if (weight > 0 && fits(weight, { allowed: 100, inFlight, reserved })) going.push(weight);
        }
        const total = going.reduce((sum, one) => sum + one, 0);
        expect(total <= 100 || going.length === 1).toBe(true);
      }),
    );
  });
});
