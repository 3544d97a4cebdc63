import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ShardHarness, type Step } from "../support/shard/shard-harness.ts";

const pick = fc.nat({ max: 50 });
const submits = fc.record({
  do: fc.constant("submit" as const),
  host: fc.nat({ max: 2 }),
  priority: fc.nat({ max: 9 }),
  delayMs: fc.constantFrom(0, 0, 0, 400, 7_000),
  edge: fc.boolean(),
  callback: fc.boolean(),
  count: fc.constantFrom(1, 1, 3),
});
const settles = fc.record({
  do: fc.constant("settle" as const),
  pick,
  status: fc.constantFrom(200, 200, 500, 503, 400, 401, 403, 0),
  want: fc.nat({ max: 2 }),
});
const operates = fc.record({
  do: fc.constant("operate" as const),
  pick,
  action: fc.constantFrom("cancel" as const, "retry" as const, "resume" as const),
  force: fc.boolean(),
});
const key = fc.constantFrom("x", "y", null);
const rare: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant("rekey" as const), pick, key }),
  fc.record({ do: fc.constant("rekeyAll" as const), host: fc.nat({ max: 2 }), key }),
  fc.record({ do: fc.constant("repeat" as const), pick }),
  fc.record({ do: fc.constant("stale" as const), pick }),
  fc.record({ do: fc.constant("die" as const), pick }),
  fc.record({ do: fc.constant("restart" as const) }),
  fc.record({
    do: fc.constant("runners" as const),
    take: fc.constantFrom("all", "all", "none", "one", "overloaded", "unknown"),
  }),
  fc.record({ do: fc.constant("pause" as const), paused: fc.boolean() }),
);
const waits = fc.record({
  do: fc.constant("wait" as const),
  ms: fc.constantFrom(1, 100, 300, 2_000, 15_000, 31_000, 120_000),
});
const steps = fc.array(fc.oneof(submits, settles, settles, waits, operates, rare), {
  minLength: 5,
  maxLength: 60,
});

describe("a shard under random use", () => {
  test("keeps its rows, memory, leases and slots in step, and ends every task and callback", async () => {
    await fc.assert(
      fc.asyncProperty(steps, fc.constantFrom(1, 3, 8), async (run, concurrency) => {
        const harness = new ShardHarness(concurrency);
        await harness.run(run);
        await harness.quiet();
        await endsInOrder(harness);
      }),
      { numRuns: 150 },
    );
  }, 120_000);
});

async function endsInOrder({ world, ids, delivered }: ShardHarness): Promise<void> {
  expect(world.rows("SELECT seq FROM flights")).toEqual([]);
  expect(world.rows("SELECT id FROM tasks WHERE instr(id, '~') > 0")).toEqual([]);
  for (const id of ids) {
    const { state, callback, round } = await world.view(id);
    expect(["succeeded", "failed", "cancelled"], id).toContain(state);
    if (callback === null) continue;
    expect(["delivered", "failed"], id).toContain(callback.state);
    if (callback.state === "delivered") expect(delivered).toContain(`${id}_${round}`);
  }
}
