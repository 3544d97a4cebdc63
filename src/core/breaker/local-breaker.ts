import { BREAKER_BUCKET_MS } from "../../schema/breaker.ts";
import { MINUTE_MS, SECOND_MS } from "../../schema/limits.ts";
import {
  type Breaker,
  type BreakerStep,
  countedFrom,
  leaseProbe,
  newBreaker,
  onCounts,
  onTime,
  settleProbe,
} from "./breaker.ts";
import type { CallEffect } from "./call-effect.ts";
import {
  addCall,
  type BreakerCounts,
  type Bucket,
  bucketStart,
  type CountsReport,
  NO_COUNTS,
  type SourceCounts,
  windowSum,
} from "./counts.ts";
import type { BreakerPolicy } from "./policy.ts";

/** A shard that was just told, or tried to ask, waits at least this long before it asks (again). */
const MIN_ASK_MS = 250;
/** Over how long the questions of shards that wait for the same instant are spread. */
const ASK_SPREAD_MS = 2 * SECOND_MS;
/** An isolated target has no `until`; a reset whose push was lost is found out this late. */
const ISOLATED_ASK_MS = MINUTE_MS;
/** How long the word of the Breaker object, that a target is up, goes before a shard's own counts. */
const OVERRULED_MS = 10 * SECOND_MS;

/** Chance and a queue's settings: what decisions of a shard depend on beside its memory. */
export interface LocalContext {
  now: number;
  policy: BreakerPolicy;
  /** Gives numbers in [0, 1). */
  random: () => number;
}

/** What a shard knows of one target: the state it was told or came to itself, and its own counts. Memory, but for `kept`. */
export interface LocalBreaker {
  shard: string;
  /** Its counts go by this name: the shard and the life of its memory. */
  source: string;
  breaker: Breaker;
  /** The version of the state that the Breaker object told last; 0: it told none, the target is new here. */
  toldVersion: number;
  own: SourceCounts;
  /** `own.reach.seq` at the last call that failed or was slow. */
  troubleSeq: number;
  /** Up to which `own.reach.seq` the Breaker object has the counts. */
  ackedSeq: number;
  /** Until then it does not trip by its own counts: the Breaker object, which knows more, took such a trip back. */
  trustUntil: number;
  /** When to ask the Breaker object what holds now; null: no need. */
  askAt: number | null;
  /** The last probe lease it has made a call for. */
  usedLease: number;
}

/** What of it outlives the memory of its shard: one row for each target that is not closed; plain JSON. */
export type KeptBreaker = Pick<LocalBreaker, "breaker" | "toldVersion" | "askAt" | "usedLease">;

/** What came of an event in a shard. */
export interface LocalStep {
  local: LocalBreaker;
  /** The state or its lease is another one: the shard writes or removes its row, parks or wakes the target's tasks. */
  moved: boolean;
  /** Load comes back step by step: the shard starts a ramp for the target. */
  ramp: boolean;
}

/** What a shard knows of a target that it meets for the first time, or again after it lost its memory. */
export function newLocalBreaker(shard: string, source: string, kept: KeptBreaker | null): LocalBreaker {
  return {
    shard,
    source,
    breaker: newBreaker(0),
    toldVersion: 0,
    own: NO_COUNTS,
    troubleSeq: 0,
    ackedSeq: 0,
    trustUntil: 0,
    askAt: null,
    usedLease: 0,
    ...kept,
  };
}

/** What to write for a target; null: nothing, and a row that is there goes. */
export function keptOf({ breaker, toldVersion, askAt, usedLease }: LocalBreaker): KeptBreaker | null {
  return breaker.state === "closed" ? null : { breaker, toldVersion, askAt, usedLease };
}

/** Whether a call may go now: any (`yes`), none, or one that is the probe (then `beginProbe`). */
export function mayCall(
  local: LocalBreaker,
  { enabled }: BreakerPolicy,
  now: number,
): "yes" | "no" | "probe" {
  const { breaker, shard, usedLease } = local;
  if (!enabled || breaker.state === "closed") return "yes";
  if (breaker.state !== "half_open" || breaker.probe === null) return "no";
  const { probe } = breaker;
  return probe.shard === shard && probe.until > now && probe.lease !== usedLease ? "probe" : "no";
}

/** The probe's call is under way; its lease allows no other. */
export function beginProbe(local: LocalBreaker): LocalBreaker {
  const { breaker } = local;
  const probe = breaker.state === "half_open" ? breaker.probe : null;
  return probe === null ? local : { ...local, usedLease: probe.lease };
}

/** A call that has ended: what it says of its target, if anything. */
export interface EndedAt {
  effect: CallEffect | null;
  startedAt: number;
  /** When it ended. */
  at: number;
}

/** As `countCall`, of calls that ended before too, oldest first: what the target's breaker was not told of at once. */
export function countCalls(local: LocalBreaker, calls: readonly EndedAt[], context: LocalContext): LocalStep {
  return calls.reduce((before, { effect, startedAt, at }) => {
    const step = countCall(before.local, effect, startedAt, context, at);
    return { ...step, moved: before.moved || step.moved };
  }, still(local));
}

/**
 * Counts a call that ended now, or at an instant before, but no 429. One that began before the breaker closed says nothing about the target since.
 * Where the shard's own counts say that the target is down, it opens at once, without asking.
 */
export function countCall(
  local: LocalBreaker,
  effect: CallEffect | null,
  startedAt: number,
  context: LocalContext,
  at = context.now,
): LocalStep {
  const from = countedFrom(local.breaker);
  if (effect === null || effect.asksToWait === true || startedAt < from) return still(local);
  const { now, policy } = context;
  const own = addCall(local.own, effect, at, from, policy.windowMs);
  const { seq } = own.reach;
  const trouble = !effect.ok || effect.slow;
  const counted: LocalBreaker = {
    ...local,
    own,
    troubleSeq: trouble ? seq : local.troubleSeq,
  };
  return trouble && now >= local.trustUntil ? tripByOwn(counted, context) : still(counted);
}

/**
 * When the next report is due: at once after a failed or a slow call, at the end of the bucket after others, and
 * not at all (null) while the target gives no trouble, or where the Breaker object has all counts.
 */
export function reportAt(local: LocalBreaker, { now, policy }: Omit<LocalContext, "random">): number | null {
  if (local.own.reach.seq === local.ackedSeq) return null;
  if (local.troubleSeq > local.ackedSeq) return now;
  const { failed, slow } = windowSum(ownCounts(local), now, policy.windowMs, countedFrom(local.breaker));
  const oldest = unreported(local)[0];
  return failed + slow > 0 && oldest !== undefined ? bucketStart(oldest.start) + BREAKER_BUCKET_MS : null;
}

/** The report that is due: all that the Breaker object is not known to have. */
export function reportOf(local: LocalBreaker): CountsReport {
  return { source: local.source, buckets: unreported(local), reach: local.own.reach };
}

/** The Breaker object has taken a report in. */
export function reportTaken(local: LocalBreaker, report: CountsReport): LocalBreaker {
  return { ...local, ackedSeq: Math.max(local.ackedSeq, report.reach.seq) };
}

/**
 * Takes the state that the Breaker object tells. A push counts where it is newer than what it told before; the
 * answer to a question of this shard also where it is the same, and then takes back what the shard did alone.
 */
export function adopt(
  local: LocalBreaker,
  told: Breaker,
  by: "push" | "answer",
  { now, random }: LocalContext,
): LocalStep {
  const isNews = by === "push" ? told.version > local.toldVersion : told.version >= local.toldVersion;
  if (!isNews) return still(local);
  const was = local.breaker;
  // The target has been up, by all that is known, since before this shard found it down.
  const overruled = told.state === "closed" && was.state !== "closed" && told.since < downSince(was);
  const trustUntil = overruled ? now + OVERRULED_MS : local.trustUntil;
  const next = { ...local, breaker: told, toldVersion: told.version, trustUntil };
  return arrived(local, overruled ? { ...next, askAt: null } : withAskAt(next, now, random), !overruled);
}

/**
 * The Breaker object cannot be reached: the shard goes on with what it knows, trips by its own counts, and, once
 * it was time to ask, opens half and gives itself a probe for `leaseMs`. `isolated` stays.
 */
export function goAlone(local: LocalBreaker, leaseMs: number, context: LocalContext): LocalStep {
  const { now, random } = context;
  const alone = { ...local, trustUntil: 0 };
  if (alone.breaker.state === "closed") return tripByOwn(alone, context);
  if (alone.askAt === null || now < alone.askAt) return still(alone);
  const { breaker } = leaseProbe(onTime(alone.breaker, now).breaker, alone.shard, now, leaseMs);
  return arrived(local, withAskAt({ ...alone, breaker }, now, random), false);
}

/**
 * The probe's call has ended: the shard takes the result in at once, then tells the Breaker object and adopts its
 * answer. The effect is null where the outcome says nothing of the target. A 429 is no success, so that the next probe
 * is as far off as after a failure.
 */
export function probeEnded(
  local: LocalBreaker,
  lease: number,
  effect: CallEffect | null,
  context: LocalContext,
): LocalStep {
  const { now, policy, random } = context;
  const step = settleProbe(local.breaker, lease, effect?.ok ?? null, policy, now, random);
  return follow(local, step, context);
}

function tripByOwn(local: LocalBreaker, context: LocalContext): LocalStep {
  const { now, policy, random } = context;
  return follow(local, onCounts(local.breaker, ownCounts(local), policy, now, random), context);
}

function follow(local: LocalBreaker, { breaker, changes }: BreakerStep, context: LocalContext): LocalStep {
  if (changes === null) return still(local);
  return arrived(local, withAskAt({ ...local, breaker }, context.now, context.random), true);
}

function arrived(before: LocalBreaker, local: LocalBreaker, mayRamp: boolean): LocalStep {
  const { breaker } = local;
  const moved = breaker.version !== before.breaker.version || breaker.state !== before.breaker.state;
  const closes = breaker.state === "closed" && before.breaker.state !== "closed";
  return { local, moved, ramp: mayRamp && closes && breaker.state === "closed" && breaker.ramp };
}

function withAskAt(local: LocalBreaker, now: number, random: () => number): LocalBreaker {
  const from = askFrom(local, now);
  if (from === null) return { ...local, askAt: null };
  return { ...local, askAt: Math.max(from, now + MIN_ASK_MS) + Math.round(random() * ASK_SPREAD_MS) };
}

/** The first instant at which the Breaker object may have something else to say. */
function askFrom({ breaker }: LocalBreaker, now: number): number | null {
  switch (breaker.state) {
    case "closed":
      return null;
    case "open":
      return breaker.until;
    case "half_open":
      return breaker.probe?.until ?? now;
    case "isolated":
      return now + ISOLATED_ASK_MS;
  }
}

function unreported({ own, ackedSeq }: LocalBreaker): Bucket[] {
  return own.buckets.filter(({ seq }) => seq > ackedSeq);
}

function downSince(breaker: Exclude<Breaker, { state: "closed" }>): number {
  return breaker.state === "isolated" ? breaker.since : breaker.downSince;
}

function ownCounts({ source, own }: LocalBreaker): BreakerCounts {
  return new Map([[source, own]]);
}

function still(local: LocalBreaker): LocalStep {
  return { local, moved: false, ramp: false };
}
