import { describe, expect, test } from "vitest";
import {
  BARS,
  type Bar,
  barApplies,
  barOf,
  type CalledFacts,
  type CallFacts,
  type CallKind,
  type Gate,
  kindOfLane,
  type TargetFacts,
  targetGate,
} from "../../../src/core/pressure/admission.ts";
import { deliveryLane, retryLane } from "../../../src/core/task/lane.ts";
import type { WaitingOn } from "../../../src/schema/task.ts";

const NOW = 1_700_000_000_000;
const LATER = NOW + 30_000;
const TARGET = "https://a.example";
const CALLED: CalledFacts = {
  limit: 10,
  inFlight: 0,
  retriesInFlight: 0,
  budget: Number.POSITIVE_INFINITY,
  firstsDue: true,
  retriesDue: false,
};
const FREE: TargetFacts = { now: NOW, heldUntil: 0, may: "yes", openUntil: null, calls: () => CALLED };
const OPEN: Gate = { room: 1, limit: 10, probe: false, why: null, until: null, parks: false };
const NOTHING: CallFacts = {
  paused: false,
  gate: () => OPEN,
  fits: () => true,
  rate: () => ({ room: 1, nextAt: NOW }),
  slots: () => 1,
  places: () => 1,
};

/** Each thing that may be in the way, alone. */
const IN_THE_WAY: Readonly<Record<Bar, { facts: Partial<CallFacts>; why: WaitingOn; until: number | null }>> =
  {
    pause: { facts: { paused: true }, why: "paused", until: null },
    target: {
      facts: { gate: () => ({ ...OPEN, room: 0, why: "breaker", until: LATER }) },
      why: "breaker",
      until: LATER,
    },
    bytes: { facts: { fits: () => false }, why: "concurrency", until: null },
    rate: { facts: { rate: () => ({ room: 0, nextAt: LATER }) }, why: "rate", until: LATER },
    slots: { facts: { slots: () => 0 }, why: "concurrency", until: null },
    places: { facts: { places: () => 0 }, why: "capacity", until: null },
  };
const ALL = Object.keys(IN_THE_WAY) as Bar[];
const KINDS = Object.keys(BARS) as CallKind[];

describe("whether a call may go", () => {
  test.each(KINDS)("is a yes if nothing is in the way of it: %s", (kind) => {
    expect(barOf(kind, NOTHING)).toBeNull();
  });

  test.each(KINDS.flatMap((kind) => ALL.map((bar) => [kind, bar] as const)))("of a %s: %s", (kind, bar) => {
    const { facts, why, until } = IN_THE_WAY[bar];
    const expected = barApplies(kind, bar) ? { bar, why, until } : null;
    expect(barOf(kind, { ...NOTHING, ...facts })).toEqual(expected);
  });

  test.each<[CallKind, Bar[]]>([
    ["attempt", []],
    ["retry", []],
    ["delivery", ["pause", "rate"]],
    ["poll", ["bytes"]],
  ])("of a %s is not asked of %j", (kind, not) => {
    expect(ALL.filter((bar) => !barApplies(kind, bar))).toEqual(not);
  });

  test("names the first of all that is in the way, and asks no further", () => {
    const asked: string[] = [];
    const noting = <T>(name: string, value: T) => {
      asked.push(name);
      return value;
    };
    const facts: CallFacts = {
      paused: false,
      gate: () => noting("gate", OPEN),
      fits: () => noting("fits", false),
      rate: () => noting("rate", { room: 0, nextAt: LATER }),
      slots: () => noting("slots", 0),
      places: () => noting("places", 0),
    };
    expect(barOf("attempt", facts)?.bar).toBe("bytes");
    expect(asked).toEqual(["gate", "fits"]);
  });

  test("is a matter of what is in flight, if a target does not say why it is shut", () => {
    expect(barOf("attempt", { ...NOTHING, gate: () => ({ ...OPEN, room: 0 }) })?.why).toBe("concurrency");
  });
});

describe("what a target lets go", () => {
  test.each<[string, CallKind, Partial<TargetFacts>, Partial<CalledFacts>, Partial<Gate>]>([
    ["is up to its limit", "attempt", {}, {}, { room: 10, limit: 10, why: null }],
    ["is what its calls in flight leave", "delivery", {}, { inFlight: 9 }, { room: 1, why: null }],
    [
      "is nothing at its limit",
      "attempt",
      {},
      { inFlight: 10 },
      { room: 0, why: "concurrency", until: null, parks: false },
    ],
    [
      "is nothing before it asked to be called",
      "attempt",
      { heldUntil: LATER },
      {},
      { room: 0, why: "rate", until: LATER, parks: true },
    ],
    ["is all again from that instant on", "attempt", { heldUntil: NOW }, {}, { room: 10 }],
    [
      "is nothing while its breaker is open",
      "poll",
      { may: "no", openUntil: LATER },
      {},
      { room: 0, why: "breaker", until: LATER, parks: true, probe: false },
    ],
    [
      "is a probe while it is half open",
      "attempt",
      { may: "probe" },
      {},
      { room: 0, why: "breaker", until: null, parks: true, probe: true },
    ],
    [
      "is half of its limit for retries while first attempts wait",
      "retry",
      {},
      { retriesDue: true },
      { room: 5 },
    ],
    ["is what retries leave for first attempts", "attempt", {}, { retriesDue: true }, { room: 5 }],
    [
      "is its whole limit for retries alone",
      "retry",
      {},
      { firstsDue: false, retriesDue: true },
      { room: 10 },
    ],
    ["is what the budget allows of retries", "retry", {}, { retriesDue: true, budget: 2 }, { room: 2 }],
    [
      "is no retry that the budget does not allow",
      "retry",
      {},
      { retriesDue: true, budget: 0 },
      { room: 0, why: "budget", parks: false },
    ],
  ])("%s", (_, kind, target, called, gate) => {
    const calls = () => ({ ...CALLED, ...called });
    expect(targetGate(kind, { ...FREE, ...target, calls })).toMatchObject(gate);
  });

  test("tells when a budget that is used up lets a retry go again", () => {
    const calls = () => ({ ...CALLED, retriesDue: true, budget: 0 });
    expect(targetGate("retry", { ...FREE, calls }).until).toBeGreaterThan(NOW);
  });
});

describe("kindOfLane", () => {
  test("is what the rows of a lane are called as", () => {
    expect([TARGET, retryLane(TARGET), deliveryLane(TARGET)].map(kindOfLane)).toEqual([
      "attempt",
      "retry",
      "delivery",
    ]);
  });
});
