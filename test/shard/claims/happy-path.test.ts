import { describe, expect, test } from "vitest";
import type { QueueSettingsInput } from "../../../src/schema/queue.ts";
import { BreakerHost } from "../../support/shard/breaker-host.ts";
import { HOOK } from "../../support/shard/shard-messages.ts";

const OFF: QueueSettingsInput = {
  breaker: { enabled: false },
  retry_budget: { enabled: false },
  adaptive_concurrency: false,
};

/** What a shard writes and asks of others for tasks that succeed at once, edge-first and by runners. */
async function costOf(settings: QueueSettingsInput, tasks: number) {
  const host = new BreakerHost();
  const world = host.add("q1-0", settings);
  const writes: string[] = [];
  world.onSql = (query) => {
    if (!/^\s*(SELECT|WITH)/.test(query)) writes.push(query.split(" (")[0]?.slice(0, 40) ?? query);
  };
  let handOvers = 0;
  world.onRun = (grants) => {
    handOvers++;
    return grants.length;
  };
  for (let i = 0; i < tasks; i++) {
    const call = i % 2 === 0 ? { callback: HOOK } : {};
    await world.submitAll([world.taskTo(`host-${i % 40}`, { edge: i % 4 < 2, call })]);
    await host.run(50);
  }
  await host.run(60_000);
  return { writes, handOvers, alarms: world.alarmsSet, syncs: world.syncs.length, host, world };
}

describe("what breakers cost while all is well", () => {
  test("is nothing: no row, no alarm, no call of an object, and no Breaker object is asked", async () => {
    const plain = await costOf(OFF, 200);
    const guarded = await costOf({}, 200);
    expect(guarded.writes).toEqual(plain.writes);
    expect(guarded.handOvers).toBe(plain.handOvers);
    expect(guarded.alarms).toBe(plain.alarms);
    // The receiver of all callbacks is called more than twenty times: its breaker hears once that this shard is there.
    expect(guarded.syncs).toBe(1);
    expect(guarded.world.rows("SELECT * FROM targets")).toEqual([]);
  });

  test("is one call for a target that is called again and again, however often", async () => {
    const host = new BreakerHost();
    const world = host.add("q1-0");
    for (let i = 0; i < 20; i++) {
      await host.submit(world, "api", 20, true);
      await host.run(5_000);
    }
    expect(host.calls).toHaveLength(400);
    expect(world.syncs).toHaveLength(1);
  });

  test("is nothing for faults that are not the target's", async () => {
    const host = new BreakerHost();
    const world = host.add("q1-0");
    host.answer = () => ({ status: 404 });
    await host.submit(world, "api", 19);
    await host.run(5_000);
    expect(await world.counts()).toMatchObject({ failed: 19 });
    expect(world.syncs).toEqual([]);
  });
});
