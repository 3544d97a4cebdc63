import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type Breaker,
  isolate,
  leaseProbe,
  newBreaker,
  onCounts,
  onTime,
  reset,
} from "../../../src/core/breaker/breaker.ts";
import type { CallEffect } from "../../../src/core/breaker/call-effect.ts";
import {
  type BreakerCounts,
  bucketStart,
  type CountsReport,
  connectRun,
  mergeReport,
  windowSum,
} from "../../../src/core/breaker/counts.ts";
import {
  adopt,
  beginProbe,
  countCall,
  countCalls,
  goAlone,
  keptOf,
  type LocalBreaker,
  type LocalStep,
  mayCall,
  newLocalBreaker,
  probeEnded,
  reportAt,
  reportOf,
  reportTaken,
} from "../../../src/core/breaker/local-breaker.ts";
import { type BreakerPolicy, DEFAULT_BREAKER_POLICY } from "../../../src/core/breaker/policy.ts";

const NOW = 1_700_000_000_000;
/** Ten failures are easier to count than twenty. */
const POLICY = { ...DEFAULT_BREAKER_POLICY, minimum: 10 };
const OK: CallEffect = { ok: true, slow: false, reach: "answered" };
const SLOW: CallEffect = { ok: true, slow: true, reach: "answered" };
const ERROR: CallEffect = { ok: false, slow: false, reach: "answered" };
const ASKS_TO_WAIT: CallEffect = { ...ERROR, asksToWait: true };
const REFUSED: CallEffect = { ok: false, slow: false, reach: "unreached" };

const at = (now: number, policy: Partial<BreakerPolicy> = {}, random = 0.5) => ({
  now,
  policy: { ...POLICY, ...policy },
  random: () => random,
});
const fresh = () => newLocalBreaker("s1", "s1#1", null);
const call = (local: LocalBreaker, effect: CallEffect | null, now: number) =>
  countCall(local, effect, now, at(now)).local;
const calls = (effect: CallEffect, count: number, now = NOW, local = fresh()) =>
  Array.from({ length: count }).reduce<LocalBreaker>((known) => call(known, effect, now), local);
const answer = (local: LocalBreaker, told: Breaker, now = NOW) => adopt(local, told, "answer", at(now));
const push = (local: LocalBreaker, told: Breaker, now = NOW) => adopt(local, told, "push", at(now));
/** The Breaker object's own view of an outage: open at NOW for 7.5 s. */
const OPEN = onCounts(
  newBreaker(NOW - 1),
  mergeReport(new Map(), reportOf(calls(ERROR, 10))),
  POLICY,
  NOW,
  () => 0.5,
).breaker;
const HALF_OPEN = onTime(OPEN, NOW + 7_500).breaker;
const leased = (shard: string, now = NOW + 7_500) => leaseProbe(HALF_OPEN, shard, now, 30_000).breaker;
const CLOSED = reset(HALF_OPEN, "r", "k", NOW + 9_000).breaker;
const leaseOf = ({ breaker }: LocalBreaker) =>
  breaker.state === "half_open" ? (breaker.probe?.lease ?? 0) : 0;

describe("mayCall", () => {
  test("lets calls go while closed, none while open or isolated", () => {
    expect(mayCall(fresh(), POLICY, NOW)).toBe("yes");
    const open = answer(fresh(), OPEN).local;
    expect([mayCall(open, POLICY, NOW), mayCall(open, POLICY, NOW + 99_000)]).toEqual(["no", "no"]);
    expect(mayCall(answer(fresh(), isolate(OPEN, "r", "k", NOW).breaker).local, POLICY, NOW)).toBe("no");
  });

  test("lets one probe go while half open, to the shard that has the lease, as long as it has it", () => {
    const now = NOW + 7_500;
    const mine = answer(fresh(), leased("s1"), now).local;
    expect(mayCall(mine, POLICY, now)).toBe("probe");
    expect(mayCall(mine, POLICY, now + 30_000)).toBe("no");
    expect(mayCall(beginProbe(mine), POLICY, now)).toBe("no");
    expect(mayCall(answer(fresh(), leased("s2"), now).local, POLICY, now)).toBe("no");
    expect(mayCall(answer(fresh(), HALF_OPEN, now).local, POLICY, now)).toBe("no");
  });

  test("lets everything go where the queue has switched breakers off", () => {
    expect(mayCall(answer(fresh(), OPEN).local, { ...POLICY, enabled: false }, NOW)).toBe("yes");
  });
});

describe("beginProbe", () => {
  test("changes nothing where there is no lease", () => {
    const open = answer(fresh(), OPEN).local;
    const half = answer(fresh(), HALF_OPEN).local;
    expect([beginProbe(open), beginProbe(half)]).toEqual([open, half]);
  });
});

describe("countCalls", () => {
  const ended = (ats: readonly number[]) => ats.map((at) => ({ effect: ERROR, startedAt: at - 5, at }));
  const every100Ms = (count: number) => Array.from({ length: count }, (_, i) => NOW - 2_000 + i * 100);

  test("counts calls that ended before with the times that they had", () => {
    const { local, moved } = countCalls(fresh(), ended(every100Ms(3)), at(NOW));
    expect(moved).toBe(false);
    expect(local.own.reach.faultsAt).toEqual([NOW - 2_000, NOW - 1_900, NOW - 1_800]);
    expect(countCalls(local, [], at(NOW))).toEqual({ local, moved: false, ramp: false });
  });

  test("opens the breaker now, where any of them does", () => {
    const { local, moved } = countCalls(fresh(), ended(every100Ms(20)), at(NOW));
    expect(moved).toBe(true);
    expect(local.breaker).toMatchObject({ state: "open", since: NOW });
  });
});

describe("countCall", () => {
  test("counts a 429 neither way", () => {
    expect(calls(ASKS_TO_WAIT, 1_000)).toEqual(fresh());
    const slow = calls({ ...ASKS_TO_WAIT, slow: true }, 100);
    expect(slow.breaker.state).toBe("closed");
    // Nor does one break a run of failures, or make one.
    const unreached = calls(ASKS_TO_WAIT, 1, NOW, calls(REFUSED, 4));
    expect(unreached).toEqual(calls(REFUSED, 4));
    expect(call(unreached, REFUSED, NOW).breaker.state).toBe("open");
  });

  test("opens at once by the shard's own counts", () => {
    const step = countCall(calls(ERROR, 9), ERROR, NOW - 5, at(NOW));
    expect(step).toMatchObject({ moved: true, ramp: false });
    expect(step.local.breaker).toMatchObject({ state: "open", until: NOW + 7_500, trips: 1 });
    expect(step.local.askAt).toBe(NOW + 7_500 + 1_000);
    expect(mayCall(step.local, POLICY, NOW)).toBe("no");
    expect(calls(REFUSED, 5).breaker.state).toBe("open");
    expect(calls(REFUSED, 4).breaker.state).toBe("closed");
  });

  test("does not count an outcome that says nothing", () => {
    const local = fresh();
    expect(countCall(local, null, NOW, at(NOW))).toEqual({ local, moved: false, ramp: false });
  });

  test("does not count a call that began before the breaker closed", () => {
    const local = answer(answer(fresh(), OPEN).local, CLOSED, NOW + 9_000).local;
    const late = countCall(local, ERROR, NOW + 8_999, at(NOW + 9_500)).local;
    expect(late).toBe(local);
    const counted = countCall(local, ERROR, NOW + 9_000, at(NOW + 9_500)).local;
    expect(counted.own.buckets).toMatchObject([{ start: NOW + 9_000, failed: 1 }]);
  });

  test("does not trip on successes, however bad the counts already are", () => {
    const trusting = { ...calls(ERROR, 9), trustUntil: NOW + 10_000 };
    const counted = call(trusting, ERROR, NOW);
    expect(counted.breaker.state).toBe("closed");
    expect(call(counted, OK, NOW + 10_000).breaker.state).toBe("closed");
    expect(call(counted, ERROR, NOW + 10_000).breaker.state).toBe("open");
  });
});

describe("reportAt", () => {
  const due = (local: LocalBreaker, now: number) => reportAt(local, at(now));

  test("makes no report while all is well", () => {
    expect(due(fresh(), NOW)).toBeNull();
    expect(due(calls(OK, 50), NOW)).toBeNull();
  });

  test("reports failures and slow calls at once, each once", () => {
    const failed = call(calls(OK, 5), ERROR, NOW);
    expect(due(failed, NOW)).toBe(NOW);
    expect(due(calls(SLOW, 1), NOW)).toBe(NOW);
    expect(due(reportTaken(failed, reportOf(failed)), NOW)).toBeNull();
  });

  test("reports successes after trouble at the end of their bucket", () => {
    const failed = calls(ERROR, 1);
    const known = call(reportTaken(failed, reportOf(failed)), OK, NOW + 1);
    const end = bucketStart(NOW) + 10_000;
    expect(due(known, NOW + 1)).toBe(end);
    expect(due(known, end + 5_000)).toBe(end);
    expect(due(known, NOW + 70_001)).toBeNull();
  });

  test("makes no report of calls that no bucket holds any more", () => {
    const failed = calls(ERROR, 1);
    const local = { ...reportTaken(failed, reportOf(failed)), ackedSeq: 1 };
    const grown = { ...local, own: { ...local.own, reach: { ...local.own.reach, seq: 2 } } };
    expect(due(grown, NOW)).toBeNull();
  });

  test("an acknowledgement that comes late takes nothing back", () => {
    const first = calls(ERROR, 1);
    const second = call(first, ERROR, NOW);
    const acked = reportTaken(second, reportOf(second));
    expect(reportTaken(acked, reportOf(first))).toEqual(acked);
  });
});

describe("reportOf", () => {
  test("tells the buckets that changed, whole", () => {
    const early = calls(ERROR, 2, NOW);
    const acked = reportTaken(early, reportOf(early));
    const later = call(acked, OK, NOW + 10_000);
    expect(reportOf(early).buckets).toMatchObject([{ start: bucketStart(NOW), failed: 2, ok: 0 }]);
    expect(reportOf(later)).toMatchObject({
      source: "s1#1",
      buckets: [{ start: bucketStart(NOW + 10_000), ok: 1, failed: 0 }],
      reach: { seq: 3 },
    });
  });

  test("comes to the true sums over a network that loses, repeats and delays reports and answers", () => {
    const effects = fc.constantFrom(OK, ERROR, REFUSED, SLOW);
    const fate = fc.constantFrom("lost", "answer lost", "arrived", "twice", "late");
    const step = fc.record({ shard: fc.nat(2), effect: effects, afterMs: fc.nat(5_000), fate });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const policy = { ...POLICY, enabled: false, windowMs: 600_000 };
        const shards = [0, 1, 2].map((i) => newLocalBreaker(`s${i}`, `s${i}#1`, null));
        const late: CountsReport[] = [];
        let counts: BreakerCounts = new Map();
        let now = NOW;
        const truth = { ok: 0, failed: 0, slow: 0, connect: 0 };
        let run = 0;
        for (const { shard, effect, afterMs, fate: what } of steps) {
          now += afterMs + 1;
          truth[effect.ok ? "ok" : "failed"]++;
          if (effect.slow) truth.slow++;
          if (effect.reach === "unreached") truth.connect++;
          run = effect.reach === "unreached" ? run + 1 : 0;
          const local = countCall(shards[shard] ?? fresh(), effect, now, { ...at(now), policy }).local;
          const report = reportOf(local);
          const copies = { lost: 0, late: 0, "answer lost": 1, arrived: 1, twice: 2 }[what];
          for (let i = 0; i < copies; i++) counts = mergeReport(counts, report);
          if (what === "late") late.unshift(report);
          shards[shard] = what === "arrived" || what === "twice" ? reportTaken(local, report) : local;
        }
        for (const report of [...shards.map(reportOf), ...late]) counts = mergeReport(counts, report);
        expect(windowSum(counts, now, 600_000, 0)).toEqual(truth);
        expect(Math.min(20, connectRun(counts, now, 600_000, 0))).toBe(Math.min(20, run));
      }),
      { numRuns: 300 },
    );
  });
});

describe("adopt", () => {
  test("takes a push that is newer than what was told before, and no other", () => {
    const open = push(fresh(), OPEN);
    expect(open).toMatchObject({
      moved: true,
      ramp: false,
      local: { breaker: OPEN, toldVersion: OPEN.version },
    });
    expect(push(open.local, newBreaker(NOW - 1))).toEqual({ local: open.local, moved: false, ramp: false });
    expect(push(open.local, OPEN)).toEqual({ local: open.local, moved: false, ramp: false });
  });

  test("asks again when the state may have changed", () => {
    const asks = (told: Breaker, now: number) => answer(fresh(), told, now).local.askAt;
    expect(asks(OPEN, NOW)).toBe(NOW + 7_500 + 1_000);
    expect(asks(OPEN, NOW + 8_000)).toBe(NOW + 8_000 + 250 + 1_000);
    expect(asks(HALF_OPEN, NOW + 7_500)).toBe(NOW + 7_500 + 250 + 1_000);
    expect(asks(leased("s2"), NOW + 7_500)).toBe(NOW + 37_500 + 1_000);
    expect(asks(isolate(OPEN, "r", "k", NOW).breaker, NOW)).toBe(NOW + 60_000 + 1_000);
    expect(asks(CLOSED, NOW)).toBeNull();
  });

  test("ramps where the target closes after an outage, once", () => {
    const open = answer(fresh(), OPEN).local;
    const closed = answer(open, CLOSED, NOW + 9_000);
    expect(closed).toMatchObject({ moved: true, ramp: true });
    expect(answer(closed.local, CLOSED, NOW + 9_001)).toMatchObject({ moved: false, ramp: false });
    expect(answer(fresh(), CLOSED, NOW + 9_000)).toMatchObject({ moved: true, ramp: false });
  });

  test("ramps where an isolated target is reset", () => {
    const isolated = answer(fresh(), isolate(OPEN, "r", "k", NOW).breaker).local;
    expect(answer(isolated, reset(isolated.breaker, "r", "k", NOW + 5).breaker, NOW + 5).ramp).toBe(true);
  });

  test("lets the Breaker object take back a trip by the shard's own counts, and trusts it for a while", () => {
    const known = answer(fresh(), newBreaker(NOW - 100)).local;
    const tripped = calls(ERROR, 10, NOW, known);
    expect(tripped.breaker.state).toBe("open");
    expect(push(tripped, newBreaker(NOW - 100)).local.breaker.state).toBe("open");
    const overruled = answer(tripped, newBreaker(NOW - 100), NOW + 5);
    expect(overruled).toMatchObject({ moved: true, ramp: false, local: { askAt: null } });
    expect(mayCall(overruled.local, POLICY, NOW + 5)).toBe("yes");
    expect(call(overruled.local, ERROR, NOW + 6).breaker.state).toBe("closed");
    expect(call(overruled.local, ERROR, NOW + 10_005).breaker.state).toBe("open");
  });

  test("still ramps where the outage ended while the shard had gone on alone", () => {
    const tripped = calls(ERROR, 10);
    const askedInVain = goAlone(tripped, 30_000, at(tripped.askAt ?? 0)).local;
    expect(askedInVain.breaker.state).toBe("half_open");
    expect(answer(askedInVain, reset(OPEN, "r", "k", NOW + 1).breaker, NOW + 20_000).ramp).toBe(true);
  });
});

describe("goAlone", () => {
  test("trips by the shard's own counts, whatever it was told before", () => {
    const trusting = { ...calls(ERROR, 9), trustUntil: NOW + 99_000 };
    const step = goAlone(call(trusting, ERROR, NOW), 30_000, at(NOW));
    expect(step).toMatchObject({ moved: true, local: { breaker: { state: "open" }, trustUntil: 0 } });
  });

  test("lets calls go on where nothing says that the target is down", () => {
    const step = goAlone(calls(ERROR, 3), 30_000, at(NOW));
    expect(step).toMatchObject({ moved: false, local: { breaker: { state: "closed" } } });
  });

  test("waits for its time to ask, then gives itself a probe", () => {
    const open = answer(fresh(), OPEN).local;
    expect(goAlone(open, 30_000, at(NOW + 8_499))).toMatchObject({ moved: false });
    const step = goAlone(open, 30_000, at(NOW + 8_500));
    expect(step.moved).toBe(true);
    expect(mayCall(step.local, POLICY, NOW + 8_500)).toBe("probe");
    expect(step.local.askAt).toBe(NOW + 38_500 + 1_000);
  });

  test("does not take the probe of another shard before its lease has lapsed", () => {
    const theirs = answer(fresh(), leased("s2"), NOW + 7_500).local;
    const early = goAlone(theirs, 30_000, at(NOW + 30_000)).local;
    expect(mayCall(early, POLICY, NOW + 30_000)).toBe("no");
    const later = goAlone(theirs, 30_000, at(NOW + 38_500)).local;
    expect(mayCall(later, POLICY, NOW + 38_500)).toBe("probe");
  });

  test("leaves an isolated target alone, and asks again later", () => {
    const isolated = answer(fresh(), isolate(OPEN, "r", "k", NOW).breaker).local;
    const step = goAlone(isolated, 30_000, at(NOW + 61_000));
    expect(step).toMatchObject({ moved: false, local: { askAt: NOW + 61_000 + 61_000 } });
    expect(mayCall(step.local, POLICY, NOW + 61_000)).toBe("no");
  });

  test("does nothing about a state that came without a time to ask", () => {
    const odd = { ...fresh(), breaker: OPEN };
    expect(goAlone(odd, 30_000, at(NOW + 99_000)).local).toEqual(odd);
  });

  test("never blocks: a target that works is found out by three probes of the shard's own", () => {
    let local = calls(ERROR, 10);
    let now = NOW;
    let last: LocalStep | null = null;
    let probes = 0;
    while (local.breaker.state !== "closed") {
      now = local.askAt ?? Number.NaN;
      local = beginProbe(goAlone(local, 30_000, at(now)).local);
      last = probeEnded(local, leaseOf(local), OK, at(now));
      local = last.local;
      probes++;
    }
    expect(probes).toBe(3);
    expect(now - NOW).toBeLessThan(15_000);
    expect(last).toMatchObject({ moved: true, ramp: true });
  });
});

describe("probeEnded", () => {
  const now = NOW + 7_500;
  const probing = () => beginProbe(answer(fresh(), leased("s1"), now).local);

  test("takes a failure, a success and nothing in", () => {
    const lease = leaseOf(probing());
    const ended = (effect: CallEffect | null) => probeEnded(probing(), lease, effect, at(now)).local;
    expect(ended(ERROR).breaker).toMatchObject({ state: "open", trips: 2, until: now + 15_000 });
    expect(ended(ERROR).askAt).toBe(now + 16_000);
    expect(ended(OK).breaker).toMatchObject({ state: "half_open", successes: 1, probe: null });
    expect(ended(null).breaker).toMatchObject({ state: "half_open", successes: 0, probe: null });
  });

  test("changes nothing under another lease", () => {
    const local = probing();
    expect(probeEnded(local, 1, ERROR, at(now))).toEqual({ local, moved: false, ramp: false });
  });
});

describe("keptOf", () => {
  test("keeps what is not closed over the loss of memory, and no lease is used twice", () => {
    expect(keptOf(fresh())).toBeNull();
    const now = NOW + 7_500;
    const probing = beginProbe(answer(fresh(), leased("s1"), now).local);
    const kept = JSON.parse(JSON.stringify(keptOf(probing)));
    const again = newLocalBreaker("s1", "s1#2", kept);
    expect(again).toMatchObject({ source: "s1#2", breaker: probing.breaker, askAt: probing.askAt });
    expect(mayCall(again, POLICY, now)).toBe("no");
    expect(push(again, OPEN).moved).toBe(false);
  });
});
