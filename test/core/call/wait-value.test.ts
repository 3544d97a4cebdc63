import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { longest, partsOf, readWait, readWaitMs } from "../../../src/core/call/wait-value.ts";

const NOW = Date.parse("2026-11-26T12:00:00Z");
const YEAR_S = 366 * 24 * 3_600;

describe("readWait", () => {
  test.each([
    ["0", 0],
    ["600s", 600_000],
    ["600 S", 600_000],
    ["10 minutes", 600_000],
    ["1d2h3m4s5ms", 93_784_005],
    ["1 hour 30 min", 5_400_000],
    ["1.5h", 5_400_000],
    ["250ms", 250],
    ["1500us", 2],
    ["1500µs", 2],
    ["1500μs", 2],
    ["100ns", 1],
    [String(YEAR_S), YEAR_S * 1_000],
  ])("reads %s", (text, ms) => {
    expect(readWait(text, NOW)).toBe(ms);
  });

  test.each([
    "",
    "s",
    "5 parsecs",
    "5 s later",
    "5ss",
    "1e3",
    "-5s",
    String(YEAR_S + 1),
    "367d",
    "9".repeat(30),
  ])("gives null for %j", (text) => {
    expect(readWait(text, NOW)).toBeNull();
  });

  test("gives null where the header is not there, or is longer than any can be", () => {
    expect(readWait(undefined, NOW)).toBeNull();
    expect(readWait("5".padEnd(1_001), NOW)).toBeNull();
  });

  test.each([
    ["seconds", 1e-3],
    ["milliseconds", 1],
    ["microseconds", 1e3],
    ["nanoseconds", 1e6],
  ])(
    "reads an instant in epoch %s within a year as the wait until it, and a past one as none",
    (_, perMs) => {
      const waits = fc.integer({ min: -YEAR_S, max: YEAR_S - 1 });
      fc.assert(
        fc.property(waits, (waitS) => {
          const ms = readWait(String((NOW + waitS * 1_000) * perMs), NOW);
          // Nanoseconds since 1970 do not fit a double: a microsecond may be lost.
          expect(Math.abs(Number(ms) - Math.max(0, waitS * 1_000))).toBeLessThanOrEqual(1);
        }),
      );
    },
  );

  test("takes no instant over a year ahead for a hint", () => {
    for (const perMs of [1e-3, 1, 1e3, 1e6]) {
      expect(readWait(String((NOW + (YEAR_S + 60) * 1_000) * perMs), NOW)).toBeNull();
    }
  });

  test("takes the longest of a header that came several times, in any order", () => {
    const parts = fc.array(
      fc.constantFrom("30", "600s", "Thu, 26 Nov 2026 12:00:40 GMT", "soon", "9999999999"),
      {
        minLength: 1,
        maxLength: 5,
      },
    );
    fc.assert(
      fc.property(parts, (values) => {
        expect(readWait(values.join(", "), NOW)).toBe(longest(values.map((value) => readWait(value, NOW))));
      }),
    );
  });

  test("is null or whole, not negative and at most a year, whatever the header says", () => {
    const texts = fc.oneof(fc.string(), fc.stringMatching(/^[-+0-9.,;=rtmshµ: ]{0,40}$/));
    fc.assert(
      fc.property(texts, (text) => {
        const ms = readWait(text, NOW);
        expect(ms === null || (Number.isSafeInteger(ms) && ms >= 0 && ms <= YEAR_S * 1_000)).toBe(true);
      }),
    );
  });
});

test("readWaitMs reads milliseconds only, the longest of several", () => {
  expect(readWaitMs("12.5")).toBe(13);
  expect(readWaitMs("5, 7, x")).toBe(7);
  expect(readWaitMs("7s")).toBeNull();
  expect(readWaitMs(undefined)).toBeNull();
});

test("partsOf keeps a date's own comma", () => {
  expect(partsOf("Thu, 26 Nov 2026 12:00:40 GMT,5 , Friday, 27-Nov-26 12:00:40 GMT")).toEqual([
    "Thu, 26 Nov 2026 12:00:40 GMT",
    "5",
    "Friday, 27-Nov-26 12:00:40 GMT",
  ]);
});
