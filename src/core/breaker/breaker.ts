import { type BreakerState, SILENT_FOR_CONNECT } from "../../schema/breaker.ts";
import { SECOND_MS } from "../../schema/limits.ts";
import { type BreakerCounts, connectRun, failureRun, failuresSince, silentRun, windowSum } from "./counts.ts";
import type { BreakerPolicy } from "./policy.ts";

/** A queue believes what others say of a target once its own calls have failed so often in a row. */
const AGREEING_FAILURES = 3;
/** A queue hears that others' calls succeed once its breaker has been open for so long: no probes come faster by it. */
const HEARS_AFTER_MS = 5 * SECOND_MS;

/** The right to make one probe: one call to a target that is half open. */
export interface ProbeLease {
  /** Never given twice. */
  lease: number;
  /** From then on another may have it. */
  until: number;
  shard: string;
}

interface Common {
  /** Rises with every change, and is an instant or more, so that even a breaker that lost its storage goes on above. */
  version: number;
  /** When it came to this state. */
  since: number;
}

interface Outage extends Common {
  /** Times it opened since it was closed last; 0: not yet, it only asks because others found the target down. */
  trips: number;
  /** When it opened first. */
  downSince: number;
  /** Why it opened first, in words. */
  reason: string;
}

/**
 * The circuit breaker of one target key, as it is stored and as shards are told of it: plain JSON.
 * `closed` with `ramp`: it was not before, so load comes back step by step, and what was counted before
 * `since` counts no more.
 */
export type Breaker =
  | (Common & { state: "closed"; ramp: boolean })
  | (Outage & { state: "open"; until: number })
  | (Outage & { state: "half_open"; successes: number; probe: ProbeLease | null })
  | (Common & { state: "isolated"; reason: string });

/** A change of state, for the audit history. `by`: `counts`, `timer`, `probe`, or the id of an operator's key. */
export interface BreakerAudit {
  at: number;
  from: BreakerState;
  to: BreakerState;
  reason: string;
  by: string;
  /** Of a reset: of how many queues it released a hold; left out: none. */
  holdsReleased?: number;
}

/** What came of an event. */
export interface BreakerStep {
  breaker: Breaker;
  /** Null: nothing changed, nothing is to be written. `push`: shards have to hear of it, `tell`: operators too. */
  changes: { audit: BreakerAudit | null; push: boolean; tell: boolean } | null;
}

/** A breaker that nobody has asked for yet. */
export function newBreaker(now: number): Breaker {
  return { state: "closed", version: now, since: now, ramp: false };
}

/** Only calls that began then or later count. */
export function countedFrom(breaker: Breaker): number {
  return breaker.state === "closed" && breaker.ramp ? breaker.since : 0;
}

/** New counts: a closed breaker opens where they say that the target is down. `random` gives numbers in [0, 1). */
export function onCounts(
  breaker: Breaker,
  counts: BreakerCounts,
  policy: BreakerPolicy,
  now: number,
  random: () => number,
): BreakerStep {
  if (breaker.state !== "closed" || !policy.enabled) return unchanged(breaker);
  const reason = whyTrip(counts, policy, now, countedFrom(breaker));
  if (reason === null) return unchanged(breaker);
  const outage = { ...common(breaker, now), trips: 1, downSince: now, reason };
  return moved(breaker, opened(outage, policy, random), reason, "counts");
}

/**
 * Other queues found the target down. That alone moves nothing, since it may be their own doing; but where this queue's
 * latest calls have failed too, fewer than would open its breaker, the next one is a probe: half open at once, never
 * open. A queue whose calls succeed cannot be stopped so, and one that fails now and then is held up for one call.
 */
export function onOthersDown(
  breaker: Breaker,
  counts: BreakerCounts,
  policy: BreakerPolicy,
  now: number,
): BreakerStep {
  if (breaker.state !== "closed" || !policy.enabled) return unchanged(breaker);
  const failures = failuresSince(counts, now, policy.windowMs, countedFrom(breaker));
  if (failures < AGREEING_FAILURES) return unchanged(breaker);
  const reason = `${failures} calls in a row failed, and so do other queues' calls`;
  const outage = { ...common(breaker, now), trips: 0, downSince: now, reason };
  return moved(breaker, { ...outage, state: "half_open", successes: 0, probe: null }, reason, "counts");
}

/** Another queue's probes have found the target up: an open breaker is half open now, if it has not just opened. */
export function onOthersUp(breaker: Breaker, now: number): BreakerStep {
  if (breaker.state !== "open" || now < breaker.since + HEARS_AFTER_MS) return unchanged(breaker);
  return halfOpened(breaker, "another queue's probes succeeded", now);
}

/** Whether the target is down by the queue's own evidence, which others may hear of. */
export function isDown(breaker: Breaker): boolean {
  return (breaker.state === "open" || breaker.state === "half_open") && breaker.trips > 0;
}

/** Time has passed: an open breaker is half open from its `until` on. */
export function onTime(breaker: Breaker, now: number): BreakerStep {
  if (breaker.state !== "open" || now < breaker.until) return unchanged(breaker);
  return halfOpened(breaker, "time to probe", now);
}

/**
 * Asks for the probe of a half-open breaker. One shard has it at a time; asked again it gets the same lease,
 * since the first answer may have been lost. `probe` null: there is none to have.
 */
export function leaseProbe(
  breaker: Breaker,
  shard: string,
  now: number,
  leaseMs: number,
): BreakerStep & { probe: ProbeLease | null } {
  if (breaker.state !== "half_open") return { ...unchanged(breaker), probe: null };
  const held = breaker.probe;
  if (held !== null && held.until > now) {
    return { ...unchanged(breaker), probe: held.shard === shard ? held : null };
  }
  const version = nextVersion(breaker, now);
  const probe = { lease: version, until: now + leaseMs, shard };
  return { ...quietly({ ...breaker, version, probe }), probe };
}

/**
 * The probe's result: enough successes close the breaker (one does where it never opened), one failure opens it for longer, null (the outcome
 * says nothing) frees the lease. A lease that is not the present one changes nothing; a late result counts as
 * long as nobody else has the probe.
 */
export function settleProbe(
  breaker: Breaker,
  lease: number,
  ok: boolean | null,
  policy: BreakerPolicy,
  now: number,
  random: () => number,
): BreakerStep {
  if (breaker.state !== "half_open" || breaker.probe?.lease !== lease) return unchanged(breaker);
  if (ok === false) {
    const outage = { ...outageOf(breaker, now), trips: breaker.trips + 1 };
    return moved(breaker, opened(outage, policy, random), "a probe failed", "probe");
  }
  const successes = breaker.successes + (ok === true ? 1 : 0);
  if (successes < (breaker.trips === 0 ? 1 : policy.halfOpenSuccesses)) {
    return quietly({ ...breaker, version: nextVersion(breaker, now), successes, probe: null });
  }
  const probes = successes === 1 ? "1 probe" : `${successes} probes`;
  const seconds = Math.round((now - breaker.downSince) / 1_000);
  const reason = `${probes} succeeded${breaker.trips === 0 ? "" : `, ${seconds} s after it opened`}`;
  return moved(breaker, { ...common(breaker, now), state: "closed", ramp: true }, reason, "probe");
}

/** An operator holds the target: no call goes until a reset. */
export function isolate(breaker: Breaker, reason: string, by: string, now: number): BreakerStep {
  return moved(breaker, { ...common(breaker, now), state: "isolated", reason }, reason, by);
}

/** An operator closes the breaker, whatever it is; load comes back step by step. */
export function reset(breaker: Breaker, reason: string, by: string, now: number): BreakerStep {
  return moved(breaker, { ...common(breaker, now), state: "closed", ramp: true }, reason, by);
}

/** When the breaker has something to do by itself: half open, or give a lapsed probe to another. Null: nothing. */
export function nextChangeAt(breaker: Breaker): number | null {
  switch (breaker.state) {
    case "open":
      return breaker.until;
    case "half_open":
      return breaker.probe?.until ?? null;
    case "closed":
    case "isolated":
      return null;
  }
}

/** Null where nothing says that the target is down. */
function whyTrip(counts: BreakerCounts, policy: BreakerPolicy, now: number, from: number): string | null {
  const run = connectRun(counts, now, policy.windowMs, from);
  if (run >= policy.connectFailures) return `${run} calls in a row could not connect`;
  const silent = silentRun(counts, now, policy.windowMs, from);
  if (silent >= SILENT_FOR_CONNECT * policy.connectFailures)
    return `at least ${silent} calls in a row got no answer`;
  const faults = failureRun(counts, now, policy.windowMs, from);
  if (faults >= policy.failuresInARow) return `at least ${faults} calls in a row failed`;
  const { ok, failed, slow } = windowSum(counts, now, policy.windowMs, from);
  const calls = ok + failed;
  if (calls < policy.minimum) return null;
  const window = `in ${policy.windowMs / 1_000} s`;
  if (failed / calls >= policy.failureRate) return `${failed} of ${calls} calls failed ${window}`;
  return slow / calls >= policy.slowRate ? `${slow} of ${calls} calls were slow ${window}` : null;
}

/** Open for `openMs` doubled with every trip, up to the maximum; half of that is certain, half is chance. */
function opened(outage: Outage, policy: BreakerPolicy, random: () => number): Breaker {
  const fullMs = Math.min(policy.maxOpenMs, policy.openMs * 2 ** (outage.trips - 1));
  const until = outage.since + Math.round(fullMs / 2 + (random() * fullMs) / 2);
  return { ...outage, state: "open", until };
}

function halfOpened(breaker: Breaker & { state: "open" }, reason: string, now: number): BreakerStep {
  const after: Breaker = { ...outageOf(breaker, now), state: "half_open", successes: 0, probe: null };
  return moved(breaker, after, reason, "timer");
}

function outageOf(breaker: Outage, now: number): Outage {
  const { trips, downSince, reason } = breaker;
  return { ...common(breaker, now), trips, downSince, reason };
}

function common(breaker: Common, now: number): Common {
  return { version: nextVersion(breaker, now), since: now };
}

function nextVersion(breaker: Common, now: number): number {
  return Math.max(breaker.version + 1, now);
}

function moved(before: Breaker, breaker: Breaker, reason: string, by: string): BreakerStep {
  const audit = { at: breaker.since, from: before.state, to: breaker.state, reason, by };
  return { breaker, changes: { audit, push: true, tell: isForOperators(before, breaker) } };
}

/** Operators hear that a target went down, and that it is up again; not of every probe in between. */
function isForOperators(before: Breaker, after: Breaker): boolean {
  const wasUp = before.state === "closed" || (before.state === "half_open" && before.trips === 0);
  return (wasUp && after.state === "open") || (!wasUp && after.state === "closed");
}

function quietly(breaker: Breaker): BreakerStep {
  return { breaker, changes: { audit: null, push: false, tell: false } };
}

function unchanged(breaker: Breaker): BreakerStep {
  return { breaker, changes: null };
}
