import { describe, expect, test } from "vitest";
import { changesSharedBreakers } from "../../../src/api/queues/check-shared-breaker.ts";
import { BreakerSettings, type BreakerSettingsInput } from "../../../src/schema/breaker.ts";

const settings = (input: BreakerSettingsInput) => BreakerSettings.parse(input);
const changes = (after: BreakerSettingsInput, before?: BreakerSettingsInput) =>
  changesSharedBreakers(settings(after), before && settings(before));

describe("changesSharedBreakers", () => {
  test("is true of what a queue sets that others trust, unless it was so before", () => {
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
        .filter((field) => !["enabled", "share", "scopes", "split"].includes(field))
        .sort(),
    );
    for (const other of others) {
      const trusted = { ...other, share: "trusted" } as const;
      expect(changes(trusted)).toBe(true);
      expect(changes(trusted, { share: "trusted" })).toBe(true);
      expect(changes(trusted, other)).toBe(true);
      expect(changes(trusted, trusted)).toBe(false);
      expect(changes({ ...trusted, enabled: false }, trusted)).toBe(false);
    }
  });

  test("is false of every queue that goes by its own calls", () => {
    for (const share of ["deployment", "queue"] as const) {
      expect(changes({ share, minimum: 1, open: "1s" })).toBe(false);
      expect(changes({ share, minimum: 1 }, { share: "trusted" })).toBe(false);
    }
    expect(changes({})).toBe(false);
  });
});
