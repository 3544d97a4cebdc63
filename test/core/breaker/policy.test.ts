import { describe, expect, test } from "vitest";
import { breakerPolicy, DEFAULT_BREAKER_POLICY, isTrusted } from "../../../src/core/breaker/policy.ts";
import { BreakerSettings, type BreakerSettingsInput } from "../../../src/schema/breaker.ts";

describe("breakerPolicy", () => {
  test("takes the defaults for settings of a release that knew no breakers", () => {
    expect(breakerPolicy(undefined)).toBe(DEFAULT_BREAKER_POLICY);
    expect(DEFAULT_BREAKER_POLICY).toMatchObject({
      enabled: true,
      failureRate: 0.5,
      readiness: null,
      split: true,
    });
  });

  test("takes each setting", () => {
    const readiness = { url: "https://a.example/ready", timeout: 1_000 };
    const settings = BreakerSettings.parse({
      enabled: false,
      share: "queue",
      failure_rate: 0.1,
      minimum: 2,
      window: "20s",
      consecutive_connect_failures: 3,
      consecutive_failures: 12,
      slow_rate: 0.2,
      slow_fraction: 0.3,
      open: "1s",
      max_open: "2s",
      half_open_successes: 4,
      readiness,
      scopes: ["/hooks/*"],
      split: false,
    });
    expect(breakerPolicy(settings)).toEqual({
      scopes: ["/hooks/*"],
      split: false,
      enabled: false,
      share: "queue",
      failureRate: 0.1,
      minimum: 2,
      windowMs: 20_000,
      connectFailures: 3,
      failuresInARow: 12,
      slowRate: 0.2,
      slowFraction: 0.3,
      openMs: 1_000,
      maxOpenMs: 2_000,
      halfOpenSuccesses: 4,
      readiness,
    });
  });

  test("raises a maximum that is below the first open time", () => {
    expect(breakerPolicy(BreakerSettings.parse({ open: "5m" }))).toMatchObject({
      openMs: 300_000,
      maxOpenMs: 300_000,
    });
  });
});

describe("isTrusted", () => {
  const policy = (settings: BreakerSettingsInput) => breakerPolicy(BreakerSettings.parse(settings));

  test("is true of an origin for queues that say so, and false of what is one queue's own", () => {
    expect(isTrusted("https://api.example", policy({ share: "trusted" }))).toBe(true);
    expect(isTrusted("key:orders/slow", policy({ share: "trusted" }))).toBe(false);
    expect(isTrusted("https://api.example", policy({ share: "trusted", enabled: false }))).toBe(false);
    expect(isTrusted("https://api.example", policy({ share: "queue" }))).toBe(false);
    expect(isTrusted("https://api.example", policy({}))).toBe(false);
  });
});
