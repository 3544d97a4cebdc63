import { describe, expect, test } from "vitest";
import {
  deliveryLane,
  HELD_LANE,
  isCallbackLane,
  isRetryLane,
  lanesOf,
  retryLane,
  targetOfLane,
} from "../../../src/core/task/lane.ts";

const TARGETS = ["https://me.example.com", "http://127.0.0.1:8080", "key:payments/stripe"];

describe("isCallbackLane", () => {
  test.each([...TARGETS, "not a url"])("knows the lane of callbacks to %s", (target) => {
    expect(isCallbackLane(deliveryLane(target))).toBe(true);
  });

  test.each([HELD_LANE, ...TARGETS, ...TARGETS.map(retryLane)])("is not fooled by %s", (lane) => {
    expect(isCallbackLane(lane)).toBe(false);
  });
});

describe("retryLane", () => {
  test.each(TARGETS)("is known, and another than that of first attempts and deliveries: %s", (target) => {
    expect(isRetryLane(retryLane(target))).toBe(true);
    expect(new Set([target, retryLane(target), deliveryLane(target)]).size).toBe(3);
  });

  test.each([HELD_LANE, ...TARGETS, ...TARGETS.map(deliveryLane)])("is not taken for %s", (lane) => {
    expect(isRetryLane(lane)).toBe(false);
  });
});

describe("targetOfLane", () => {
  test.each(TARGETS)("is %s for each of its lanes", (target) => {
    expect([target, retryLane(target), deliveryLane(target)].map(targetOfLane)).toEqual([
      target,
      target,
      target,
    ]);
  });

  test("of a receiver of callbacks is its origin, as of tasks for it", () => {
    expect(targetOfLane(deliveryLane("https://me.example.com"))).toBe("https://me.example.com");
  });
});

describe("lanesOf", () => {
  test.each(TARGETS)("names the lines of all calls to %s", (target) => {
    expect(lanesOf(target)).toEqual([target, retryLane(target), deliveryLane(target)]);
    expect(lanesOf(target).map(targetOfLane)).toEqual([target, target, target]);
  });
});
