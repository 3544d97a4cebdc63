import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type Breaker,
  type BreakerStep,
  countedFrom,
  isDown,
  isolate,
  leaseProbe,
  newBreaker,
  nextChangeAt,
  onCounts,
  onOthersDown,
  onOthersUp,
  onTime,
  reset,
  settleProbe,
} from "../../../src/core/breaker/breaker.ts";
import { type BreakerCounts, NO_COUNTS } from "../../../src/core/breaker/counts.ts";
import { type BreakerPolicy, DEFAULT_BREAKER_POLICY } from "../../../src/core/breaker/policy.ts";

const NOW = 1_700_000_000_000;
/** Ten failures are easier to count than twenty. */
const POLICY = { ...DEFAULT_BREAKER_POLICY, minimum: 10 };
const DOWN = { trips: 1, downSince: NOW - 20_000, reason: "14 of 20 calls failed in 60 s" };
const PROBE = { lease: 42, until: NOW + 1_000, shard: "s1" };
const CLOSED: Breaker = { state: "closed", version: 7, since: NOW - 90_000, ramp: false };
const OPEN: Breaker = { state: "open", version: 7, since: NOW - 9_000, until: NOW, ...DOWN };
const HALF_OPEN: Breaker & { state: "half_open" } = {
  state: "half_open",
  version: 7,
  since: NOW - 500,
  successes: 0,
  probe: null,
  ...DOWN,
};
const ISOLATED: Breaker = { state: "isolated", version: 7, since: NOW - 500, reason: "maintenance" };

const middle = () => 0.5;
const countsOf = (
  over: Partial<{
    ok: number;
    failed: number;
    slow: number;
    failedAt: number[];
    faultsAt: number[];
    start: number;
  }>,
) => {
  const { ok = 0, failed = 0, slow = 0, failedAt = [], faultsAt = [], start = NOW - 1_000 } = over;
  const bucket = { start, seq: ok + failed, ok, failed, slow, connect: 0 };
  const reach = { seq: ok + failed, reachedAt: 0, failedAt, faultsAt };
  return new Map([["a", { buckets: [bucket], reach }]]) satisfies BreakerCounts;
};
/** So many instants, a tenth of a second apart, to now. */
const tenths = (count: number) => Array.from({ length: count }, (_, i) => NOW - (count - 1 - i) * 100);
const DEAD = countsOf({ ok: 6, failed: 14 });
const trip = (counts: BreakerCounts, policy: Partial<BreakerPolicy> = {}, breaker = CLOSED) =>
  onCounts(breaker, counts, { ...POLICY, ...policy }, NOW, middle).breaker;
const reasonOf = (breaker: Breaker) => ("reason" in breaker ? breaker.reason : null);
const settle = (breaker: Breaker, ok: boolean | null, lease = PROBE.lease, random = middle) =>
  settleProbe(breaker, lease, ok, POLICY, NOW, random);

describe("onCounts", () => {
  test("opens for 5 to 10 seconds and says why", () => {
    const step = onCounts(CLOSED, DEAD, POLICY, NOW, middle);
    expect(step.breaker).toEqual({
      state: "open",
      version: NOW,
      since: NOW,
      until: NOW + 7_500,
      trips: 1,
      downSince: NOW,
      reason: "14 of 20 calls failed in 60 s",
    });
    expect(step.changes).toEqual({
      audit: { at: NOW, from: "closed", to: "open", reason: "14 of 20 calls failed in 60 s", by: "counts" },
      push: true,
      tell: true,
    });
  });

  test.each<[string, BreakerCounts, string | null]>([
    ["half of ten failed", countsOf({ ok: 5, failed: 5 }), "5 of 10 calls failed in 60 s"],
    ["under half failed", countsOf({ ok: 11, failed: 9 }), null],
    ["all of nine failed", countsOf({ failed: 9 }), null],
    ["all of ten failed before the window", countsOf({ failed: 10, start: NOW - 60_001 }), null],
    ["four fifths were slow", countsOf({ ok: 10, slow: 8 }), "8 of 10 calls were slow in 60 s"],
    ["under four fifths were slow", countsOf({ ok: 10, slow: 7 }), null],
    ["nine were slow", countsOf({ ok: 9, slow: 9 }), null],
    [
      "five in a row could not connect",
      countsOf({ failed: 5, failedAt: [1, 2, 3, 4, 5].map((ms) => NOW - ms) }),
      "5 calls in a row could not connect",
    ],
    [
      "four in a row could not connect",
      countsOf({ failed: 4, failedAt: [1, 2, 3, 4].map((ms) => NOW - ms) }),
      null,
    ],
    [
      "twenty in a row failed, though there were many successes before",
      countsOf({ ok: 500, failed: 20, faultsAt: tenths(20) }),
      "at least 20 calls in a row failed",
    ],
    ["nineteen in a row failed", countsOf({ ok: 500, failed: 19, faultsAt: tenths(19) }), null],
    ["nothing was called", new Map([["a", NO_COUNTS]]), null],
  ])("where %s", (_name, counts, reason) => {
    expect(reasonOf(trip(counts))).toBe(reason);
  });

  test("goes by the settings", () => {
    expect(trip(DEAD, { enabled: false })).toBe(CLOSED);
    expect(trip(DEAD, { failureRate: 0.71 })).toBe(CLOSED);
    expect(trip(DEAD, { minimum: 21 })).toBe(CLOSED);
    expect(trip(countsOf({ ok: 9, failed: 11 }), { failureRate: 0.55 }).state).toBe("open");
    expect(trip(countsOf({ failed: 1, failedAt: [NOW] }), { connectFailures: 1 }).state).toBe("open");
  });

  test("does not count what was counted before it closed", () => {
    const reopened: Breaker = { ...CLOSED, since: NOW - 500, ramp: true };
    expect(trip(DEAD, {}, reopened)).toBe(reopened);
    expect(trip(countsOf({ failed: 10, start: NOW - 500 }), {}, reopened).state).toBe("open");
  });

  test.each([OPEN, HALF_OPEN, ISOLATED])("leaves a breaker that is $state alone", (breaker) => {
    expect(onCounts(breaker, DEAD, POLICY, NOW, middle)).toEqual({ breaker, changes: null });
  });
});

describe("onTime", () => {
  test("opens half from its until on, and keeps what the outage is about", () => {
    expect(onTime(OPEN, NOW - 1).breaker).toBe(OPEN);
    const step = onTime(OPEN, NOW);
    expect(step.breaker).toEqual({ ...HALF_OPEN, version: NOW, since: NOW });
    expect(step.changes?.audit).toMatchObject({ from: "open", to: "half_open", by: "timer" });
  });

  test.each([CLOSED, HALF_OPEN, ISOLATED])("leaves a breaker that is $state alone", (breaker) => {
    expect(onTime(breaker, NOW)).toEqual({ breaker, changes: null });
  });
});

describe("leaseProbe", () => {
  test("gives one shard the probe, tells nobody, and gives it the same one again", () => {
    const step = leaseProbe(HALF_OPEN, "s1", NOW, 30_000);
    expect(step.probe).toEqual({ lease: NOW, until: NOW + 30_000, shard: "s1" });
    expect(step.breaker).toEqual({ ...HALF_OPEN, version: NOW, probe: step.probe });
    expect(step.changes).toEqual({ audit: null, push: false, tell: false });
    expect(leaseProbe(step.breaker, "s1", NOW + 1, 30_000)).toMatchObject({
      probe: step.probe,
      changes: null,
    });
    expect(leaseProbe(step.breaker, "s2", NOW + 1, 30_000)).toMatchObject({ probe: null, changes: null });
  });

  test("is free again when the lease has lapsed, under another number", () => {
    const held = { ...HALF_OPEN, version: NOW + 5_000, probe: PROBE };
    expect(leaseProbe(held, "s2", PROBE.until - 1, 10).probe).toBeNull();
    expect(leaseProbe(held, "s2", PROBE.until, 10).probe).toEqual({
      lease: NOW + 5_001,
      until: PROBE.until + 10,
      shard: "s2",
    });
  });

  test.each([CLOSED, OPEN, ISOLATED])("gives none where the breaker is $state", (breaker) => {
    expect(leaseProbe(breaker, "s1", NOW, 10)).toEqual({ breaker, changes: null, probe: null });
  });
});

describe("settleProbe", () => {
  const probed: Breaker = { ...HALF_OPEN, probe: PROBE };

  test("closes after three successes, to a ramp", () => {
    const once = settle(probed, true);
    expect(once).toEqual({
      breaker: { ...HALF_OPEN, version: NOW, successes: 1 },
      changes: { audit: null, push: false, tell: false },
    });
    const third = settle({ ...probed, successes: 2 }, true);
    expect(third.breaker).toEqual({ state: "closed", version: NOW, since: NOW, ramp: true });
    expect(third.changes).toEqual({
      audit: {
        at: NOW,
        from: "half_open",
        to: "closed",
        reason: "3 probes succeeded, 20 s after it opened",
        by: "probe",
      },
      push: true,
      tell: true,
    });
  });

  test("says it where one success is enough", () => {
    const { changes } = settleProbe(probed, 42, true, { ...POLICY, halfOpenSuccesses: 1 }, NOW, middle);
    expect(changes?.audit?.reason).toBe("1 probe succeeded, 20 s after it opened");
  });

  test("opens for longer after one failure: doubling to the maximum, between half of it and all", () => {
    const untils = [1, 2, 3, 4, 1_000].map((trips) => {
      const breaker: Breaker = { ...HALF_OPEN, trips, successes: 2, probe: PROBE };
      return [0, 0.999_999].map((random) => nextChangeAt(settle(breaker, false, 42, () => random).breaker));
    });
    const spans = untils.map((pair) => pair.map((until) => (until ?? 0) - NOW));
    expect(spans).toEqual([
      [10_000, 20_000],
      [20_000, 40_000],
      [30_000, 60_000],
      [30_000, 60_000],
      [30_000, 60_000],
    ]);
    expect(settle(probed, false).breaker).toMatchObject({ state: "open", ...DOWN, trips: 2 });
    expect(settle(probed, false).changes?.audit).toMatchObject({ to: "open", reason: "a probe failed" });
  });

  test("frees the lease where the outcome says nothing", () => {
    const step = settle({ ...probed, successes: 1 }, null);
    expect(step.breaker).toEqual({ ...HALF_OPEN, version: NOW, successes: 1 });
  });

  test("counts a result after the lease, as long as nobody else has it", () => {
    const late = settleProbe(probed, 42, true, POLICY, PROBE.until + 9, middle);
    expect(late.breaker).toMatchObject({ successes: 1 });
    const next = leaseProbe(probed, "s2", PROBE.until, 10).breaker;
    expect(settle(next, false)).toEqual({ breaker: next, changes: null });
  });

  test.each<Breaker>([CLOSED, OPEN, ISOLATED, HALF_OPEN])(
    "is refused where the breaker is $state without that probe",
    (breaker) => {
      expect(settle(breaker, false)).toEqual({ breaker, changes: null });
    },
  );
});

describe("isolate and reset", () => {
  test.each([CLOSED, OPEN, HALF_OPEN, ISOLATED])("take a breaker that is $state", (breaker) => {
    const held = isolate(breaker, "they asked us to", "key_1", NOW);
    expect(held.breaker).toEqual({ state: "isolated", version: NOW, since: NOW, reason: "they asked us to" });
    expect(held.changes).toEqual({
      audit: { at: NOW, from: breaker.state, to: "isolated", reason: "they asked us to", by: "key_1" },
      push: true,
      tell: false,
    });
    const again = reset(breaker, "all well", "key_1", NOW);
    expect(again.breaker).toEqual({ state: "closed", version: NOW, since: NOW, ramp: true });
    expect(again.changes?.audit).toMatchObject({ from: breaker.state, to: "closed", by: "key_1" });
  });
});

describe("nextChangeAt", () => {
  test.each<[Breaker, number | null]>([
    [CLOSED, null],
    [OPEN, NOW],
    [HALF_OPEN, null],
    [{ ...HALF_OPEN, probe: PROBE }, PROBE.until],
    [ISOLATED, null],
  ])("%#", (breaker, at) => {
    expect(nextChangeAt(breaker)).toBe(at);
  });
});

describe("countedFrom", () => {
  test("counts everything but where it closed after an outage", () => {
    expect([newBreaker(NOW), OPEN, HALF_OPEN, ISOLATED].map(countedFrom)).toEqual([0, 0, 0, 0]);
    expect(countedFrom({ ...CLOSED, ramp: true })).toBe(CLOSED.since);
  });
});

describe("any sequence of events", () => {
  const shards = fc.constantFrom("s1", "s2");
  const event = fc.oneof(
    fc.record({ type: fc.constant("counts" as const), dead: fc.boolean() }),
    fc.record({ type: fc.constant("time" as const) }),
    fc.record({ type: fc.constant("lease" as const), shard: shards }),
    fc.record({ type: fc.constant("settle" as const), ok: fc.option(fc.boolean()), stale: fc.boolean() }),
    fc.record({ type: fc.constantFrom("isolate" as const, "reset" as const) }),
  );
  const history = fc.array(fc.record({ event, afterMs: fc.constantFrom(0, 1, 500, 5_000, 20_000) }), {
    maxLength: 60,
  });

  function apply(
    breaker: Breaker,
    what: typeof event extends fc.Arbitrary<infer E> ? E : never,
    now: number,
  ): BreakerStep {
    switch (what.type) {
      case "counts":
        return onCounts(breaker, countsOf({ failed: what.dead ? 10 : 0, start: now }), POLICY, now, middle);
      case "time":
        return onTime(breaker, now);
      case "lease":
        return leaseProbe(breaker, what.shard, now, 2_000);
      case "settle": {
        const lease = breaker.state === "half_open" ? (breaker.probe?.lease ?? 0) : 0;
        return settleProbe(breaker, what.stale ? lease - 1 : lease, what.ok, POLICY, now, middle);
      }
      case "isolate":
        return isolate(breaker, "r", "k", now);
      case "reset":
        return reset(breaker, "r", "k", now);
    }
  }

  test("raises the version with every change, gives no lease twice or to two, and survives storage", () => {
    fc.assert(
      fc.property(history, (events) => {
        let now = NOW;
        let breaker = newBreaker(now);
        const leases = new Set<number>();
        for (const { event: what, afterMs } of events) {
          now += afterMs;
          const before = breaker;
          const { breaker: next, changes } = apply(before, what, now);
          if (changes === null) expect(next).toBe(before);
          else expect(next.version).toBeGreaterThan(before.version);
          expect(changes?.audit?.from ?? before.state).toBe(before.state);
          expect(changes?.audit?.to ?? before.state).toBe(next.state);
          if (next.state === "half_open" && next.probe !== null) {
            const held = before.state === "half_open" ? before.probe : null;
            if (held?.lease !== next.probe.lease) {
              expect(leases.has(next.probe.lease)).toBe(false);
              expect(held === null || held.until <= now).toBe(true);
            }
            leases.add(next.probe.lease);
          }
          breaker = JSON.parse(JSON.stringify(next)) as Breaker;
          expect(breaker).toEqual(next);
        }
      }),
    );
  });
});

describe("onOthersDown", () => {
  const CAREFUL: Breaker & { state: "half_open" } = { ...HALF_OPEN, trips: 0, probe: PROBE };
  const hear = (failures: number, breaker: Breaker = CLOSED, policy: Partial<BreakerPolicy> = {}) =>
    onOthersDown(breaker, countsOf({ ok: 50, faultsAt: tenths(failures) }), { ...POLICY, ...policy }, NOW);

  test("makes a queue ask whose latest three calls failed, and tells no operator", () => {
    const { breaker, changes } = hear(3);
    expect(breaker).toEqual({
      ...HALF_OPEN,
      version: NOW,
      since: NOW,
      trips: 0,
      downSince: NOW,
      reason: "3 calls in a row failed, and so do other queues' calls",
    });
    expect(changes).toMatchObject({ push: true, tell: false, audit: { from: "closed", to: "half_open" } });
  });

  test("moves nothing where fewer calls failed, however many others say so", () => {
    for (const failures of [0, 1, 2]) expect(hear(failures)).toEqual({ breaker: CLOSED, changes: null });
  });

  test("moves nothing that is not closed, and nothing of a queue that goes by no breaker", () => {
    for (const breaker of [OPEN, HALF_OPEN, ISOLATED]) expect(hear(9, breaker).changes).toBeNull();
    expect(hear(9, CLOSED, { enabled: false }).changes).toBeNull();
  });

  test("is over with one success, which no operator hears of either", () => {
    const { breaker, changes } = settle(CAREFUL, true);
    expect(breaker).toMatchObject({ state: "closed", ramp: true });
    expect(changes).toMatchObject({ tell: false, audit: { reason: "1 probe succeeded" } });
  });

  test("opens the breaker as if for the first time where the probe fails, and operators hear of it", () => {
    const { breaker, changes } = settle(CAREFUL, false);
    expect(breaker).toMatchObject({ state: "open", trips: 1, until: NOW + 7_500 });
    expect(changes?.tell).toBe(true);
  });
});

describe("onOthersUp", () => {
  test("makes an open breaker half open, if it has not just opened", () => {
    const long = { ...OPEN, since: NOW - 5_000, until: NOW + 30_000 };
    expect(onOthersUp(long, NOW).breaker).toMatchObject({ state: "half_open", trips: 1, probe: null });
    const fresh = { ...long, since: NOW - 4_999 };
    expect(onOthersUp(fresh, NOW)).toEqual({ breaker: fresh, changes: null });
  });

  test("moves nothing else", () => {
    for (const breaker of [CLOSED, HALF_OPEN, ISOLATED]) expect(onOthersUp(breaker, NOW).changes).toBeNull();
  });
});

describe("isDown", () => {
  test("is true of what a queue has found out by itself, and of no mere caution", () => {
    expect([OPEN, HALF_OPEN].map(isDown)).toEqual([true, true]);
    expect([CLOSED, ISOLATED, { ...HALF_OPEN, trips: 0 }].map(isDown)).toEqual([false, false, false]);
  });
});
