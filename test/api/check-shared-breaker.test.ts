import { describe, expect, test } from "vitest";
import { changesSharedBreakers } from "../../src/api/check-shared-breaker.ts";
import { BreakerSettings, type BreakerSettingsInput } from "../../src/schema/breaker.ts";

const settings = (input: BreakerSettingsInput) => BreakerSettings.parse(input);
const changes = (after: BreakerSettingsInput, before?: BreakerSettingsInput) =>
  changesSharedBreakers(settings(after), before && settings(before));

describe("changesSharedBreakers", () => {
  test("is true of every threshold that is not the default", () => {
    const others: BreakerSettingsInput[] = [
      { failure_rate: 0.9 },
      { minimum: 1 },
      { window: "5m" },
      { consecutive_connect_failures: 1 },
      { consecutive_failures: 5 },
      { slow_rate: 0.1 },
      { slow_fraction: 0.1 },
      { open: "1s" },
      { max_open: "1h" },
      { half_open_successes: 1 },
      { readiness: { url: "https://api.example.com/ready" } },
    ];
    const fields = others.flatMap((other) => Object.keys(other)).sort();
    expect(fields).toEqual(
      Object.keys(BreakerSettings.shape)
        .filter((field) => !["enabled", "share", "scopes"].includes(field))
        .sort(),
    );
    for (const other of others) {
      expect(changes(other)).toBe(true);
      expect(changes({ ...other, share: "queue" })).toBe(false);
      expect(changes(other, other)).toBe(false);
      expect(changes(other, { ...other, share: "queue" })).toBe(true);
    }
  });

  test("is false of the defaults, also where they replace others, and of a queue that goes by none", () => {
    expect(changes({})).toBe(false);
    expect(changes({}, { minimum: 3 })).toBe(false);
    expect(changes({ enabled: false })).toBe(false);
  });
});
