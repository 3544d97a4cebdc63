import { afterEach, describe, expect, test, vi } from "vitest";
import { Flights } from "../../src/shard/storage/flights.ts";
import { simulate } from "./simulate.ts";

const SEEDS = 200;
const SEEDS_A_TEST = 20;
/** Of trouble; then all has to come to its end. */
const HOURS = 0.12;

afterEach(() => {
  vi.restoreAllMocks();
});

describe("a deployment that everything happens to", () => {
  const firsts = Array.from({ length: SEEDS / SEEDS_A_TEST }, (_, i) => 1 + i * SEEDS_A_TEST);

  test.each(firsts)("keeps every promise (20 seeds from %d on)", { timeout: 120_000 }, async (first) => {
    for (let seed = first; seed < first + SEEDS_A_TEST; seed++) {
      const { violation, totals } = await simulate(seed, HOURS);
      const told = `${violation?.history}\nnpm run simulate:faults -- --seed ${seed} --hours ${HOURS}`;
      expect(violation?.message, told).toBeUndefined();
      expect(totals.ended).toBeGreaterThanOrEqual(totals.accepted);
      expect(totals.accepted).toBeGreaterThan(0);
    }
  });
});

describe("a seed", () => {
  test("gives the same history again, line by line, and another seed another one", async () => {
    const [first, again, other] = [await simulate(3, 0.3), await simulate(3, 0.3), await simulate(4, 0.3)];
    expect(again).toEqual(first);
    expect(first.events).toBeGreaterThan(500);
    expect(other.hash).not.toBe(first.hash);
  }, 60_000);

  test("that divides by 3 has shards that make their short calls themselves, and no other one has", async () => {
    const [inShards, elsewhere] = [await simulate(6, 0.1), await simulate(7, 0.1)];
    expect([inShards.calls, elsewhere.calls]).toEqual(["shard", "edge"]);
    expect(inShards.totals.ownCalls).toBeGreaterThan(inShards.totals.calls / 2);
    expect(elsewhere.totals.ownCalls).toBe(0);
    expect(elsewhere.totals.calls).toBeGreaterThan(0);
  });

  test("that fails tells what broke and how it came to that, the same each time", async () => {
    vi.spyOn(Flights.prototype, "remove").mockImplementation(() => undefined);
    const [first, again] = [await simulate(3, 1), await simulate(3, 1)];
    expect(first.violation?.invariant).toBe("slots are those of the leases");
    const task = /tsk_\w+/.exec(first.violation?.message ?? "")?.[0] ?? "none";
    expect(first.violation?.history).toMatch(new RegExp(`settle \\w+ ${task}`));
    expect(again).toEqual(first);
  }, 60_000);
});
