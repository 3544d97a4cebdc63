import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { duration, formatDuration, parseDuration, show } from "../../src/schema/duration.ts";

describe("parseDuration", () => {
  test.each([
    ["250ms", 250],
    ["90s", 90_000],
    ["1.5s", 1_500],
    ["0.25s", 250],
    ["2m", 120_000],
    ["1m30s", 90_000],
    ["1d10h", 122_400_000],
    ["1d2h3m4s5ms", 93_784_005],
    ["0s", 0],
    [0, 0],
    [1_234, 1_234],
  ])("reads %j as %d ms", (value, ms) => {
    expect(parseDuration(value)).toBe(ms);
  });

  test.each([
    "",
    "s",
    "10",
    "-1s",
    "1 s",
    "1s ",
    "1S",
    "1h1d",
    "1s1s",
    "1.5m",
    "1.2345s",
    "1e3s",
    "٣s",
    `${"9".repeat(17)}d`,
    `${"0".repeat(63)}1s`,
    -1,
    1.5,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    2 ** 53,
  ])("refuses %j", (value) => {
    expect(parseDuration(value)).toBeNull();
  });

  test("reads back what formatDuration writes", () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (ms) => {
        expect(parseDuration(formatDuration(ms))).toBe(ms);
      }),
    );
  });

  test("never throws, and gives whole milliseconds or null", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.double(), fc.stringMatching(/^[0-9dhms.]{0,12}$/)), (value) => {
        const ms = parseDuration(value);
        expect(ms === null || (Number.isSafeInteger(ms) && ms >= 0)).toBe(true);
      }),
    );
  });
});

describe("formatDuration", () => {
  test.each([
    [0, "0ms"],
    [1, "1ms"],
    [1_000, "1s"],
    [90_000, "1m30s"],
    [86_400_000, "1d"],
    [93_784_005, "1d2h3m4s5ms"],
  ])("writes %d as %s", (ms, text) => {
    expect(formatDuration(ms)).toBe(text);
  });
});

describe("duration", () => {
  const schema = duration(1_000, 60_000);

  test("gives milliseconds for a text and a number", () => {
    expect(schema.parse("1m")).toBe(60_000);
    expect(schema.parse(1_000)).toBe(1_000);
  });

  test.each([
    [
      "soon",
      'expected a duration such as "250ms", "90s" or "1d10h", or a whole number of milliseconds, got a string of 4 characters',
    ],
    [
      "10 seconds",
      'expected a duration such as "250ms", "90s" or "1d10h", or a whole number of milliseconds, got "10 seconds"',
    ],
    [
      true,
      'expected a duration such as "250ms", "90s" or "1d10h", or a whole number of milliseconds, got true',
    ],
    ["61s", 'expected a duration between 1s and 1m, got "61s"'],
    [999, "expected a duration between 1s and 1m, got 999"],
  ])("refuses %j and says what was expected and what came", (value, message) => {
    expect(schema.safeParse(value).error?.issues.map((issue) => issue.message)).toEqual([message]);
  });
});

describe("show", () => {
  test("shows JSON, cut to 80 characters", () => {
    expect(show({ a: 1 })).toBe('{"a":1}');
    expect(show("x".repeat(100))).toBe(`"${"x".repeat(76)}...`);
  });

  test("shows what JSON has no word for", () => {
    expect(show(undefined)).toBe("nothing");
    expect(show(Symbol("odd"))).toBe("Symbol(odd)");
  });
});
