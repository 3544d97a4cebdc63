import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readDate } from "../../../src/core/call/http-date.ts";

const NOW = Date.parse("2026-11-26T12:00:00Z");

describe("readDate", () => {
  test.each([
    ["Thu, 26 Nov 2026 12:35:14 GMT", "2026-11-26T12:35:14Z"],
    ["thu, 26 nov 2026 12:35:14 gmt", "2026-11-26T12:35:14Z"],
    ["Thursday, 26-Nov-26 12:35:14 GMT", "2026-11-26T12:35:14Z"],
    ["Thu Nov 26 12:35:14 2026", "2026-11-26T12:35:14Z"],
    ["Sun Nov  6 08:49:37 1994", "1994-11-06T08:49:37Z"],
    ["Sunday, 06-Nov-94 08:49:37 GMT", "1994-11-06T08:49:37Z"],
    ["Thu Nov 26 12:35:14 UTC 2026", "2026-11-26T12:35:14Z"],
    ["Thu, 26 Nov 2026 12:35:14", "2026-11-26T12:35:14Z"],
    ["26 Nov 2026 12:35:14 GMT", "2026-11-26T12:35:14Z"],
    ["Thu, 26 November 2026 12:35:14 Z", "2026-11-26T12:35:14Z"],
    ["Thu, 26 Nov 2026 12:35:14 EST", "2026-11-26T17:35:14Z"],
    ["Thu, 26 Nov 2026 12:35:14 PDT", "2026-11-26T19:35:14Z"],
    ["Thu, 26 Nov 2026 12:35:14 +0100", "2026-11-26T11:35:14Z"],
    ["Thu Nov 26 2026 12:35:14 GMT-0330", "2026-11-26T16:05:14Z"],
    ["Sat, 31 Dec 2016 23:59:60 GMT", "2017-01-01T00:00:00Z"],
    ["Sat, 29 Feb 2028 00:00:00 GMT", "2028-02-29T00:00:00Z"],
    ["2026-11-26T12:35:14Z", "2026-11-26T12:35:14Z"],
    ["2026-11-26t12:35:14.123456z", "2026-11-26T12:35:14Z"],
    ["2026-11-26T12:35:14", "2026-11-26T12:35:14Z"],
    ["2026-11-26T12:35:14+01:30", "2026-11-26T11:05:14Z"],
    ["2026-11-26T12:35:14-05", "2026-11-26T17:35:14Z"],
    [" 2026-11-26T12:35:14 UTC ", "2026-11-26T12:35:14Z"],
  ])("reads %s", (text, instant) => {
    expect(readDate(text, NOW)).toBe(Date.parse(instant));
  });

  test.each([
    "",
    "Thu",
    "Tue, 30 Feb 2027 10:00:00 GMT",
    "Sat, 29 Feb 2027 10:00:00 GMT",
    "Thu, 00 Nov 2026 10:00:00 GMT",
    "Thu, 26 Nov 2026 24:00:00 GMT",
    "Thu, 26 Nov 2026 10:60:00 GMT",
    "Thu, 26 Nov 2026 10:00:61 GMT",
    "Thu, 26 Nov 2026 10:00:00 CET",
    "Thu, 26 Nov 2026 10:00:00 GMT GMT",
    "Thu, 26 Nov 2026",
    "Thu, 26 2026 10:00:00",
    "Thu, Nov 2026 10:00:00",
    "26 Nov 10:00:00",
    "26 26 26 Nov 2026 10:00:00",
    "26 7 Nov 10:00:00",
    "Thu, 26 Nov 2026 2027 10:00:00",
    "Thu, 26 Nov2 2026 10:00:00",
    "1 2 3 4 5 6 7 8 9",
    "2026-02-30T10:00:00Z",
    "2026-11-26T10:00:00 CET",
    "2026-13-01T10:00:00Z",
  ])("gives null for %j", (text) => {
    expect(readDate(text, NOW)).toBeNull();
  });

  test("takes two digits for a year at most 50 years ahead", () => {
    expect(readDate("Sunday, 06-Nov-76 08:49:37 GMT", NOW)).toBe(Date.parse("2076-11-06T08:49:37Z"));
    expect(readDate("Sunday, 06-Nov-77 08:49:37 GMT", NOW)).toBe(Date.parse("1977-11-06T08:49:37Z"));
  });

  test("reads back every instant that a server's date says, in each form", () => {
    const seconds = fc.integer({ min: 0, max: Date.UTC(2099, 0) / 1_000 });
    fc.assert(
      fc.property(seconds, (at) => {
        const date = new Date(at * 1_000);
        const [weekday = "", day, month, year, time] = date.toUTCString().split(" ");
        const forms = [
          date.toUTCString(),
          date.toISOString(),
          `${weekday.slice(0, 3)} ${month} ${day} ${time} ${year}`,
        ];
        for (const form of forms) expect(readDate(form, NOW)).toBe(at * 1_000);
      }),
    );
  });

  test("gives null or whole milliseconds, whatever the text", () => {
    const words = fc.constantFrom(
      "Thu,",
      "30",
      "Feb",
      "2027",
      "10:00:00",
      "99:99:99",
      "GMT",
      "EST",
      "CET",
      "-",
      "0",
      "",
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(words, { maxLength: 9 }).map((list) => list.join(" ")),
        ),
        (text) => {
          const at = readDate(text, NOW);
          expect(at === null || Number.isSafeInteger(at)).toBe(true);
        },
      ),
    );
  });
});
