import { describe, expect, test } from "vitest";
import { type CallEffect, effectOf } from "../../../src/core/breaker/call-effect.ts";
import { ERROR_TYPES, type ErrorType } from "../../../src/schema/task.ts";

const TIMEOUTS = { timeoutMs: 20_000, queueTimeoutMs: 20_000, floorMs: 0 };
const effect = (
  errorType: ErrorType | null,
  over: Partial<typeof TIMEOUTS & { durationMs: number; status: number }> = {},
) => {
  const { durationMs = 10, status = 0 } = over;
  return effectOf({ errorType, status, durationMs }, { ...TIMEOUTS, ...over }, 0.8);
};

const EXPECTED: Record<ErrorType, CallEffect["reach"] | "works" | "nothing"> = {
  timeout: "unknown",
  network: "unknown",
  dns: "unreached",
  connect: "unreached",
  tls: "unreached",
  reset: "dropped",
  protocol: "dropped",
  server_error: "answered",
  rate_limited: "answered",
  not_ready: "works",
  conflict: "works",
  auth: "works",
  client_error: "works",
  gone: "works",
  redirect: "works",
  interrupted: "nothing",
  invalid_request: "nothing",
  encryption: "nothing",
};

describe("effectOf", () => {
  test.each(ERROR_TYPES)("sorts %s", (errorType) => {
    const expected = EXPECTED[errorType];
    if (expected === "nothing") expect(effect(errorType)).toBeNull();
    else if (expected === "works")
      expect(effect(errorType)).toEqual({ ok: true, slow: false, reach: "answered" });
    else expect(effect(errorType)).toEqual({ ok: false, slow: false, reach: expected });
  });

  test("takes a 429 for a target that works and asks to wait, and a 503 with a Retry-After for a failure", () => {
    const refused = { ok: false, slow: false, reach: "answered" };
    expect(effect("rate_limited", { status: 429 })).toEqual({ ...refused, asksToWait: true });
    expect(effect("rate_limited", { status: 503 })).toEqual(refused);
    expect(effect("server_error", { status: 429 })).toEqual(refused);
  });

  test("takes a 4xx for a limit as a 429, and one that puts off a single call for a target that works", () => {
    for (const status of [403, 420, 430]) {
      expect(effect("rate_limited", { status })).toMatchObject({ ok: false, asksToWait: true });
    }
    for (const status of [404, 413]) {
      expect(effect("rate_limited", { status })).toEqual({ ok: true, slow: false, reach: "answered" });
    }
  });

  test("counts a success", () => {
    expect(effect(null)).toEqual({ ok: true, slow: false, reach: "answered" });
  });

  test("does not count a timeout shorter than the queue's own", () => {
    expect(effect("timeout", { timeoutMs: 1 })).toBeNull();
    expect(effect("server_error", { timeoutMs: 1 })).not.toBeNull();
  });

  test("does not count a timeout shorter than the floor, where others go by the breaker", () => {
    const short = { timeoutMs: 1_000, queueTimeoutMs: 1_000 };
    expect(effect("timeout", short)).toEqual({ ok: false, slow: false, reach: "unknown" });
    expect(effect("timeout", { ...short, floorMs: 5_000 })).toBeNull();
    expect(effect("timeout", { timeoutMs: 4_999, queueTimeoutMs: 1_000, floorMs: 5_000 })).toBeNull();
    expect(effect("timeout", { timeoutMs: 5_000, queueTimeoutMs: 1_000, floorMs: 5_000 })).not.toBeNull();
    expect(effect("connect", { ...short, floorMs: 5_000 })).not.toBeNull();
  });

  test("measures slowness by the floor, where timeouts are shorter", () => {
    const short = { timeoutMs: 1_000, queueTimeoutMs: 1_000, durationMs: 900 };
    expect(effect(null, short)?.slow).toBe(true);
    expect(effect(null, { ...short, floorMs: 5_000 })?.slow).toBe(false);
    expect(effect(null, { ...short, durationMs: 4_001, floorMs: 5_000 })?.slow).toBe(true);
  });

  test("calls slow what took more than the fraction of the longer timeout", () => {
    expect(effect(null, { durationMs: 16_000 })?.slow).toBe(false);
    expect(effect(null, { durationMs: 16_001 })?.slow).toBe(true);
    expect(effect("server_error", { durationMs: 16_001 })?.slow).toBe(true);
    expect(effect(null, { durationMs: 900, timeoutMs: 1_000 })?.slow).toBe(false);
    expect(effect(null, { durationMs: 16_001, timeoutMs: 60_000 })?.slow).toBe(false);
  });
});
