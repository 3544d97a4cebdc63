import type { Breaker } from "../../core/breaker/breaker.ts";
import { type CallEffect, effectOf } from "../../core/breaker/call-effect.ts";
import {
  countCalls,
  type LocalBreaker,
  type LocalContext,
  type LocalStep,
  newLocalBreaker,
  probeEnded,
} from "../../core/breaker/local-breaker.ts";
import { mergeSeen, NO_WATCH, type PathWatch } from "../../core/breaker/path-watch.ts";
import type { Outcome } from "../../core/call/classify.ts";
import { FAULTS } from "../../core/call/fault-facts.ts";
import { speaksForTarget } from "../../core/call/retry-after.ts";
import { askedHold, cutHold, type Hold, NO_HOLD, toldHold } from "../../core/policy/hold.ts";
import { isStretchDue, NO_STRETCH, type QueueStretch, stretchAt } from "../../core/policy/stretch.ts";
import {
  isFalling,
  type Limit,
  limitInForce,
  noteOverload,
  noteSuccess,
  noteUse,
  startLimit,
} from "../../core/pressure/limit.ts";
import { type Load, loadFactor, NO_LOAD, noteLoad, slowness, toldLoad } from "../../core/pressure/load.ts";
import { type Ramp, rampAfter, rampedLimit, startRamp } from "../../core/pressure/ramp.ts";
import {
  budgetLeft,
  noteAttempt,
  noteResult,
  type RetryBudget,
  startBudget,
} from "../../core/pressure/retry-budget.ts";
import type { BreakerNews, BreakerSync, HoldNews } from "../../protocol/breaker-api.ts";
import type { QueueConfig } from "../../protocol/queue-config.ts";
import type { Flight } from "../storage/flights.ts";
import { type KeptTarget, NOTHING_KEPT, type SplitPath } from "../storage/target-rows.ts";
import { type Watched, watched } from "./path-splits.ts";

/**
 * What a shard knows of one target: memory, but for what its row of `targets` says. Its hold is one that the target
 * asked for here, or in another shard of the queue.
 */
export interface Target extends Hold {
  key: string;
  local: LocalBreaker;
  /** It has a row of its own. */
  onDisk: boolean;
  /** The row whose call is the probe under way; null: none is. */
  probing: string | null;
  /** The latest hold that its Breaker object knows of, as far as this shard knows; 0: none. */
  heldTold: number;
  /** Holds that were asked for at this instant or earlier are over, whoever still tells of them. */
  holdsEndedAt: number;
  limit: Limit;
  ramp: Ramp | null;
  budget: RetryBudget;
  load: Load;
  stretch: QueueStretch;
  /** Attempts and deliveries let go since memory began. */
  calls: number;
  usedAt: number;
  /** When its queue's operators were told last that it is gone; 0: never. */
  goneToldAt: number;
  /** When a call to it failed last, in this life of memory; 0: never. */
  failedAt: number;
  /** Of an origin: what is seen of its paths, and those that are targets of their own. */
  watch: PathWatch;
  splits: readonly SplitPath[];
}

/** A call that has ended. */
interface EndedCall {
  outcome: Outcome;
  startedAt: number;
  /** What it says of the target; null: nothing. */
  effect: CallEffect | null;
}

/** A call that has ended, for what it says of its target. */
export interface TargetCall {
  key: string;
  url: string;
  outcome: Outcome;
  startedAt: number;
  timeoutMs: number;
  /** The one that its queue sets for such a call. */
  queueTimeoutMs: number;
  /** Its flight, where that is known. */
  flight: Flight | undefined;
}

/** A target that a shard meets for the first time, or again after it lost its memory. */
export function newTarget(
  key: string,
  shard: string,
  source: string,
  shards: number,
  kept: KeptTarget,
): Target {
  return {
    key,
    local: newLocalBreaker(shard, source, kept.breaker),
    onDisk: kept !== NOTHING_KEPT,
    probing: kept.probing,
    heldFrom: kept.heldFrom,
    heldUntil: kept.heldUntil,
    heldTold: 0,
    holdsEndedAt: 0,
    limit: startLimit(shards),
    ramp: null,
    budget: startBudget(),
    load: NO_LOAD,
    stretch: NO_STRETCH,
    calls: 0,
    usedAt: 0,
    goneToldAt: 0,
    failedAt: 0,
    watch: NO_WATCH,
    splits: kept.splits,
  };
}

/** Calls at a time that the target may get from this shard; `cap` is what its slots allow. */
export function allowedCalls(target: Target, settings: QueueConfig["settings"], cap: number): number {
  const limit = settings.adaptive_concurrency ? limitInForce(target.limit, cap) : cap;
  return rampedLimit(limit, target.ramp);
}

/** Retries that the target's budget allows now. */
export function retriesLeft(target: Target, config: QueueConfig, now: number): number {
  const { enabled, ratio, per_minute } = config.settings.retry_budget;
  const settings = { enabled, ratio, perMinute: per_minute };
  return budgetLeft(target.budget, settings, config.shards, isFalling(target.limit, now), now);
}

/** What holds while a call ends. */
export interface EndContext extends LocalContext {
  /** The shortest timeout that is evidence. */
  floorMs: number;
  /** The longest that the target may hold the queue, in milliseconds. */
  mostHoldMs: number;
  /** What the shard's slots allow. */
  cap: number;
}

/** A call that has ended, taken in. */
export interface TakenEnd {
  target: Target;
  step: LocalStep;
  /** What it says of its target; null: nothing. */
  effect: CallEffect | null;
  /** It failed on a path that may have to be split off: its breaker has not counted it, and others may know more. */
  isKeptBack: boolean;
  split: Watched<Target>["split"];
}

/** A call has ended: what it says of its target, and what that makes of its breaker. */
export function withEnd(before: Target, call: TargetCall, context: EndContext): TakenEnd {
  const { outcome, startedAt, timeoutMs, queueTimeoutMs } = call;
  const { now, policy, cap, floorMs } = context;
  const effect = effectOf(outcome, { timeoutMs, queueTimeoutMs, floorMs }, policy.slowFraction);
  const noted = withResult(before, { outcome, startedAt, effect }, cap, now);
  const probe = call.flight?.probe ?? null;
  const seen = probe === null ? watched(noted, call, effect, context) : null;
  const isKeptBack = seen?.counted.length === 0;
  const counted = seen?.target ?? noted;
  const ramped = effect === null || isKeptBack ? counted : withRampStep(counted, effect.ok);
  const target = withAskedHold(ramped, call, context.mostHoldMs, now);
  const step =
    probe === null
      ? countCalls(target.local, seen?.counted ?? [], context)
      : probeEnded(target.local, probe, effect, context);
  const probing = probe === null ? target.probing : null;
  const ended = { ...target, local: step.local, probing };
  return { target: ended, step, effect, isKeptBack, split: seen?.split ?? null };
}

/** How much longer waits for the target are by how many rows `waiting` counts, looked at now and then. */
export function withStretch(target: Target, waiting: () => number, now: number): Target {
  if (!isStretchDue(target.stretch, now)) return target;
  return { ...target, stretch: stretchAt(target.stretch, waiting(), now) };
}

/** A call was let go: a first attempt, a retry, or (null) the delivery of a callback. */
export function withCall(
  target: Target,
  isRetry: boolean | null,
  inFlight: number,
  cap: number,
  now: number,
): Target {
  return {
    ...target,
    limit: noteUse(target.limit, inFlight, cap),
    budget: isRetry === null ? target.budget : noteAttempt(target.budget, isRetry, now),
    calls: target.calls + 1,
    usedAt: now,
  };
}

/** A call has ended: what it says of the target's limit, load and budget. While it is down, no limit is to be found. */
function withResult(target: Target, call: EndedCall, cap: number, now: number): Target {
  const { outcome, startedAt, effect } = call;
  if (effect === null) return target;
  const { errorType, status, ok } = outcome;
  const overloaded = !effect.ok && (status === 503 || (errorType !== null && FAULTS[errorType].isOverload));
  const load = noteLoad(
    target.load,
    { told: toldLoad(outcome.headers), overloaded, ok, latencyMs: outcome.durationMs },
    now,
  );
  const failedAt = effect.ok ? target.failedAt : now;
  const noted = { ...target, load, failedAt, budget: noteResult(target.budget, effect.ok, now) };
  if (target.local.breaker.state !== "closed") return noted;
  if (overloaded) return { ...noted, limit: noteOverload(target.limit, startedAt, now) };
  return ok ? { ...noted, limit: noteSuccess(target.limit, cap, slowness(load)) } : noted;
}

/** A call has ended: a target that says how long to wait is held so long, and no longer than `mostMs`. */
function withAskedHold(target: Target, { outcome }: TargetCall, mostMs: number, now: number): Target {
  const isAsked = outcome.errorType === "rate_limited" && speaksForTarget(outcome.status);
  const askedMs = isAsked ? outcome.retryAfterMs : null;
  return askedMs === null ? target : { ...target, ...askedHold(target, askedMs, mostMs, now) };
}

/** The Breaker object knows of a hold, and of those that are over; `mostMs` is how long one may be in this queue. */
export function withToldHold(
  target: Target,
  { holdUntil, holdFrom, holdsEndedAt }: HoldNews,
  mostMs: number,
  now: number,
): Target {
  const left = withoutHolds(target, holdsEndedAt ?? 0);
  if (holdUntil === undefined) return left;
  // An older release does not say since when.
  const told = { heldFrom: holdFrom ?? now, heldUntil: holdUntil };
  const hold = toldHold(left, told, mostMs, left.holdsEndedAt);
  return { ...left, ...hold, heldTold: Math.max(left.heldTold, holdUntil) };
}

/** The Breaker object has taken in what this message says of the hold; where that is released, its answer says so. */
export function withHoldTold(target: Target, { holdUntil, holdFrom }: BreakerSync): Target {
  if (holdUntil === undefined || holdFrom === undefined || holdFrom <= target.holdsEndedAt) return target;
  return { ...target, heldTold: Math.max(target.heldTold, holdUntil) };
}

/** Without the holds that were asked for at this instant or earlier; what is told of them later does not count. */
export function withoutHolds(target: Target, endedAt: number): Target {
  if (endedAt <= target.holdsEndedAt) return target;
  const ended = { ...target, holdsEndedAt: endedAt };
  return target.heldFrom > endedAt ? ended : { ...ended, ...NO_HOLD, heldTold: 0 };
}

/** The queue lets a target hold it for so long now: a longer hold is cut, for good, and over where it would be. */
export function withCutHold(target: Target, mostMs: number, now: number): Target {
  const cut = cutHold(target, mostMs);
  if (cut === target) return target;
  if (cut.heldUntil <= now) return withoutHolds(target, target.heldFrom);
  return { ...cut, heldTold: Math.min(cut.heldTold, cut.heldUntil) };
}

/** Other shards have seen calls on these paths succeed: that counts while failures are remembered. */
export function withSeen(target: Target, { seen }: BreakerNews): Target {
  const { watch } = target;
  if (seen === undefined || watch.failures.length === 0) return target;
  return { ...target, watch: { ...watch, seen: mergeSeen(watch.seen, seen) } };
}

/** The breaker's state alone, as it is kept. */
export function breakerOf(news: BreakerNews): Breaker {
  const { holdUntil: _, holdFrom: __, holdsEndedAt: ___, tellGone: ____, seen: _____, ...breaker } = news;
  return breaker;
}

/** The breaker has closed: load comes back step by step to the limit of before, and old failures bind no budget. */
export function withRamp(target: Target, settings: QueueConfig["settings"], cap: number): Target {
  const goal = allowedCalls({ ...target, ramp: null }, settings, cap);
  return { ...target, ramp: startRamp(goal), budget: startBudget() };
}

/** The ramp after a call that counts. */
function withRampStep(target: Target, ok: boolean): Target {
  return target.ramp === null ? target : { ...target, ramp: rampAfter(target.ramp, ok) };
}

/** The target's load factor, 0 to 1. */
export function loadOf(target: Target, now: number): number {
  return loadFactor(target.load, now);
}
