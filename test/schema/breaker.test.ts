import { describe, expect, test } from "vitest";
import { BreakerList, BreakerOperation, BreakerSettings, Scope } from "../../src/schema/breaker.ts";

const issueOf = (input: unknown) => BreakerSettings.safeParse(input).error?.issues[0]?.path.join(".");

describe("BreakerSettings", () => {
  test("fills in the defaults of the design", () => {
    expect(BreakerSettings.parse({})).toEqual({
      enabled: true,
      share: "deployment",
      failure_rate: 0.5,
      minimum: 20,
      window: 60_000,
      consecutive_connect_failures: 5,
      consecutive_failures: 20,
      slow_rate: 0.8,
      slow_fraction: 0.8,
      open: 10_000,
      max_open: 60_000,
      half_open_successes: 3,
    });
  });

  test("reads back what it has written", () => {
    const settings = BreakerSettings.parse({ open: "30s", readiness: { url: "https://a.example/ready" } });
    expect(settings.readiness).toEqual({ url: "https://a.example/ready", timeout: 5_000 });
    expect(BreakerSettings.parse(JSON.parse(JSON.stringify(settings)))).toEqual(settings);
  });

  test.each([
    ["failure_rate", { failure_rate: 0 }],
    ["slow_rate", { slow_rate: 1.1 }],
    ["minimum", { minimum: 0 }],
    ["window", { window: "19s" }],
    ["consecutive_connect_failures", { consecutive_connect_failures: 21 }],
    ["consecutive_failures", { consecutive_failures: 51 }],
    ["open", { open: "999ms" }],
    ["max_open", { max_open: "2h" }],
    ["readiness.url", { readiness: {} }],
    ["readiness", { readiness: { url: "https://a.example", period: "5s" } }],
    ["", { treshold: 1 }],
  ])("refuses a wrong %s by its path", (path, input) => {
    expect(issueOf(input)).toBe(path);
  });
});

describe("BreakerOperation", () => {
  test("asks for a reason", () => {
    expect(BreakerOperation.safeParse({ reason: "" }).success).toBe(false);
    expect(BreakerOperation.parse({ reason: "maintenance" })).toEqual({ reason: "maintenance" });
  });
});

describe("BreakerList", () => {
  test("shows a breaker with what is not known as null", () => {
    const view = {
      key: "https://api.example.com",
      state: "open",
      since: "2026-11-23T10:00:00.000Z",
      until: "2026-11-23T10:00:08.000Z",
      reason: "14 of 20 calls failed in 60 s",
      windows: { ok: 6, failed: 14, slow: 0, connect_failed: 2 },
      failure_rate: 0.7,
      trips: 1,
      limit: null,
      load_factor: null,
      budget_left: null,
      parked: 2_000,
      next_probe_at: "2026-11-23T10:00:08.000Z",
      holds: [],
      split: null,
      parts: [
        {
          queue: null,
          state: "closed",
          since: "2026-11-23T10:00:00.000Z",
          until: null,
          reason: null,
          trips: 0,
        },
      ],
      audit: [
        {
          at: "2026-11-23T10:00:00.000Z",
          from: "closed",
          to: "open",
          reason: "14 of 20 calls failed in 60 s",
          by: "counts",
        },
      ],
    };
    const page = { breakers: [{ ...view, queue: null }], next_cursor: null };
    expect(BreakerList.parse(page)).toEqual(page);
    expect(
      BreakerList.safeParse({ ...page, breakers: [{ ...view, queue: null, state: "ajar" }] }).success,
    ).toBe(false);
  });
});

describe("Scope", () => {
  test.each(["/hooks/*", "/v2/payments", "/*/hooks", "/a%20b", "/a.b/..c"])("takes %j", (scope) => {
    expect(Scope.safeParse(scope).success).toBe(true);
  });

  test.each([
    "",
    "/",
    "hooks",
    "/hooks/",
    "/a*",
    "/**",
    "/a//b",
    "/./a",
    "/a/..",
    "/a b",
    "/a?b",
    "/a#b",
    "/ä",
  ])("takes no %j", (scope) => {
    expect(Scope.safeParse(scope).success).toBe(false);
  });
});
