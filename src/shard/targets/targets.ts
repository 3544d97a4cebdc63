import { type CallEffect, effectOf } from "../../core/breaker/call-effect.ts";
import {
  adopt,
  beginProbe,
  countCall,
  goAlone,
  type LocalBreaker,
  type LocalContext,
  type LocalStep,
  mayCall,
  probeEnded,
  reportTaken,
} from "../../core/breaker/local-breaker.ts";
import { type BreakerPolicy, breakerPolicy, isTrusted } from "../../core/breaker/policy.ts";
import { mostHoldMs } from "../../core/policy/hold.ts";
import { isStretchDue, stretchAt } from "../../core/policy/stretch.ts";
import { retryLane, targetOfLane } from "../../core/task/lane.ts";
import type { SqlPort } from "../../platform/sql-port.ts";
import type { BreakerNews, BreakerSync } from "../../protocol/breaker-api.ts";
import { breakerName } from "../../protocol/names.ts";
import type { QueueConfig } from "../../protocol/queue-config.ts";
import type { Flight } from "../storage/flights.ts";
import type { Tx } from "../storage/group-commit.ts";
import { type KeptTarget, NOTHING_KEPT, readKept, writeKept } from "../storage/target-rows.ts";
import {
  breakerOf,
  loadOf,
  newTarget,
  type Target,
  type TargetCall,
  withAskedHold,
  withCall,
  withCutHold,
  withHoldTold,
  withoutHolds,
  withRamp,
  withRampStep,
  withResult,
  withToldHold,
} from "./target.ts";

/** Targets called within this time are listed. */
const RECENT_MS = 3_600_000;

/** Targets kept in memory; beyond, those without trouble that were called longest ago go, so many at once. */
const MAX_KNOWN = 20_000;

const FORGET_AT_ONCE = 2_000;

/** Calls after which a shard tells a target's Breaker object that it is there; trouble makes it do so at once. */
const KNOWN_AFTER_CALLS = 20;

/** What the targets need of their shard. */
export interface TargetsPort {
  readonly name: string;
  readonly sql: SqlPort;
  /** The shortest timeout that is evidence for other queues. */
  readonly evidenceFloorMs: number;
  now(): number;
  random(): number;
  queue(): QueueConfig;
  /** How many grants may be in flight in this shard. */
  capacity(): number;
  /** Calls to a target that are in flight. */
  callsTo(key: string): number;
  /** How many rows wait in these lanes, counted up to `limit`. */
  waitingIn(lanes: readonly string[], limit: number): number;
  /** What waits for a target has its turns again. */
  wake(key: string): void;
  /** Whatever is parked has its turns again. */
  wakeAll(): void;
}

/** What this shard knows of all its targets. Memory, but for a row for each that may not be called. */
export class Targets {
  readonly #port: TargetsPort;
  readonly #byKey = new Map<string, Target>();
  readonly #kept: Map<string, KeptTarget>;
  /** Targets for which it has to be thought over when their Breaker object is told or asked next. */
  readonly #changed: Set<string>;
  /** Targets whose half-open breaker lets this shard make a call that it has not made yet. */
  readonly #leased: Set<string>;
  /** Results of probes that the Breaker object has not been told yet. */
  readonly probed = new Map<string, NonNullable<BreakerSync["probed"]>>();
  /** Targets that answered 410, and the task that they answered: operators are to be told, if no other shard has. */
  readonly gone = new Map<string, string>();
  /** Targets about which the Breaker object is to be asked now. */
  readonly unsure = new Set<string>();
  readonly #source: string;
  #policy: { of: object; policy: BreakerPolicy } | null = null;
  #mostKnown = MAX_KNOWN;

  constructor(port: TargetsPort) {
    this.#port = port;
    this.#source = `${port.name}@${port.now()}`;
    this.#kept = readKept(port.sql, port.now());
    const down = [...this.#kept].filter(([, { breaker }]) => breaker !== null).map(([key]) => key);
    // What holds a target may have been released meanwhile.
    this.#changed = new Set(this.#kept.keys());
    this.#leased = new Set(down);
  }

  get policy(): BreakerPolicy {
    const settings = this.#port.queue().settings.breaker;
    if (this.#policy?.of !== settings) this.#policy = { of: settings, policy: breakerPolicy(settings) };
    return this.#policy.policy;
  }

  /** The shortest timeout of a call to the target that is evidence; 0: any that its queue's own settings take. */
  floorMsOf(key: string): number {
    return isTrusted(key, this.policy) ? this.#port.evidenceFloorMs : 0;
  }

  get(key: string): Target {
    const known = this.#byKey.get(key);
    if (known !== undefined) return known;
    const { name } = this.#port;
    const queue = this.#port.queue();
    const kept = newTarget(key, name, this.#source, queue.shards, this.#kept.get(key) ?? NOTHING_KEPT);
    const target = withCutHold(kept, mostHoldMs(queue.settings.retry), this.#port.now());
    this.#kept.delete(key);
    this.#byKey.set(key, target);
    if (this.#byKey.size > this.#mostKnown) this.#forget();
    return target;
  }

  /** The name of a target's Breaker object, by the scope that the queue sets. */
  breakerOf(key: string): string {
    return breakerName(key, this.policy.share, this.#port.queue().ref);
  }

  /** False where nothing is known of the target that a later call to it would go by. */
  isInUse(key: string, since: number): boolean {
    const known = this.#byKey.get(key);
    if (known === undefined) return this.#kept.has(key);
    const { local, heldUntil, usedAt } = known;
    return local.breaker.state !== "closed" || heldUntil > this.#port.now() || usedAt > since;
  }

  /** The probe lease that a row's call was under way for when the object stopped; null: none. */
  keptProbe(key: string, id: string): number | null {
    const kept = this.#kept.get(key);
    return kept?.probing === id ? (kept.breaker?.usedLease ?? null) : null;
  }

  /** The targets that are down (not closed, or held) and, but for `down`, those called lately. */
  recent(down: boolean): Target[] {
    const since = down ? Number.POSITIVE_INFINITY : this.#port.now() - RECENT_MS;
    for (const key of this.#kept.keys()) this.get(key);
    return [...this.#byKey.values()].filter((target) => this.#isDown(target) || target.usedAt >= since);
  }

  /** Those first that are down, then those called last. */
  troubledFirst(targets: readonly Target[]): Target[] {
    const rank = (target: Target) => Number(this.#isDown(target));
    return [...targets].sort((a, b) => rank(b) - rank(a) || b.usedAt - a.usedAt);
  }

  #isDown({ local, heldUntil }: Target): boolean {
    return local.breaker.state !== "closed" || heldUntil > this.#port.now();
  }

  /** The targets that this shard may make a probe's call to now. */
  leased(): Target[] {
    const { now } = this.#context;
    const targets = [...this.#leased].map((key) => this.get(key));
    for (const { key, local } of targets)
      if (mayCall(local, this.policy, now) !== "probe") this.#leased.delete(key);
    return targets.filter(({ key }) => this.#leased.has(key));
  }

  /** The targets that changed since this was asked last, so that their Breaker object may have to be told or asked. */
  takeChanged(): Target[] {
    const changed = [...this.#changed].map((key) => this.get(key));
    this.#changed.clear();
    return changed;
  }

  /** The queue's operators are to be told that the target is gone, unless another shard of the queue has told them. */
  noteGone(key: string, task: string): void {
    if (!this.gone.has(key)) this.gone.set(key, task);
    this.#changed.add(key);
  }

  /** The queue's operators were told just now that the target is gone. */
  noteGoneTold(key: string): void {
    this.gone.delete(key);
    this.#byKey.set(key, { ...this.get(key), goneToldAt: this.#port.now() });
  }

  /** Its Breaker object is to be asked about the target now, whatever is known here. */
  noteUnsure(key: string): void {
    this.unsure.add(key);
    this.#changed.add(key);
  }

  /** Rows wait for the target's breaker, or for the end of its hold. */
  noteParked(key: string): void {
    this.#changed.add(key);
  }

  /** The queue is about to have these settings: holds that they do not allow are cut, and their Breaker objects told. */
  cutHolds(tx: Tx, { settings }: QueueConfig): void {
    const { now } = this.#context;
    const mostMs = mostHoldMs(settings.retry);
    for (const key of this.#kept.keys()) this.get(key);
    for (const target of this.#byKey.values()) {
      if (target.heldUntil <= now) continue;
      const cut = withCutHold(target, mostMs, now);
      if (cut === target) continue;
      this.#keep(tx, cut);
      tx.after(() => this.noteUnsure(target.key));
    }
  }

  /** An operator says that the target's hold is over. Until when it would have been; null: it was not held. */
  release(tx: Tx, key: string): number | null {
    const { now } = this.#context;
    const target = this.get(key);
    this.#keep(tx, withoutHolds(target, now));
    return target.heldUntil > now ? target.heldUntil : null;
  }

  /** The queue's settings are others: what follows from them is thought over. */
  noteSettings(): void {
    for (const key of this.#kept.keys()) this.get(key);
    for (const { key, local } of this.#byKey.values())
      if (local.breaker.state !== "closed") this.#changed.add(key);
    this.#port.wakeAll();
  }

  /** A grant was given out, and its flight counted. */
  granted(flight: Flight): void {
    const port = this.#port;
    const key = targetOfLane(flight.lane);
    const isRetry = flight.kind === "attempt" ? flight.retry : null;
    const target = withCall(this.get(key), isRetry, port.callsTo(key), port.capacity(), port.now());
    this.#byKey.set(key, target);
    if (target.calls === KNOWN_AFTER_CALLS && target.local.toldVersion === 0) this.#changed.add(key);
  }

  /** A row's call, or (null) one to the readiness URL, is made under the probe lease. */
  probing(tx: Tx, key: string, id: string | null): void {
    const target = this.get(key);
    const begun = { ...target, local: beginProbe(target.local), probing: id };
    const onDisk = writeKept(this.#port.sql, begun, this.#port.now());
    tx.after(() => {
      this.#byKey.set(key, { ...this.get(key), local: begun.local, probing: id, onDisk });
      this.#leased.delete(key);
    });
  }

  /** A call has ended: counts it, and writes what must outlive memory. True where other calls may go now than before. */
  ended(tx: Tx, call: TargetCall): boolean {
    const { key, outcome, startedAt, timeoutMs, queueTimeoutMs } = call;
    const { now, policy } = this.#context;
    const before = this.get(key);
    const floorMs = this.floorMsOf(key);
    const effect = effectOf(outcome, { timeoutMs, queueTimeoutMs, floorMs }, policy.slowFraction);
    let target = withResult(before, { outcome, startedAt, effect }, this.#port.capacity(), now);
    if (effect !== null) target = withRampStep(target, effect.ok);
    target = withAskedHold(target, call, this.#mostHoldMs, now);
    const probe = call.flight?.probe ?? null;
    const step =
      probe === null
        ? countCall(target.local, effect, startedAt, this.#context)
        : probeEnded(target.local, probe, effect, this.#context);
    const probing = probe === null ? target.probing : null;
    this.#store(tx, { ...target, local: step.local, probing }, step);
    tx.after(() => {
      if (probe !== null) this.probed.set(key, { lease: probe, ok: effect?.ok ?? null });
      if (probe !== null || (effect !== null && (!effect.ok || effect.slow))) this.#changed.add(key);
    });
    return step.moved || target.heldUntil !== before.heldUntil;
  }

  /** A probe has ended that was no row's call; `ok` null: it was not made, or says nothing, and its lease goes back. */
  probeEnded(tx: Tx, key: string, lease: number, ok: boolean | null): void {
    const target = this.get(key);
    const effect: CallEffect | null = ok === null ? null : { ok, slow: false, reach: "answered" };
    const step = probeEnded(target.local, lease, effect, this.#context);
    this.#store(tx, { ...target, local: step.local, probing: null }, step);
    tx.after(() => {
      this.probed.set(key, { lease, ok });
      this.#changed.add(key);
    });
  }

  /** The Breaker object tells what holds, without being asked. */
  told(tx: Tx, key: string, news: BreakerNews): void {
    const target = this.#held(this.get(key), news);
    const step = adopt(target.local, breakerOf(news), "push", this.#context);
    this.#store(tx, { ...target, local: step.local }, step);
    tx.after(() => this.#changed.add(key));
  }

  /** The Breaker object answers a question that was asked while `asked` was all that was known here. */
  answered(tx: Tx, news: BreakerNews, message: BreakerSync, asked: Target): void {
    const { key } = asked;
    const { probed, report } = message;
    const target = withHoldTold(this.#held(this.get(key), news), message);
    const local = report === null ? target.local : reportTaken(target.local, report);
    // It does not know yet why this shard has gone another way meanwhile, and is asked again at once.
    const step = hasMovedAlone(local, asked.local)
      ? { local, moved: false, ramp: false }
      : adopt(local, breakerOf(news), "answer", this.#context);
    this.#store(tx, { ...target, local: step.local }, step);
    tx.after(() => {
      if (probed !== null && this.probed.get(key)?.lease === probed.lease) this.probed.delete(key);
      this.#changed.add(key);
    });
  }

  /** The Breaker object cannot be reached: the shard goes on alone, and would give itself a probe for so long. */
  alone(tx: Tx, key: string, leaseMs: number): void {
    const target = this.get(key);
    const step = goAlone(target.local, leaseMs, this.#context);
    this.#store(tx, { ...target, local: step.local }, step);
    tx.after(() => this.#changed.add(key));
  }

  /** What a retry's wait may depend on: the target's load, and how many tasks wait for it. */
  situation(key: string): { loadFactor: number; stretch: Target["stretch"] } {
    const { now } = this.#context;
    const target = this.get(key);
    const loadFactor = loadOf(target, now);
    if (!isStretchDue(target.stretch, now)) return { loadFactor, stretch: target.stretch };
    const waiting = this.#port.waitingIn([key, retryLane(key)], 101) * this.#port.queue().shards;
    const stretch = stretchAt(target.stretch, waiting, now);
    this.#byKey.set(key, { ...target, stretch });
    return { loadFactor, stretch };
  }

  #held(target: Target, news: BreakerNews): Target {
    return withToldHold(target, news, this.#mostHoldMs, this.#port.now());
  }

  get #mostHoldMs(): number {
    return mostHoldMs(this.#port.queue().settings.retry);
  }

  get #context(): LocalContext {
    return { now: this.#port.now(), policy: this.policy, random: this.#port.random };
  }

  /** Writes what a step made of a target, where it must outlive memory, and lets its lanes have their turns. */
  #store(tx: Tx, stepped: Target, { moved, ramp }: LocalStep): void {
    const port = this.#port;
    const held = stepped.heldUntil !== this.get(stepped.key).heldUntil;
    const probing = stepped.local.breaker.state === "half_open" ? stepped.probing : null;
    const target = { ...stepped, probing };
    const onDisk = moved || held ? writeKept(port.sql, target, port.now()) : target.onDisk;
    const stored = ramp ? withRamp(target, port.queue().settings, port.capacity()) : target;
    tx.after(() => {
      // What is noted beside may have been noted since.
      const { stretch, goneToldAt } = this.get(target.key);
      this.#byKey.set(target.key, { ...stored, onDisk, stretch, goneToldAt });
      if (!moved && !held) return;
      if (mayCall(target.local, this.policy, port.now()) === "probe") this.#leased.add(target.key);
      port.wake(target.key);
    });
  }

  /** As `#store`, where its breaker is as it was. */
  #keep(tx: Tx, target: Target): void {
    this.#store(tx, target, { local: target.local, moved: false, ramp: false });
  }

  #forget(): void {
    const { now } = this.#context;
    const idle = [...this.#byKey.values()]
      .filter(({ local, heldUntil }) => local.breaker.state === "closed" && heldUntil <= now)
      .filter(({ key }) => !this.#changed.has(key) && !this.probed.has(key))
      .sort((a, b) => a.usedAt - b.usedAt);
    for (const { key } of idle.slice(0, FORGET_AT_ONCE)) this.#byKey.delete(key);
    this.#mostKnown = Math.max(MAX_KNOWN, this.#byKey.size + FORGET_AT_ONCE);
  }
}

/** The shard has changed the target's state by itself since, and was not told another one. */
function hasMovedAlone(now: LocalBreaker, before: LocalBreaker): boolean {
  return now.toldVersion === before.toldVersion && now.breaker.version !== before.breaker.version;
}
