import { describe, expect, test } from "vitest";
import {
  callbackLane,
  deliveryLane,
  HELD_LANE,
  isCallbackLane,
  isRetryLane,
  retryLane,
  targetOfLane,
} from "../../src/core/lane.ts";

const TARGETS = ["https://me.example.com", "http://127.0.0.1:8080", "key:payments/stripe"];

describe("callbackLane", () => {
  test("is one for all callbacks to an origin", () => {
    const lanes = ["https://me.example.com/a?b=1", "https://ME.example.com:443/c"].map(callbackLane);

    expect(new Set(lanes)).toEqual(new Set([">https://me.example.com"]));
  });

  test("is another for another port or scheme", () => {
    const urls = ["https://me.example.com", "https://me.example.com:8443", "http://me.example.com"];

    expect(new Set(urls.map(callbackLane)).size).toBe(3);
  });

  test("gives a URL that is none a lane of its own", () => {
    expect(callbackLane("not a url")).toBe(">not a url");
  });
});

describe("isCallbackLane", () => {
  test.each(["https://me.example.com/hook", "not a url"])("knows the lane of callbacks to %s", (url) => {
    expect(isCallbackLane(callbackLane(url))).toBe(true);
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
    expect(targetOfLane(callbackLane("https://me.example.com/hook"))).toBe("https://me.example.com");
  });
});
