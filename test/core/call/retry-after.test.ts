import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isPutOff, retryAfterMs, saysNoRetry, speaksForTarget } from "../../../src/core/call/retry-after.ts";

const NOW = Date.parse("2026-11-23T10:00:00.000Z");

describe("retryAfterMs", () => {
  test.each([
    ["30", 30_000],
    [" 30 ", 30_000],
    ["1.5", 1_500],
    ["0.0001", 1],
    ["0", 0],
    ["5s", 5_000],
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
    "99999999999999999999",
    "1e9",
    "NaN",
    "Mon, 99 Nov 2026 10:00:30 GMT",
    "later 5",
    "2026-99-99T10:00:30Z",
    "1".repeat(30),
    "1".repeat(2_000),
    String(400 * 24 * 3_600),
    "Tue, 30 Feb 2027 10:00:00 GMT",
    "Tue, 24 Nov 2026 10:00:00 CET",
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

  test.each([
    [{ "retry-after": "30, 600" }, 600_000],
    [{ "retry-after": "600, 600" }, 600_000],
    [{ "retry-after": "soon, 600, -1" }, 600_000],
    [{ "retry-after": "Mon, 23 Nov 2026 10:00:30 GMT, Mon, 23 Nov 2026 10:01:00 GMT" }, 60_000],
    [{ "retry-after": "Monday, 23-Nov-26 10:00:30 GMT, 5" }, 30_000],
    [{ "retry-after-ms": "250" }, 250],
    [{ "retry-after-ms": "250", "retry-after": "1" }, 1_000],
    [{ "retry-after-ms": "2500, 9000", "retry-after": "1" }, 9_000],
    [{ "x-ms-retry-after-ms": "1700" }, 1_700],
    [{ "retry-after-ms": "1s" }, null],
    [{ "ratelimit-reset": "600, 7" }, 600_000],
    [{ ratelimit: "limit=100, remaining=0, reset=600" }, 600_000],
    [{ ratelimit: "limit=100;remaining=0;reset=600" }, 600_000],
    [{ ratelimit: "limit=9, remaining=3, reset=9, limit=9, remaining=0, reset=4" }, 4_000],
    [{ ratelimit: "limit=100, reset=soon" }, null],
    [{ "x-rate-limit-reset": "12" }, 12_000],
    [{ "x-rate-limit-reset-after": "1.5" }, 1_500],
    [{ "x-ratelimit-reset": "2026-11-23T10:00:12Z" }, 12_000],
    [{ "x-ratelimit-reset": "Mon, 23 Nov 2026 10:00:12 GMT" }, 12_000],
    [{ "x-ratelimit-reset": String((NOW + 12_000) * 1e3) }, 12_000],
    [{ "x-ratelimit-reset": String((NOW + 12_000) * 1e6) }, 12_000],
    [{ "x-ratelimit-reset-requests": "500µs" }, 1],
    [{ "x-ratelimit-reset-requests": "2 minutes" }, 120_000],
  ] as [Record<string, string>, number | null][])("reads %j of a 429", (headers, ms) => {
    expect(retryAfterMs(429, headers, NOW)).toBe(ms);
  });

  test("takes one of several counts that is used up", () => {
    expect(retryAfterMs(500, { "x-rate-limit-remaining": "5, 0", "x-rate-limit-reset": "9" }, NOW)).toBe(
      9_000,
    );
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

describe("isPutOff", () => {
  const used = { "x-ratelimit-remaining": "0", "x-ratelimit-reset": "60" };
  const asked = { "retry-after": "60" };

  test.each([400, 401, 403, 404, 407, 410, 413, 420, 422, 430, 451, 499, 503])(
    "of %d with Retry-After holds",
    (status) => {
      expect(isPutOff(status, asked, NOW)).toBe(true);
      expect(isPutOff(status, { "retry-after-ms": "9" }, NOW)).toBe(true);
      expect(isPutOff(status, {}, NOW)).toBe(false);
      expect(isPutOff(status, { "retry-after": "soon" }, NOW)).toBe(false);
    },
  );

  test.each([
    [403, used, true],
    [420, used, true],
    [430, { ratelimit: "limit=1, remaining=0, reset=4" }, true],
    [403, { "x-ratelimit-remaining": "0" }, true],
    [403, { "x-ratelimit-remaining": "7", "x-ratelimit-reset": "60" }, false],
    [404, used, false],
    [413, used, false],
    [503, used, false],
    [429, {}, true],
    [200, asked, false],
    [301, asked, false],
    [500, asked, false],
  ] as [number, Record<string, string>, boolean][])("of %d with %j is %s", (status, headers, says) => {
    expect(isPutOff(status, headers, NOW)).toBe(says);
  });
});

describe("speaksForTarget", () => {
  test("holds for refusals by a limit, and not for one of a single call", () => {
    expect([403, 420, 429, 430, 503].every(speaksForTarget)).toBe(true);
    expect([400, 404, 410, 413].some(speaksForTarget)).toBe(false);
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
