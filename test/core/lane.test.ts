import { describe, expect, test } from "vitest";
import { callbackLane, HELD_LANE, isCallbackLane } from "../../src/core/lane.ts";

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

  test.each([HELD_LANE, "https://me.example.com", "key:payments/stripe"])("is not fooled by %s", (lane) => {
    expect(isCallbackLane(lane)).toBe(false);
  });
});
