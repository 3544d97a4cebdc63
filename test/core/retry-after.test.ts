import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { retryAfterMs, saysNoRetry } from "../../src/core/retry-after.ts";

const NOW = Date.parse("2026-11-23T10:00:00.000Z");

describe("retryAfterMs", () => {
  test.each([
    ["30", 30_000],
    [" 30 ", 30_000],
    ["1.5", 1_500],
    ["0.0001", 1],
    ["0", 0],
    ["99999999999999999999", Number.MAX_SAFE_INTEGER],
    ["Mon, 23 Nov 2026 10:00:30 GMT", 30_000],
    ["Monday, 23-Nov-26 10:00:30 GMT", 30_000],
    ["Mon Nov 23 10:00:30 2026", 30_000],
    ["Mon, 23 Nov 2026 11:00:30 +0100", 30_000],
    ["2026-11-23T10:00:30Z", 30_000],
    ["Mon, 23 Nov 2026 09:00:00 GMT", 0],
  ])("reads Retry-After: %s", (value, ms) => {
    expect(retryAfterMs(200, { "retry-after": value }, NOW)).toBe(ms);
  });

  test.each([
    "",
    "soon",
    "-5",
    "5s",
    "1e9",
    "NaN",
    "Mon, 99 Nov 2026 10:00:30 GMT",
    "later 5",
    "2026-99-99T10:00:30Z",
    "1".repeat(300),
  ])("gives null for Retry-After: %j", (value) => {
    expect(retryAfterMs(503, { "retry-after": value }, NOW)).toBeNull();
  });

  test.each([
    [{ "ratelimit-remaining": "0", "ratelimit-reset": "30" }, 30_000],
    [{ "x-ratelimit-remaining": "0", "x-ratelimit-reset": "30" }, 30_000],
    [{ "x-ratelimit-remaining": "0", "x-ratelimit-reset": String(NOW / 1_000 + 30) }, 30_000],
    [{ "x-ratelimit-remaining": "0", "x-ratelimit-reset": String(NOW + 30_000) }, 30_000],
    [{ "x-ratelimit-remaining": "0", "x-ratelimit-reset": String(NOW / 1_000 - 30) }, 0],
    [{ "x-ratelimit-remaining": "0", "x-ratelimit-reset-after": "1.25", "x-ratelimit-reset": "99" }, 1_250],
    [{ "x-ratelimit-remaining": "0", "x-ratelimit-reset": "tomorrow" }, null],
    [{ "x-ratelimit-remaining": "1", "x-ratelimit-reset": "30" }, null],
    [{ "x-ratelimit-remaining": "none", "x-ratelimit-reset": "30" }, null],
    [{ "x-ratelimit-reset": "30" }, null],
    [{ "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m5s" }, 365_000],
    [{ "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "250ms" }, 250],
    [{ "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1h0m1.5s" }, 3_601_500],
    [{ "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "12" }, 12_000],
    [{ "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "a while" }, null],
    [{ "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "" }, null],
    [{ ratelimit: '"default";r=0;t=30' }, 30_000],
    [{ ratelimit: '"burst"; r=0; t=5, "daily";r=0;t=60, "other";r=9;t=900' }, 60_000],
    [{ ratelimit: '"default";r=5;t=30' }, null],
    [{ ratelimit: '"default";r=0' }, null],
  ] as [Record<string, string>, number | null][])("reads %j of a limit that is used up", (headers, ms) => {
    expect(retryAfterMs(500, headers, NOW)).toBe(ms);
  });

  test("counts every limit with a 429, where none is said to be used up", () => {
    const headers = {
      "x-ratelimit-remaining-requests": "4",
      "x-ratelimit-reset-requests": "1s",
      "x-ratelimit-reset-tokens": "2s",
    };
    expect(retryAfterMs(429, headers, NOW)).toBe(2_000);
    expect(retryAfterMs(429, { ...headers, "x-ratelimit-remaining-requests": "0" }, NOW)).toBe(1_000);
  });

  test("does not count a limit with a 503 that says something remains", () => {
    expect(retryAfterMs(503, { "x-ratelimit-reset": "30" }, NOW)).toBe(30_000);
    expect(retryAfterMs(503, { "x-ratelimit-reset": "30", "x-ratelimit-remaining": "57" }, NOW)).toBeNull();
  });

  test("prefers Retry-After to all others", () => {
    expect(retryAfterMs(429, { "retry-after": "1", "ratelimit-reset": "30" }, NOW)).toBe(1_000);
  });

  test("is null or whole and not negative, whatever the headers say", () => {
    const names = fc.constantFrom(
      "retry-after",
      "ratelimit",
      "x-ratelimit-reset",
      "x-ratelimit-reset-tokens",
    );
    const values = fc.oneof(fc.string(), fc.stringMatching(/^[-+0-9.,;=rtmsh ]{0,30}$/));
    fc.assert(
      fc.property(fc.dictionary(names, values), fc.constantFrom(200, 429, 503), (headers, status) => {
        const ms = retryAfterMs(status, headers, NOW);
        expect(ms === null || (Number.isSafeInteger(ms) && ms >= 0)).toBe(true);
      }),
    );
  });
});

describe("saysNoRetry", () => {
  test.each([
    [489, {}, true],
    [503, { "redrive-retry": "no" }, true],
    [503, { "redrive-retry": " No" }, true],
    [503, { "redrive-retry": "yes" }, false],
    [503, {}, false],
  ] as [number, Record<string, string>, boolean][])("for %d with %j is %s", (status, headers, says) => {
    expect(saysNoRetry(status, headers)).toBe(says);
  });
});
