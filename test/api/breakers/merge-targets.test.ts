import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { mergeTargets, type QueueTarget } from "../../../src/api/breakers/merge-targets.ts";
import { FIRST_TARGET, firstByName, type TargetPlace } from "../../../src/core/breaker/target-page.ts";
import type { BreakerState } from "../../../src/schema/breaker.ts";

const buildTarget = (name: string, overrides: Partial<QueueTarget> = {}): QueueTarget => ({
  key: name,
  breaker: name,
  state: "closed",
  usedAt: 0,
  parked: 0,
  queue: "a",
  ...overrides,
});
const REST: TargetPlace = { down: false, after: "" };
const ALL = { asked: 100, limit: 100, state: null };

function pageOf(
  answers: QueueTarget[][],
  place: TargetPlace,
  options: Partial<{ asked: number; limit: number; state: BreakerState | null }> = {},
) {
  const { breakers, next } = mergeTargets(answers, place, { ...ALL, ...options });
  return { names: breakers.map(({ name }) => name), next };
}

describe("mergeTargets", () => {
  test("gives a breaker once, however many shards know of it", () => {
    const answers = [[buildTarget("x")], [buildTarget("x", { queue: "b" })]];
    expect(mergeTargets(answers, REST, ALL)).toEqual({
      breakers: [{ name: "x", queue: null, holds: [], split: null }],
      next: null,
    });
  });

  test("says of a path that is split off since when, by the shard that did so first", () => {
    const split = (since: number) => ({ split: { since, reason: `at ${since}` } });
    const answers = [{}, split(7), split(5), split(6)].map((overrides) => [buildTarget("x", overrides)]);
    for (const all of [answers, [...answers].reverse()])
      expect(mergeTargets(all, REST, ALL).breakers).toMatchObject([split(5)]);
  });

  test("says by which queues a target is held, and until when", () => {
    const answers = [
      [buildTarget("y", { heldUntil: 5_000 })],
      [buildTarget("y", { heldUntil: 6_000, queue: "b" })],
    ];
    expect(mergeTargets(answers, FIRST_TARGET, ALL).breakers).toMatchObject([
      {
        name: "y",
        holds: [
          { queue: "a", until: 5_000 },
          { queue: "b", until: 6_000 },
        ],
      },
    ]);
  });

  test("has those first that are down in any shard, then the others, each part by name", () => {
    const answers = [
      [buildTarget("z"), buildTarget("y", { state: "open" }), buildTarget("x")],
      [buildTarget("z", { heldUntil: 5 }), buildTarget("y"), buildTarget("w")],
    ];
    expect(pageOf(answers, FIRST_TARGET)).toEqual({ names: ["y", "z"], next: REST });
    expect(pageOf(answers, REST)).toEqual({ names: ["w", "x"], next: null });
  });

  test("ends where a shard may have more, since others may know less of what comes behind", () => {
    const answers = [
      [buildTarget("a"), buildTarget("b")],
      [buildTarget("c"), buildTarget("z")],
      [buildTarget("d")],
    ];
    expect(pageOf(answers, REST, { asked: 2 })).toEqual({
      names: ["a", "b"],
      next: { down: false, after: "b" },
    });
  });

  test("goes on behind the last one that fits", () => {
    const answers = [[buildTarget("a"), buildTarget("b"), buildTarget("c")]];
    expect(pageOf(answers, REST, { limit: 2 })).toEqual({
      names: ["a", "b"],
      next: { down: false, after: "b" },
    });
  });

  test.each<[BreakerState, TargetPlace, string[], TargetPlace | null]>([
    ["open", FIRST_TARGET, ["held", "open"], null],
    ["closed", FIRST_TARGET, ["held"], REST],
    ["closed", REST, ["well"], null],
  ])("leaves out what is surely not %s from %j on", (state, place, names, next) => {
    const answers = [
      [buildTarget("open", { state: "open" }), buildTarget("held", { heldUntil: 5 }), buildTarget("well")],
    ];
    expect(pageOf(answers, place, { state })).toEqual({ names, next });
  });

  test("names the queue where no other goes by the breaker", () => {
    const own = buildTarget("https://a.example.com", { breaker: "q7 https://a.example.com" });
    const { breakers } = mergeTargets([[own, buildTarget("key:a/x")]], REST, ALL);
    expect(breakers.map(({ queue }) => queue)).toEqual(["a", "a"]);
  });

  test("gives every breaker exactly once over all pages, whichever shards know of it", () => {
    const state = fc.constantFrom<BreakerState>("closed", "closed", "open");
    const shard = fc.dictionary(fc.constantFrom(..."abcdefghijkl"), state, { maxKeys: 12 });
    fc.assert(
      fc.property(fc.array(shard, { maxLength: 5 }), fc.integer({ min: 1, max: 5 }), (shards, limit) => {
        const known = shards.map((one) =>
          Object.entries(one).map(([name, is]) => buildTarget(name, { state: is })),
        );
        const seen: string[] = [];
        for (let place: TargetPlace | null = FIRST_TARGET; place !== null; ) {
          const { down, after }: TargetPlace = place;
          const answers = known.map((one) =>
            firstByName(
              one.filter((target) => !down || target.state !== "closed"),
              ({ breaker }) => breaker,
              after,
              limit,
            ),
          );
          const page = pageOf(answers, place, { asked: limit, limit });
          seen.push(...page.names);
          place = page.next;
        }
        const isDown = (name: string) =>
          known.flat().some((one) => one.breaker === name && one.state !== "closed");
        const names = [...new Set(known.flat().map(({ breaker }) => breaker))].sort();
        expect(seen).toEqual([...names.filter(isDown), ...names.filter((name) => !isDown(name))]);
      }),
    );
  });
});
