import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BreakerHarness, type OutageStep } from "../../support/shard/breaker-harness.ts";

const pick = fc.nat({ max: 20 });
const submits = fc.record({
  do: fc.constant("submit" as const),
  shard: pick,
  host: pick,
  count: fc.constantFrom(1, 3, 12),
  edge: fc.boolean(),
  callback: fc.boolean(),
  delayMs: fc.constantFrom(0, 0, 0, 2_000),
});
const runs = fc.record({
  do: fc.constant("run" as const),
  ms: fc.constantFrom(20, 500, 5_000, 30_000, 120_000),
});
const outages: fc.Arbitrary<OutageStep> = fc.oneof(
  fc.record({ do: fc.constantFrom("down" as const, "down" as const, "up" as const), host: pick }),
  fc.record({ do: fc.constant("refuse" as const), host: pick, after: fc.constantFrom(1, 20, 90) }),
);
const losses = fc.record({ do: fc.constant("lose" as const), percent: fc.constantFrom(0, 30, 70, 100) });
const rare: fc.Arbitrary<OutageStep> = fc.oneof(
  fc.record({
    do: fc.constantFrom(
      "restart" as const,
      "restart" as const,
      "kill" as const,
      "pause" as const,
      "resume" as const,
    ),
    shard: pick,
  }),
  fc.record({ do: fc.constantFrom("isolate" as const, "reset" as const), host: pick }),
  fc.record({ do: fc.constantFrom("cancel" as const, "retry" as const), shard: pick, task: pick }),
);

const harmless: fc.Arbitrary<OutageStep> = fc.oneof(
  { weight: 5, arbitrary: submits },
  { weight: 6, arbitrary: runs },
  { weight: 3, arbitrary: outages },
);
const any: fc.Arbitrary<OutageStep> = fc.oneof(
  { weight: 5, arbitrary: submits },
  { weight: 6, arbitrary: runs },
  { weight: 3, arbitrary: outages },
  { weight: 1, arbitrary: losses },
  { weight: 2, arbitrary: rare },
);

describe("shards under random outages", () => {
  test("call no target that may not be called, keep rows and memory in step, and end every task", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(any, { minLength: 10, maxLength: 40, size: "max" }),
        fc.nat(),
        async (steps, seed) => {
          const harness = new BreakerHarness(seed);
          await harness.run(steps);
          await harness.quiet();
          await harness.check();
          const asked = harness.host.shards.map(({ syncs }) => syncs.length);
          const alarms = harness.host.shards.map(({ alarmsRun }) => alarmsRun);
          await harness.host.run(600_000);
          // Nothing is left that would be told or asked for ever.
          for (const world of harness.host.shards) expect(world.shard.ctx.targets.news.untold).toBe(0);
          for (const [i, world] of harness.host.shards.entries()) {
            expect(world.syncs.length - (asked[i] ?? 0)).toBeLessThanOrEqual(3);
            expect(world.alarmsRun - (alarms[i] ?? 0)).toBeLessThanOrEqual(5);
          }
        },
      ),
      { numRuns: 40 },
    );
  }, 120_000);

  test("of a queue probe a target one at a time while no message is lost", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(harmless, { minLength: 10, maxLength: 40, size: "max" }),
        fc.nat(),
        async (steps, seed) => {
          const harness = new BreakerHarness(seed);
          await harness.run(steps);
          await harness.quiet();
          const probes = harness.host.calls.filter(({ isProbe }) => isProbe);
          for (const one of probes) {
            const others = probes.filter(
              (other) =>
                other !== one &&
                other.to === one.to &&
                queueOf(other) === queueOf(one) &&
                other.startedAt <= one.startedAt &&
                other.endedAt > one.startedAt,
            );
            expect(others).toEqual([]);
          }
        },
      ),
      { numRuns: 20 },
    );
  }, 120_000);
});

function queueOf({ shard }: { shard: string }): string {
  return shard.split("-")[0] ?? "";
}
