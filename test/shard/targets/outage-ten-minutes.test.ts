import { describe, expect, test } from "vitest";
import { API, mostAtOnce } from "../../support/server/outage.ts";
import { seededRandom } from "../../support/server/stories.ts";
import { BreakerHost, type Call } from "../../support/shard/breaker-host.ts";
import { beyondRamp, type RampEvent } from "../../support/shard/ramp-check.ts";

const TASKS = 2_000;
const SHARDS = 8;
const OUTAGE_MS = 600_000;
/** What the shards have under way before the first call fails, two each, and one more for each failure up to the fifth. */
const MOST_CALLS_TO_TRIP = 2 * SHARDS + 4;
/** Half of 10, 20 and 40 s is the least that the first three waits take, and half of a minute each one after. */
const MOST_PROBES = 3 + Math.ceil((OUTAGE_MS - 35_000) / 30_000);

/** 2,000 tasks that eight shards of one queue have taken in when their target was down; `random` is the breaker's chance. */
async function outage(random: () => number) {
  const host = new BreakerHost();
  host.random = random;
  const worlds = Array.from({ length: SHARDS }, (_, i) => host.add(`q1-${i}`, {}, { shards: SHARDS }));
  const backoff = seededRandom(7);
  for (const world of worlds) world.random = backoff;
  host.down.add(API);
  const ids: string[] = [];
  for (const world of worlds) ids.push(...(await host.submit(world, "api", TASKS / SHARDS, true)));
  return { host, worlds, ids };
}

/** Tasks of all shards by state. */
async function stateCounts({ shards }: BreakerHost): Promise<Record<string, number>> {
  const sums: Record<string, number> = {};
  for (const world of shards) {
    for (const [state, count] of Object.entries(await world.counts()))
      sums[state] = (sums[state] ?? 0) + count;
  }
  return sums;
}

/** Calls as the target saw them: one that ends makes room for one that begins at the same instant. */
function seenBy(calls: readonly Call[]): RampEvent[] {
  return calls
    .flatMap(({ shard, startedAt, endedAt }) => [
      { type: "begun" as const, shard, at: startedAt },
      { type: "answered" as const, shard, at: endedAt },
    ])
    .sort((a, b) => a.at - b.at || Number(a.type === "begun") - Number(b.type === "begun"));
}

const CHANCES: [string, () => () => number][] = [
  ["chance makes every wait short", () => () => 0],
  ["chance makes every wait long", () => () => 0.999],
  ["chance is fair (seed 1)", () => seededRandom(1)],
  ["chance is fair (seed 2)", () => seededRandom(2)],
];

describe("2,000 tasks of eight shards through an outage of ten minutes, with default settings", () => {
  test.each(CHANCES)(
    "are probed gently, lose no attempt and are delivered within 90 s: %s",
    async (name, chance) => {
      const { host, ids } = await outage(chance());
      await host.run(OUTAGE_MS);
      const whileDown = host.callsTo(API);
      const probes = whileDown.filter(({ isProbe }) => isProbe);
      const waiting = await stateCounts(host);
      // The worst moment to come back: a probe has just failed, and the wait is the longest.
      const failed = probes.length;
      await host.runUntil(
        () => host.callsTo(API).filter(({ isProbe }) => isProbe).length > failed,
        70_000,
        100,
      );
      await host.run(100);
      host.down.delete(API);
      const backAt = host.now;
      const { until, state } = host.view(API);
      const tookMs = await host.runUntil(async () => (await stateCounts(host)).succeeded === TASKS, 90_000);

      const after = host.callsTo(API, backAt);
      const first = after[0]?.startedAt ?? Number.POSITIVE_INFINITY;
      process.stdout.write(
        `${name}: ${whileDown.length} calls in 600 s of outage, ${probes.length} of them probes; from "target is back" ` +
          `to "all delivered": ${(tookMs / 1_000).toFixed(1)} s, of which ${((first - backAt) / 1_000).toFixed(1)} s up to the first probe\n`,
      );
      expect(state).toBe("open");
      expect(first).toBeLessThan(Date.parse(until ?? "") + 6_000);
      expect(tookMs).toBeLessThan(90_000);
      expect(whileDown.length - probes.length).toBeLessThanOrEqual(MOST_CALLS_TO_TRIP);
      expect(probes.length).toBeGreaterThanOrEqual(9);
      expect(probes.length).toBeLessThanOrEqual(MOST_PROBES);
      expect(mostAtOnce(probes)).toBe(1);
      expect((waiting.pending ?? 0) + (waiting.retrying ?? 0)).toBe(TASKS);
      expectNoAttemptLost(host, ids);
      expect(beyondRamp(seenBy(after), SHARDS)).toEqual([]);
    },
    60_000,
  );
});

/** Each task was called once after the outage, and before it at most once: as one of the first, or as a probe. */
function expectNoAttemptLost(host: BreakerHost, ids: readonly string[]): void {
  const numbersById = Map.groupBy(host.callsTo(API), ({ grant }) => grant.id);
  const numbers = ids.map((id) =>
    numbersById
      .get(id)
      ?.map(({ grant }) => grant.number)
      .join(" "),
  );
  const called = host.callsTo(API).length - TASKS;
  expect(Map.groupBy(numbers, (of) => of).get("1")).toHaveLength(TASKS - called);
  expect(Map.groupBy(numbers, (of) => of).get("1 2")).toHaveLength(called);
}
