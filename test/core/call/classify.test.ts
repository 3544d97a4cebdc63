import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { CallResult } from "../../../src/core/call/call.ts";
import { classify, interrupted } from "../../../src/core/call/classify.ts";

const NOW = Date.parse("2026-11-23T10:00:00Z");

const build = (over: Partial<CallResult>): CallResult => ({
  status: 200,
  headers: {},
  body: "",
  bodyEncoding: "utf8",
  truncated: false,
  durationMs: 12,
  error: null,
  ...over,
});
const of = (over: Partial<CallResult>) => classify(build(over), NOW);
const thrown = (name: string, message: string) => of({ status: 0, error: { name, message } });

describe("classify", () => {
  test.each([200, 201, 204, 299])("takes %d for a success, with no fault", (status) => {
    expect(of({ status, body: '{"error":"x"}' })).toMatchObject({
      ok: true,
      status,
      errorType: null,
      errorCode: null,
      errorMessage: null,
      faultClass: null,
      noRetry: false,
      durationMs: 12,
    });
  });

  test.each([
    [101, "protocol", "transient"],
    [301, "redirect", "permanent"],
    [304, "redirect", "permanent"],
    [400, "client_error", "permanent"],
    [401, "auth", "permanent"],
    [403, "auth", "permanent"],
    [404, "client_error", "permanent"],
    [407, "auth", "permanent"],
    [408, "not_ready", "transient"],
    [409, "conflict", "transient"],
    [410, "gone", "permanent"],
    [422, "client_error", "permanent"],
    [423, "conflict", "transient"],
    [425, "not_ready", "transient"],
    [429, "rate_limited", "transient"],
    [500, "server_error", "transient"],
    [503, "server_error", "transient"],
    [599, "server_error", "transient"],
    [999, "server_error", "transient"],
  ])("takes %d for %s, which is %s", (status, errorType, faultClass) => {
    const outcome = of({ status, body: "<html>no</html>" });
    expect(outcome).toMatchObject({ ok: false, status, errorType, errorCode: errorType, faultClass });
  });

  test("takes a 503 with Retry-After for a rate limit, and a 503 with nonsense in it not", () => {
    expect(of({ status: 503, headers: { "retry-after": "7" } })).toMatchObject({
      errorType: "rate_limited",
      retryAfterMs: 7_000,
    });
    expect(of({ status: 503, headers: { "retry-after": "?" } }).errorType).toBe("server_error");
    expect(of({ status: 503, headers: { "ratelimit-reset": "7" } })).toMatchObject({
      errorType: "server_error",
      retryAfterMs: 7_000,
    });
  });

  test.each([400, 401, 403, 404, 407, 410, 413, 420, 422, 430])(
    "takes a %d that says when to come back for a rate limit",
    (status) => {
      const outcome = of({ status, headers: { "retry-after": "60" } });
      expect(outcome).toMatchObject({
        errorType: "rate_limited",
        faultClass: "transient",
        retryAfterMs: 60_000,
      });
      expect(of({ status, headers: { "retry-after": "soon" } }).faultClass).toBe("permanent");
    },
  );

  test("leaves what passes anyway its own name, and status 489 its word", () => {
    const headers = { "retry-after": "60" };
    expect(of({ status: 408, headers }).errorType).toBe("not_ready");
    expect(of({ status: 409, headers }).errorType).toBe("conflict");
    expect(of({ status: 489, headers }).noRetry).toBe(true);
  });

  test("takes a 403 whose limit is used up for a rate limit, and a 404 not", () => {
    const headers = { "x-ratelimit-remaining": "0", "x-ratelimit-reset": String(NOW / 1_000 + 60) };
    expect(of({ status: 403, headers })).toMatchObject({ errorType: "rate_limited", retryAfterMs: 60_000 });
    expect(of({ status: 404, headers })).toMatchObject({ errorType: "client_error" });
  });

  test.each([
    [530, "error code: 1016", "dns"],
    [530, "error code: 1001", "dns"],
    [530, "error code: 1033", "connect"],
    [520, "error code: 520", "reset"],
    [521, "error code: 521", "connect"],
    [522, "error code: 522\n", "connect"],
    [523, "error code: 523", "connect"],
    [524, "error code: 524", "timeout"],
    [525, "error code: 525", "tls"],
    [526, "error code: 526", "tls"],
    [520, "", "reset"],
    [527, "error code: 527", "server_error"],
    [522, '{"error":"busy"}', "server_error"],
    [522, "<html>busy</html>", "server_error"],
    [522, "busy ".repeat(100), "server_error"],
  ])("takes %d with %j for %s", (status, body, errorType) => {
    expect(of({ status, body }).errorType).toBe(errorType);
  });

  test("leaves the answer's message out where its body is not to be stored in plain", () => {
    const body = '{"error":{"code":"declined","message":"card of Ann"}}';
    expect(of({ status: 402, body })).toMatchObject({ errorCode: "declined", errorMessage: "card of Ann" });
    const sealed = of({ status: 402, body, sealedBody: "sealed:v1:k:d" });
    expect(sealed).toMatchObject({ errorCode: "declined", errorMessage: null, bodyText: body });
  });

  test("takes a 52x with bytes for the target's own answer", () => {
    expect(of({ status: 522, body: "AAAA", bodyEncoding: "base64" }).errorType).toBe("server_error");
  });

  test.each([
    ["TimeoutError", "no complete answer within 5 ms", "timeout", "transient"],
    ["RedirectRefusedError", "refused", "invalid_request", "permanent"],
    ["TooManyRedirectsError", "expected at most 3 redirects", "redirect", "permanent"],
    ["UnsealError", "REDRIVE_ENCRYPTION_KEY is not set", "encryption", "transient"],
    ["ProtocolError", "what came is TLS: the URL may have to begin with https", "protocol", "transient"],
    ["TypeError", "Fetch API cannot load: ftp://x", "invalid_request", "permanent"],
    ["TypeError", "Invalid URL: nope", "invalid_request", "permanent"],
    ["TypeError", "x is not a function", "network", "transient"],
    ["Error", "internal error; reference = dns1certificate", "network", "transient"],
    ["Error", "Network connection lost.", "connect", "transient"],
    ["TypeError", "getaddrinfo ENOTFOUND api.example.com", "dns", "transient"],
    ["Error", "self-signed certificate", "tls", "transient"],
    ["Error", "connect ECONNREFUSED 127.0.0.1:9", "connect", "transient"],
    ["Error", "read ECONNRESET", "reset", "transient"],
    ["Error", "something new", "network", "transient"],
    ["", "", "network", "transient"],
  ])("takes %s: %s for %s, which is %s", (name, message, errorType, faultClass) => {
    expect(thrown(name, message)).toMatchObject({
      ok: false,
      status: 0,
      errorType,
      errorCode: errorType,
      faultClass,
      bodyText: null,
    });
  });

  test.each([
    [{ status: 200 }, { ok: true, errorType: null, bodyError: "reset" }],
    [{ status: 400 }, { errorType: "client_error", errorCode: "client_error", faultClass: "permanent" }],
    [{ status: 410 }, { errorType: "gone" }],
    [{ status: 489 }, { noRetry: true }],
    [
      { status: 500, headers: { "redrive-retry": "no" } },
      { noRetry: true, errorType: "server_error" },
    ],
    [
      { status: 503, headers: { "retry-after": "60" } },
      { errorType: "rate_limited", retryAfterMs: 60_000 },
    ],
  ])("lets the status and headers of %j decide where the body broke", (part, expected) => {
    const outcome = of({ ...part, truncated: true, bodyError: "reset" });
    expect(outcome).toMatchObject({ status: part.status, bodyError: "reset", bodyText: null, ...expected });
  });

  test("says nothing of a body where there was no answer", () => {
    expect(of({ status: 0, bodyError: "reset", error: { name: "E", message: "" } })).toMatchObject({
      status: 0,
      bodyError: null,
    });
  });

  test.each([
    ['{"error":{"code":"card_declined","type":"t"},"code":"c"}', "card_declined"],
    ['{"error":{"type":"overloaded"},"code":"c"}', "overloaded"],
    ['{"error":{"message":"m"},"code":17}', "17"],
    ['{"error":"invalid_grant"}', "invalid_grant"],
    ['{"code":"  bad\\u0000one "}', "bad one"],
    [`{"code":"${"x".repeat(200)}"}`, "x".repeat(100)],
    ['{"code":""}', "client_error"],
    ['{"code":1.5}', "client_error"],
    ['{"code":null,"error":false}', "client_error"],
    ['[{"code":"x"}]', "client_error"],
    ['"code"', "client_error"],
    ["null", "client_error"],
    ["{", "client_error"],
    ["", "client_error"],
  ])("reads from %s the code %s", (body, errorCode) => {
    expect(of({ status: 400, body }).errorCode).toBe(errorCode);
  });

  test("gives every 429 the code rate_limited", () => {
    expect(of({ status: 429, body: '{"code":"quota"}' }).errorCode).toBe("rate_limited");
  });

  test("takes the message from the answer's error, cleaned and cut, and nothing else of the body", () => {
    expect(of({ status: 400, body: '{"error":{"message":" Bad\\r\\ncard "}}' }).errorMessage).toBe(
      "Bad card",
    );
    const long = JSON.stringify({ error: { message: "x".repeat(999) } });
    expect(of({ status: 400, body: long }).errorMessage).toBe("x".repeat(300));
    for (const body of [
      '{"message":"secret"}',
      "secret",
      '{"error":{"message":5}}',
      '{"error":{"message":"\\n"}}',
    ]) {
      expect(of({ status: 400, body }).errorMessage).toBeNull();
    }
  });

  test("leaves URLs out of an exception's message", () => {
    const { errorMessage } = thrown("TypeError", "Invalid URL: https://api.example.com/?token=abc, sorry");
    expect(errorMessage).toBe("Invalid URL: (url) sorry");
  });

  test("keeps the body only where it is whole text of at most 64 KB", () => {
    expect(of({ body: "hi" }).bodyText).toBe("hi");
    expect(of({ body: "hi", truncated: true }).bodyText).toBeNull();
    expect(of({ body: "aGk=", bodyEncoding: "base64" }).bodyText).toBeNull();
    expect(of({ body: "x".repeat(65_536) }).bodyText).toHaveLength(65_536);
    expect(of({ body: "x".repeat(65_537) }).bodyText).toBeNull();
  });

  test("parses the body once", () => {
    const { json } = of({ body: '{"a":[1]}' });
    expect(json()).toEqual({ a: [1] });
    expect(json()).toBe(json());
    expect(of({ body: "nope" }).json()).toBeNull();
  });

  test("hears that no retry is wanted, by status or header", () => {
    expect(of({ status: 489 })).toMatchObject({ noRetry: true, errorType: "client_error" });
    expect(of({ status: 500, headers: { "redrive-retry": "no" } }).noRetry).toBe(true);
  });

  test("never throws, and names a fault exactly where it is no success", () => {
    const results = fc.record<CallResult>({
      status: fc.integer({ min: 0, max: 999 }),
      headers: fc.dictionary(
        fc.constantFrom("retry-after", "content-type", "ratelimit", "__proto__"),
        fc.string(),
      ),
      body: fc.oneof(fc.string(), fc.json()),
      bodyEncoding: fc.constantFrom("utf8", "base64"),
      truncated: fc.boolean(),
      durationMs: fc.nat(),
      error: fc.option(fc.record({ name: fc.string(), message: fc.string() })),
    });
    fc.assert(
      fc.property(results, fc.nat(), (result, now) => {
        const outcome = classify(result, now);
        const faults = [outcome.errorType, outcome.errorCode, outcome.faultClass];
        expect(faults.every((part) => (part === null) === outcome.ok)).toBe(true);
        expect(String(outcome.errorMessage).length).toBeLessThanOrEqual(300);
      }),
    );
  });
});

describe("interrupted", () => {
  test("is a transient fault without an answer", () => {
    const outcome = interrupted();
    expect(outcome).toMatchObject({
      ok: false,
      status: 0,
      errorType: "interrupted",
      faultClass: "transient",
    });
    expect(outcome.json()).toBeNull();
  });
});
