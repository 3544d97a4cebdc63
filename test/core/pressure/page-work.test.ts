import { describe, expect, test } from "vitest";
import { PAGE_ROWS, pauseBeforeSlice } from "../../../src/core/pressure/page-work.ts";

describe("pauseBeforeSlice", () => {
  test.each([
    ["one list alone pauses briefly", { examined: 200, elapsedMs: 1, underWay: 1 }, 2],
    ["many pause for as long as all of them need", { examined: 200, elapsedMs: 1, underWay: 16 }, 32],
    ["a page ends with its rows", { examined: PAGE_ROWS, elapsedMs: 1, underWay: 1 }, null],
    ["a page ends with its time", { examined: 200, elapsedMs: 99, underWay: 1 }, null],
    ["it goes on to the last millisecond", { examined: 200, elapsedMs: 98, underWay: 1 }, 2],
    ["it ends where the pause would take it beyond", { examined: 200, elapsedMs: 1, underWay: 64 }, null],
  ])("%s", (_, work, expected) => {
    expect(pauseBeforeSlice(work)).toBe(expected);
  });
});
