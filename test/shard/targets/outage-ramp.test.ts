import { beforeEach, describe, expect, test, vi } from "vitest";
import type * as ramps from "../../../src/core/pressure/ramp.ts";
import { API } from "../../support/server/outage.ts";
import { BreakerHost } from "../../support/shard/breaker-host.ts";
import { beyondRamp, type RampEvent } from "../../support/shard/ramp-check.ts";

/** What stands in for the ramp's functions; null: they are as they are. */
const broken = vi.hoisted(() => ({
  startRamp: null as typeof ramps.startRamp | null,
  rampAfter: null as typeof ramps.rampAfter | null,
}));
vi.mock("../../../src/core/pressure/ramp.ts", async (original) => {
  const real = await original<typeof ramps>();
  return {
    ...real,
    startRamp: (goal: number) => (broken.startRamp ?? real.startRamp)(goal),
    rampAfter: (ramp: ramps.Ramp, ok: boolean) => (broken.rampAfter ?? real.rampAfter)(ramp, ok),
  };
});
beforeEach(() => Object.assign(broken, { startRamp: null, rampAfter: null }));

/** What a target sees of so many shards once it is back from an outage of a minute. */
async function seenAfterOutage(shards: number): Promise<RampEvent[]> {
  const host = new BreakerHost();
  const worlds = Array.from({ length: shards }, (_, i) => host.add(`q1-${i}`, {}, { shards }));
  host.down.add(API);
  for (const world of worlds) await host.submit(world, "api", 100);
  await host.run(60_000);
  host.down.delete(API);
  const backAt = host.now;
  await host.run(120_000);
  // A call that ends makes room for one that begins at the same instant.
  return host
    .callsTo(API, backAt)
    .flatMap(({ shard, startedAt, endedAt }) => [
      { type: "begun" as const, shard, at: startedAt },
      { type: "answered" as const, shard, at: endedAt },
    ])
    .sort((a, b) => a.at - b.at || Number(a.type === "begun") - Number(b.type === "begun"));
}

describe("a target that is back", () => {
  test.each([1, 2, 4, 8])("sees no more of %i shards than their ramps allow", async (shards) => {
    const events = await seenAfterOutage(shards);
    expect(events.filter(({ type }) => type === "answered")).toHaveLength(100 * shards);
    expect(beyondRamp(events, shards)).toEqual([]);
  });
});

describe("the check of a ramp", () => {
  test.each([1, 4])("finds that %i shards begin without one", async (shards) => {
    broken.startRamp = () => null;
    expect(beyondRamp(await seenAfterOutage(shards), shards)[0]).toMatch(/: \d+ calls, 1 allowed$/);
  });

  test("finds a ramp that grows with each success, not with each round of them", async () => {
    broken.rampAfter = (ramp) => (ramp.limit + 1 < ramp.goal ? { ...ramp, limit: ramp.limit * 2 } : null);
    expect(beyondRamp(await seenAfterOutage(1), 1)).not.toEqual([]);
  });

  test("finds a ramp that begins with two", async () => {
    broken.startRamp = (goal) => ({ limit: 2, goal, successes: 0 });
    expect(beyondRamp(await seenAfterOutage(4), 4)[0]).toMatch(/: 2 calls, 1 allowed$/);
  });

  test.each<[string, string, string[]]>([
    ["no call too many", "a+ a- a+ a- a+ a- a+ b+ a- a+ a+ b-", []],
    ["two probes at a time", "a+ b+ a- b-", ["event 1, shard b: 2 calls, 1 allowed"]],
    [
      "a second call at once after the probes",
      "a+ a- a+ a- a+ a- b+ b+",
      ["event 7, shard b: 2 calls, 1 allowed"],
    ],
    [
      "a third call after one success",
      "a+ a- a+ a- a+ a- a+ a- a+ a+ a+",
      ["event 10, shard a: 3 calls, 2 allowed"],
    ],
    [
      "a third call after two successes, before the round is over",
      "a+ a- a+ a- a+ a- a+ a- a+ a+ a- a+ a+",
      ["event 12, shard a: 3 calls, 2 allowed"],
    ],
  ])("finds in a recorded sequence: %s", (_name, recorded, beyond) => {
    const events = recorded.split(" ").map<RampEvent>((event) => ({
      type: event.endsWith("+") ? "begun" : "answered",
      shard: event.slice(0, -1),
    }));
    expect(beyondRamp(events, 4)).toEqual(beyond);
  });
});
