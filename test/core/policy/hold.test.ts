import { describe, expect, test } from "vitest";
import { askedHold, cutHold, mostHoldMs, NO_HOLD, toldHold } from "../../../src/core/policy/hold.ts";
import { DEFAULT_POLICY } from "../../../src/core/policy/policy.ts";

const NOW = 1_800_000_000_000;
const HELD = { heldFrom: NOW, heldUntil: NOW + 60_000 };

describe("mostHoldMs", () => {
  test("is the queue's max_retry_after, or the default", () => {
    expect(mostHoldMs({ max_retry_after: 0 })).toBe(0);
    expect(mostHoldMs({})).toBe(DEFAULT_POLICY.maxRetryAfterMs);
  });

  test("is by default well under the age of a task that says nothing", () => {
    expect(mostHoldMs({})).toBeLessThan(DEFAULT_POLICY.maxAgeMs / 2);
  });
});

describe("askedHold", () => {
  test("is as long as the target asks for, and no longer than the queue allows", () => {
    expect(askedHold(NO_HOLD, 60_000, 100_000, NOW)).toEqual(HELD);
    expect(askedHold(NO_HOLD, 86_400_000, 60_000, NOW)).toEqual(HELD);
    expect(askedHold(NO_HOLD, 86_400_000, 0, NOW).heldUntil).toBe(NOW);
  });

  test("does not end one that lasts longer", () => {
    expect(askedHold(HELD, 10_000, 100_000, NOW + 1)).toBe(HELD);
  });
});

describe("toldHold", () => {
  const told = { heldFrom: NOW + 1_000, heldUntil: NOW + 90_000 };

  test("counts where it lasts longer, cut to what the queue allows", () => {
    expect(toldHold(HELD, told, 100_000, 0)).toEqual(told);
    expect(toldHold(HELD, told, 70_000, 0).heldUntil).toBe(NOW + 71_000);
    expect(toldHold(HELD, told, 5_000, 0)).toBe(HELD);
  });

  test("does not count where it was asked for before holds were released", () => {
    expect(toldHold(NO_HOLD, told, 100_000, NOW + 1_000)).toBe(NO_HOLD);
    expect(toldHold(NO_HOLD, told, 100_000, NOW + 999)).toEqual(told);
  });
});

describe("cutHold", () => {
  test("counts from when the target asked, and leaves a shorter one as it is", () => {
    expect(cutHold({ ...HELD, key: "a" }, 5_000)).toEqual({
      heldFrom: NOW,
      heldUntil: NOW + 5_000,
      key: "a",
    });
    expect(cutHold(HELD, 60_000)).toBe(HELD);
    expect(cutHold(NO_HOLD, 5_000)).toBe(NO_HOLD);
  });
});
