import type { CallEffect } from "../../core/breaker/call-effect.ts";
import {
  adopt,
  beginProbe,
  countCalls,
  type EndedAt,
  goAlone,
  type LocalBreaker,
  type LocalContext,
  type LocalStep,
  mayCall,
  probeEnded,
  reportTaken,
} from "../../core/breaker/local-breaker.ts";
import { retryLane, targetOfLane } from "../../core/task/lane.ts";
import type { BreakerNews, BreakerSync } from "../../protocol/breaker-api.ts";
import type { Flight } from "../storage/flights.ts";
import type { Tx } from "../storage/group-commit.ts";
import { type KeptTarget, NOTHING_KEPT, type SplitPath } from "../storage/target-rows.ts";
import { TalkNews } from "./talk-news.ts";
import {
  breakerOf,
  loadOf,
  newTarget,
  type Target,
  type TargetCall,
  withCall,
  withCutHold,
  withEnd,
  withHoldTold,
  withoutHolds,
  withRamp,
  withSeen,
  withStretch,
  withToldHold,
} from "./target.ts";
import type { TargetTerms } from "./target-terms.ts";

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
  readonly terms: TargetTerms;
  now(): number;
  random(): number;
  /** What is on disk, of all that have a row; read once. */
  readKept(): Map<string, KeptTarget>;
  /** Writes what must outlive memory. True if there is a row now. */
  writeKept(target: Target): boolean;
  /** How many grants may be in flight in this shard. */
  capacity(): number;
  /** Calls to a target that are in flight. */
  callsTo(key: string): number;
  /** How many rows wait in these lanes, counted up to `limit`. */
  waitingIn(lanes: readonly string[], limit: number): number;
  /** Writes a line to the log, after the commit. */
  log(event: string, fields: Record<string, unknown>): void;
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
  readonly news: TalkNews;
  /** Targets whose half-open breaker lets this shard make a call that it has not made yet. */
  readonly #leased: Set<string>;
  /** Origins that paths are split off from. */
  readonly #split: Set<string>;
  readonly #source: string;
  #mostKnown = MAX_KNOWN;

  constructor(port: TargetsPort) {
    this.#port = port;
    this.#source = `${port.name}@${port.now()}`;
    this.#kept = port.readKept();
    const down = [...this.#kept].filter(([, { breaker }]) => breaker !== null).map(([key]) => key);
    // What holds a target may have been released meanwhile.
    this.news = new TalkNews(this.#kept.keys());
    this.#leased = new Set(down);
    this.#split = new Set([...this.#kept].filter(([, { splits }]) => splits.length > 0).map(([key]) => key));
  }

  get terms(): TargetTerms {
    return this.#port.terms;
  }

  get policy(): TargetTerms["policy"] {
    return this.#port.terms.policy;
  }

  get(key: string): Target {
    const known = this.#byKey.get(key);
    if (known !== undefined) return known;
    const { name, terms } = this.#port;
    const kept = newTarget(key, name, this.#source, terms.queue.shards, this.#kept.get(key) ?? NOTHING_KEPT);
    const target = withCutHold(kept, terms.mostHoldMs, this.#port.now());
    this.#kept.delete(key);
    this.#byKey.set(key, target);
    if (this.#byKey.size > this.#mostKnown) this.#forget();
    return target;
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

  /** The targets that are down (not closed, or held) and, but for `down`, those called lately and the paths split off. */
  recent(down: boolean): Target[] {
    const since = down ? Number.POSITIVE_INFINITY : this.#port.now() - RECENT_MS;
    for (const key of this.#kept.keys()) this.get(key);
    const parts = new Set(this.withSplits().flatMap(({ splits }) => splits.map(({ key }) => key)));
    for (const key of parts) this.get(key);
    const isListed = (target: Target) => target.usedAt >= since || (!down && parts.has(target.key));
    return [...this.#byKey.values()].filter((target) => this.#isDown(target) || isListed(target));
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
    return this.news.takeChanged((key) => this.get(key));
  }

  /** The queue's operators were told just now that the target is gone. */
  noteGoneTold(key: string): void {
    this.news.goneTold(key);
    this.#byKey.set(key, { ...this.get(key), goneToldAt: this.#port.now() });
  }

  /** The queue is about to let a target hold it for `mostMs`: longer holds are cut, and their Breaker objects told. */
  cutHolds(tx: Tx, mostMs: number): void {
    const { now } = this.#context;
    for (const key of this.#kept.keys()) this.get(key);
    for (const target of this.#byKey.values()) {
      if (target.heldUntil <= now) continue;
      const cut = withCutHold(target, mostMs, now);
      if (cut === target) continue;
      this.#keep(tx, cut);
      tx.after(() => this.news.noteUnsure(target.key));
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
      if (local.breaker.state !== "closed") this.news.noteChanged(key);
    this.#port.wakeAll();
  }

  /** A grant was given out, and its flight counted. */
  granted(flight: Flight): void {
    const port = this.#port;
    const key = targetOfLane(flight.lane);
    const isRetry = flight.kind === "attempt" ? flight.retry : null;
    const target = withCall(this.get(key), isRetry, port.callsTo(key), port.capacity(), port.now());
    this.#byKey.set(key, target);
    if (target.calls === KNOWN_AFTER_CALLS && target.local.toldVersion === 0) this.news.noteChanged(key);
  }

  /** A row's call, or (null) one to the readiness URL, is made under the probe lease. */
  probing(tx: Tx, key: string, id: string | null): void {
    const target = this.get(key);
    const begun = { ...target, local: beginProbe(target.local), probing: id };
    const onDisk = this.#port.writeKept(begun);
    tx.after(() => {
      this.#byKey.set(key, { ...this.get(key), local: begun.local, probing: id, onDisk });
      this.#leased.delete(key);
    });
  }

  /** A call has ended: counts it, and writes what must outlive memory. True where other calls may go now than before. */
  ended(tx: Tx, call: TargetCall): boolean {
    const { key } = call;
    const { terms } = this.#port;
    const before = this.get(key);
    const ended = withEnd(before, call, {
      ...this.#context,
      floorMs: terms.floorMsOf(key),
      mostHoldMs: terms.mostHoldMs,
      cap: this.#port.capacity(),
    });
    const { target, step, effect, isKeptBack, split } = ended;
    const probe = call.flight?.probe ?? null;
    this.#store(tx, target, step);
    if (split !== null) this.#begin(tx, split.path, split.calls);
    tx.after(() => {
      if (probe !== null) this.news.noteProbed(key, { lease: probe, ok: effect?.ok ?? null });
      if (effect !== null && (!effect.ok || effect.slow)) this.news.noteChanged(key);
      // What is kept back is in no report; what other shards have seen may settle it.
      if (isKeptBack) this.news.noteUnsure(key);
    });
    return step.moved || target.heldUntil !== before.heldUntil;
  }

  /** A path has been split off its origin, with what its breaker counts from the start. */
  #begin(tx: Tx, { key, path, reason }: SplitPath, calls: readonly EndedAt[]): void {
    const { now } = this.#context;
    const before = this.get(key);
    const step = countCalls(before.local, calls, this.#context);
    this.#store(tx, { ...before, local: step.local, usedAt: now, failedAt: now }, step);
    // Other shards may have found it down already.
    tx.after(() => {
      this.#port.log("path.split", { target: key, path, reason });
      this.news.noteUnsure(key);
    });
  }

  /** These paths go by their origin again. */
  merge(tx: Tx, key: string, paths: readonly SplitPath[]): void {
    const target = this.get(key);
    this.#keep(tx, { ...target, splits: target.splits.filter((split) => !paths.includes(split)) });
    tx.after(() => {
      for (const { key: target, path } of paths) this.#port.log("path.merged", { target, path });
    });
  }

  /** The paths that are split off a target; of one that nothing is known of, none. */
  splitsOf(key: string): readonly SplitPath[] {
    return (this.#byKey.get(key) ?? this.#kept.get(key))?.splits ?? [];
  }

  /** The origins that paths are split off from. */
  withSplits(): Target[] {
    return [...this.#split].map((key) => this.get(key));
  }

  /** A probe has ended that was no row's call; `ok` null: it was not made, or says nothing, and its lease goes back. */
  probeEnded(tx: Tx, key: string, lease: number, ok: boolean | null): void {
    const target = this.get(key);
    const effect: CallEffect | null = ok === null ? null : { ok, slow: false, reach: "answered" };
    const step = probeEnded(target.local, lease, effect, this.#context);
    this.#store(tx, { ...target, local: step.local, probing: null }, step);
    tx.after(() => {
      this.news.noteProbed(key, { lease, ok });
    });
  }

  /** The Breaker object tells what holds, without being asked. */
  told(tx: Tx, key: string, news: BreakerNews): void {
    const target = this.#held(this.get(key), news);
    const step = adopt(target.local, breakerOf(news), "push", this.#context);
    this.#store(tx, { ...target, local: step.local }, step);
    tx.after(() => this.news.noteChanged(key));
  }

  /** The Breaker object answers a question that was asked while `asked` was all that was known here. */
  answered(tx: Tx, news: BreakerNews, message: BreakerSync, asked: Target): void {
    const { key } = asked;
    const { probed, report } = message;
    const target = withSeen(withHoldTold(this.#held(this.get(key), news), message), news);
    const local = report === null ? target.local : reportTaken(target.local, report);
    // It does not know yet why this shard has gone another way meanwhile, and is asked again at once.
    const step = hasMovedAlone(local, asked.local)
      ? { local, moved: false, ramp: false }
      : adopt(local, breakerOf(news), "answer", this.#context);
    this.#store(tx, { ...target, local: step.local }, step);
    tx.after(() => {
      if (probed !== null) this.news.probedTold(key, probed.lease);
      this.news.noteChanged(key);
    });
  }

  /** The Breaker object cannot be reached: the shard goes on alone, and would give itself a probe for so long. */
  alone(tx: Tx, key: string, leaseMs: number): void {
    const target = this.get(key);
    const step = goAlone(target.local, leaseMs, this.#context);
    this.#store(tx, { ...target, local: step.local }, step);
    tx.after(() => this.news.noteChanged(key));
  }

  /** What a retry's wait may depend on: the target's load, and how many tasks wait for it. */
  situation(key: string): { loadFactor: number; stretch: Target["stretch"] } {
    const { terms, waitingIn } = this.#port;
    const waiting = () => waitingIn([key, retryLane(key)], 101) * terms.queue.shards;
    const target = withStretch(this.get(key), waiting, this.#port.now());
    this.#byKey.set(key, target);
    return { loadFactor: loadOf(target, this.#port.now()), stretch: target.stretch };
  }

  #held(target: Target, news: BreakerNews): Target {
    return withToldHold(target, news, this.#port.terms.mostHoldMs, this.#port.now());
  }

  get #context(): LocalContext {
    return { now: this.#port.now(), policy: this.policy, random: this.#port.random };
  }

  /** Writes what a step made of a target, where it must outlive memory, and lets its lanes have their turns. */
  #store(tx: Tx, stepped: Target, { moved, ramp }: LocalStep): void {
    const port = this.#port;
    const before = this.get(stepped.key);
    const held = stepped.heldUntil !== before.heldUntil;
    const split = stepped.splits !== before.splits;
    const probing = stepped.local.breaker.state === "half_open" ? stepped.probing : null;
    const target = { ...stepped, probing };
    const onDisk = moved || held || split ? port.writeKept(target) : target.onDisk;
    const stored = ramp ? withRamp(target, port.terms.queue.settings, port.capacity()) : target;
    tx.after(() => {
      // What is noted beside may have been noted since.
      const { stretch, goneToldAt } = this.get(target.key);
      this.#byKey.set(target.key, { ...stored, onDisk, stretch, goneToldAt });
      if (split) this.#noteSplits(target);
      if (!moved && !held) return;
      if (mayCall(target.local, this.policy, port.now()) === "probe") this.#leased.add(target.key);
      port.wake(target.key);
    });
  }

  /** As `#store`, where its breaker is as it was. */
  #keep(tx: Tx, target: Target): void {
    this.#store(tx, target, { local: target.local, moved: false, ramp: false });
  }

  #noteSplits({ key, splits }: Target): void {
    if (splits.length > 0) this.#split.add(key);
    else this.#split.delete(key);
  }

  #forget(): void {
    const { now } = this.#context;
    const idle = [...this.#byKey.values()]
      .filter(({ local, heldUntil }) => local.breaker.state === "closed" && heldUntil <= now)
      .filter(({ key }) => this.news.isIdle(key) && !this.#split.has(key))
      .sort((a, b) => a.usedAt - b.usedAt);
    for (const { key } of idle.slice(0, FORGET_AT_ONCE)) this.#byKey.delete(key);
    this.#mostKnown = Math.max(MAX_KNOWN, this.#byKey.size + FORGET_AT_ONCE);
  }
}

/** The shard has changed the target's state by itself since, and was not told another one. */
function hasMovedAlone(now: LocalBreaker, before: LocalBreaker): boolean {
  return now.toldVersion === before.toldVersion && now.breaker.version !== before.breaker.version;
}
