import { describe, expect, test } from "vitest";
import type { CallResult } from "../../../src/core/call/call.ts";
import { API, RETRY, states } from "../../support/server/outage.ts";
import { BreakerHost } from "../../support/shard/breaker-host.ts";
import type { ShardWorld } from "../../support/shard/shard-world.ts";

const BROKEN: Partial<CallResult> = { status: 500 };
const HOSTILE = {
  ...RETRY,
  retry: { ...RETRY.retry, max_attempts: 50 },
  retry_budget: { enabled: false },
  breaker: { minimum: 1, consecutive_failures: 1, open: "1s", max_open: "1s", half_open_successes: 1 },
} as const;

/** Queues that open their own parts for the target as often as they can, and one whose calls go to a path that works. */
function besideHostile(queues: number) {
  const host = new BreakerHost();
  const hostile = Array.from({ length: queues }, (_, i) => host.add(`q${i + 10}-0`, HOSTILE));
  const victim = host.add("q1-0", RETRY);
  const isVictims = (shard: string) => shard === "q1-0";
  return { host, hostile, victim, isVictims };
}

/** Submits a task each so many milliseconds and lets it go; the longest that one of them had to wait. */
async function steadily(host: BreakerHost, world: ShardWorld, count: number, everyMs: number) {
  const ids: string[] = [];
  for (let i = 0; i < count; i++) {
    ids.push(...(await host.submit(world, "api")));
    await host.run(everyMs);
  }
  return ids;
}

describe("a target that is up", () => {
  test.each([1, 5])("is called as ever beside %d queues that say it is down", async (queues) => {
    const { host, hostile, victim, isVictims } = besideHostile(queues);
    host.answer = ({ shard }) => (isVictims(shard) ? {} : BROKEN);
    for (const world of hostile) await host.submit(world, "api", 20);
    await host.run(2_000);
    expect(host.view(API).state).not.toBe("closed");
    await steadily(host, victim, 100, 1_000);
    expect(await states(victim)).toEqual({ succeeded: 100 });
    const calls = host.callsTo(API).filter(({ shard }) => isVictims(shard));
    expect(calls).toHaveLength(100);
    expect(calls.some(({ isProbe }) => isProbe)).toBe(false);
  });

  test("and that fails one call of twenty is held up for no longer than a probe", async () => {
    const { host, hostile, victim, isVictims } = besideHostile(1);
    let calls = 0;
    host.answer = ({ shard }) => {
      if (!isVictims(shard)) return BROKEN;
      calls++;
      return calls % 20 === 0 ? BROKEN : {};
    };
    for (const world of hostile) await host.submit(world, "api", 20);
    await host.run(2_000);
    await steadily(host, victim, 200, 500);
    await host.run(5_000);
    expect(await states(victim)).toEqual({ succeeded: 200 });
    expect(host.callsTo(API).filter(({ shard, isProbe }) => isVictims(shard) && isProbe)).toEqual([]);
  });

  test("and failed three calls in a row is asked at once, and called on when that succeeds", async () => {
    const { host, hostile, victim, isVictims } = besideHostile(1);
    let isUp = false;
    host.answer = ({ shard }) => (isVictims(shard) && isUp ? {} : BROKEN);
    for (const world of hostile) await host.submit(world, "api", 20);
    await host.run(2_000);
    for (let i = 0; i < 3; i++) await steadily(host, victim, 1, 200);
    await host.runUntil(() => host.view(API, [1]).state === "half_open", 3_000, 10);
    isUp = true;
    const took = await host.runUntil(() => host.view(API, [1]).state === "closed", 5_000);
    expect(took).toBeLessThan(2_000);
  });
});

describe("a target that is down", () => {
  test("stops each queue after a few calls of its own, once one of them has found out", async () => {
    const host = new BreakerHost();
    const busy = host.add("q1-0", RETRY);
    const others = ["q2-0", "q3-0", "q4-0"].map((name) => host.add(name, RETRY));
    for (const world of [busy, ...others]) await host.submit(world, "api", 25);
    await host.run(15_000);
    host.answer = () => BROKEN;
    const since = host.now;
    for (let i = 0; i < 60; i++) {
      await host.submit(busy, "api", 2);
      if (i % 5 === 0) for (const world of others) await host.submit(world, "api");
      await host.run(100);
    }
    for (const ref of [1, 2, 3, 4]) expect(host.view(API, [ref]).state).toBe("open");
    for (const { name } of others) {
      const calls = host.callsTo(API, since).filter(({ shard }) => shard === name);
      // Two by the time that the first one has found out, one that agrees, its retries, and the probe.
      expect(calls.length).toBeLessThanOrEqual(12);
    }
    host.answer = () => ({});
    const took = await host.runUntil(
      async () => [1, 2, 3, 4].every((ref) => host.view(API, [ref]).state === "closed"),
      60_000,
    );
    expect(took).toBeLessThan(30_000);
  });
});
