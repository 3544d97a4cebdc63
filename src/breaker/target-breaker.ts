import {
  type Breaker,
  type BreakerAudit,
  type BreakerStep,
  isDown,
  isolate,
  nextChangeAt,
  onCounts,
  onOthersDown,
  onOthersUp,
  onTime,
  reset,
  settleProbe,
} from "../core/breaker/breaker.ts";
import { dropOld, mergeReport } from "../core/breaker/counts.ts";
import { allSeen, isOnePath, mergeTold, type PathsTold } from "../core/breaker/path-watch.ts";
import { type BreakerPolicy, breakerPolicy, DEFAULT_BREAKER_POLICY } from "../core/breaker/policy.ts";
import { loggedError } from "../core/text/logged-error.ts";
import type { SqlPort } from "../platform/sql-port.ts";
import type {
  BreakerNews,
  BreakerShardPort,
  BreakerSync,
  KnownHold,
  ToldBreaker,
} from "../protocol/breaker-api.ts";
import { HOUR_MS, MINUTE_MS, SECOND_MS } from "../schema/limits.ts";
import { BreakerRows } from "./breaker-rows.ts";
import { breakerView } from "./breaker-view.ts";
import { holdNews, knownHolds, NO_HOLDS, noteHold, releaseHolds } from "./holds.ts";
import { BreakerShards } from "./shards.ts";
import { type ToldShard, tellShards } from "./tell-shards.ts";
import { follow, giveProbe, type Memory, type Turn, toldOf } from "./turn.ts";

/** While the breaker stays closed, its counts are written at most this often. */
const COUNTS_EVERY_MS = 5 * SECOND_MS;
/** The same operation by the same key within this time is a repeat of it, whose answer was lost. */
const REPEAT_MS = MINUTE_MS;
/** A queue's operators are told that the target is gone once in so long. */
const TELL_GONE_EVERY_MS = HOUR_MS;
/** An alarm may be late by as much as a minute at a failover; one that is later than this is armed again. */
const LOST_ALARM_MS = 2 * MINUTE_MS;
/** Takes a lease back without counting anything. */
const TAKE_BACK: BreakerPolicy = { ...DEFAULT_BREAKER_POLICY, halfOpenSuccesses: Number.POSITIVE_INFINITY };

/** What a target's breaker needs of its object and of the world. */
export interface TargetBreakerPorts {
  sql: SqlPort;
  /** Rolls back what `run` wrote where it throws. */
  transaction<T>(run: () => T): T;
  now(): number;
  random(): number;
  setAlarm(at: number): void;
  keepAlive(promise: Promise<unknown>): void;
  /** A new stub for each call. */
  shard(name: string): Pick<BreakerShardPort, "breakerChanged">;
  log(line: Record<string, unknown>): void;
}

/** Which part of a target's breaker it is. */
export interface PartOf {
  key: string;
  part: number;
  /** What it begins with, where nothing is written of it. */
  fresh(now: number): { breaker: Breaker; holdsEndedAt: number };
}

/**
 * A part of the breaker of one target key, for all shards that go by it: takes in what they tell, decides by the pure functions
 * of core/breaker, writes what has changed, and pushes it. Rows are the truth and memory is a cache, but for the
 * counts: while the breaker stays closed they are written every 5 s at most, so an object that loses its memory
 * forgets the calls of the last seconds, and opens that much later. What operators are told (`announce`) goes to one
 * shard of each queue, and to its next where that one is not there; an object that is stopped just then may lose it.
 */
export class TargetBreaker {
  readonly #ports: TargetBreakerPorts;
  readonly #partOf: PartOf;
  readonly #rows: BreakerRows;
  #memory: Memory | null = null;
  /** What shards tell of the paths of their target that fail: worth no row. */
  readonly #paths = new Map<string, PathsTold>();
  /** When the alarm is armed for, as far as is known; null: not known, or not armed. */
  #armedAt: number | null = null;

  constructor(ports: TargetBreakerPorts, partOf: PartOf) {
    this.#ports = ports;
    this.#partOf = partOf;
    this.#rows = new BreakerRows(ports.sql, partOf.part);
  }

  /** Takes in what a shard tells; answers with the state that holds now, the shard's probe lease in it. */
  sync(message: BreakerSync, othersAreDown: boolean): BreakerNews {
    const { shard, queueRef, report, probed } = message;
    let isNewQueue = false;
    let tellGone = {};
    const policy = breakerPolicy(message.settings);
    const turn = this.#take(shard, (turn) => {
      const { now, shards } = turn;
      const { random } = this.#ports;
      isNewQueue = !shards.all().some((known) => known.queueRef === queueRef);
      shards.heard(message);
      this.#hold(turn, message);
      if (message.gone === true) tellGone = { tellGone: this.#mayTellGone(queueRef, now) };
      if (probed !== null)
        follow(turn, settleProbe(turn.breaker, probed.lease, probed.ok, policy, now, random));
      this.#hearPaths(message, now - shards.windowMs);
      if (report === null) return;
      turn.counts = dropOld(mergeReport(turn.counts, report), now - shards.windowMs);
      if (isOnePath(this.#told)) return;
      follow(turn, onCounts(turn.breaker, turn.counts, policy, now, random));
      if (othersAreDown) follow(turn, onOthersDown(turn.breaker, turn.counts, policy, now));
    });
    if (isNewQueue) this.#announceLate(turn, message);
    return { ...newsFor(turn, queueRef), ...tellGone, ...(message.paths && { seen: allSeen(this.#told) }) };
  }

  get #told(): PathsTold[] {
    return [...this.#paths.values()];
  }

  /** Takes in what a shard tells of paths; one that says nothing of them any more has begun anew. */
  #hearPaths({ shard, paths }: BreakerSync, since: number): void {
    const told = paths && mergeTold(this.#paths.get(shard), paths, since);
    if (told === undefined) this.#paths.delete(shard);
    else this.#paths.set(shard, told);
    for (const [other, { failed }] of this.#paths)
      if (failed !== null && failed.to < since) this.#paths.delete(other);
  }

  /** What it knows, as it is now. */
  get state(): Breaker {
    return this.#known().breaker;
  }

  /** The shards that go by it. */
  get shards(): readonly { shard: string; queueRef: number }[] {
    return this.#known().shards.all();
  }

  /** Whether the target is down by what these shards have seen themselves. */
  get isDown(): boolean {
    return isDown(this.state) && this.shards.length > 0;
  }

  /** Other queues have found the target up. */
  othersUp(): void {
    this.#take(null, (turn) => follow(turn, onOthersUp(turn.breaker, turn.now)));
  }

  /** The shard goes by another part from now on. */
  forget(shard: string): void {
    this.#known().shards.forget(shard);
  }

  /** What one shard of a queue was asked for holds for the others. */
  #hold(turn: Turn, message: BreakerSync): void {
    const holds = noteHold(turn.holds, message, turn.now);
    if (holds !== turn.holds) turn.heldQueue = message.queueRef;
    turn.holds = holds;
  }

  /** Whether the shard that asks tells its queue's operators: the first one in an hour does. */
  #mayTellGone(queueRef: number, now: number): boolean {
    this.#rows.forgetGoneTold(now - TELL_GONE_EVERY_MS);
    return this.#rows.addGoneTold(queueRef, now);
  }

  /** A queue that meets an outage that others have found hears of it too: its operators were told of nothing yet. */
  #announceLate(turn: Turn, { shard, queueRef }: BreakerSync): void {
    const { key } = this.#partOf;
    const { breaker, audits } = turn;
    const isOutage = breaker.state === "open" || breaker.state === "half_open";
    if (!isOutage || audits.length > 0) return;
    const opened = this.#rows.audit().find(({ from, to }) => from === "closed" && to === "open");
    if (opened === undefined) return;
    const telling = this.#ports.shard(shard).breakerChanged(key, newsFor(turn, queueRef), opened);
    // The shard has its answer already; should this be lost, nothing but the message is.
    this.#ports.keepAlive(telling.catch(() => undefined));
  }

  /** An open breaker is half open from its `until` on, a probe that lapsed goes to another. Harmless at any time. */
  alarm(): void {
    this.#armedAt = null;
    this.#take(null, () => undefined);
  }

  /** Holds the target until a reset. The same again within a minute is a repeat, and changes nothing. */
  isolate(reason: string, by: string): ToldBreaker {
    return this.#operate(by, reason, "isolated", isolate);
  }

  /**
   * Closes the breaker, and releases the target's holds; load comes back step by step. Repeats as with `isolate`, but
   * what is held by then is released.
   */
  reset(reason: string, by: string): ToldBreaker {
    let releasedHolds: KnownHold[] = [];
    const view = this.#operate(by, reason, "closed", (breaker, why, who, now, turn) => {
      releasedHolds = knownHolds(turn.holds, now);
      turn.holds = releaseHolds(turn.holds, now);
      return withReleased(reset(breaker, why, who, now), releasedHolds.length);
    });
    return { ...view, releasedHolds };
  }

  view(): ToldBreaker {
    return this.#viewOf(this.#known());
  }

  /** When its row says that something happened last; 0: it has none. */
  get changedAt(): number {
    const { breaker, counts, written } = this.#known();
    const buckets = [...counts.values()].flatMap((source) => source.buckets.map(({ start }) => start));
    return written === null ? 0 : Math.max(breaker.version, ...buckets);
  }

  /** Until when its holds have been released; 0: never. */
  get holdsEndedAt(): number {
    return this.#known().holds.endedAt;
  }

  #operate(
    by: string,
    reason: string,
    to: Breaker["state"],
    operation: (...args: [...Parameters<typeof isolate>, turn: Turn]) => BreakerStep,
  ): ToldBreaker {
    const turn = this.#take(null, (turn) => {
      const isHeld = to === "closed" && knownHolds(turn.holds, turn.now).length > 0;
      if (isHeld || !this.#isRepeat(turn, to, reason, by))
        follow(turn, operation(turn.breaker, reason, by, turn.now, turn));
    });
    return this.#viewOf(turn);
  }

  /** Runs one event: all it writes, or nothing. `asking`: the shard that gets the answer. */
  #take(asking: string | null, event: (turn: Turn) => void): Turn {
    try {
      const turn = this.#ports.transaction(() => this.#run(asking, event));
      const { breaker, counts, written, shards, holds } = turn;
      this.#memory = { breaker, counts, written, shards, holds };
      this.#arm(turn);
      this.#tell(turn, asking);
      return turn;
    } catch (error) {
      // Memory may be ahead of the rows that were rolled back.
      this.#memory = null;
      throw error;
    }
  }

  #run(asking: string | null, event: (turn: Turn) => void): Turn {
    const now = this.#ports.now();
    const nobody = { push: false, announce: null, prober: null, heldQueue: null };
    const turn: Turn = { ...this.#known(), now, changed: false, audits: [], ...nobody };
    const before = turn.breaker;
    const { holds } = turn;
    event(turn);
    follow(turn, onTime(turn.breaker, now));
    giveProbe(turn, before, asking);
    if (turn.breaker.state === "closed") turn.shards.unpark();
    this.#write(turn, turn.holds !== holds);
    return turn;
  }

  /** A part that shards are known of is no less there for having no row of its own: nothing happened in it yet. */
  #known(): Memory {
    this.#memory ??= this.#stored();
    return this.#memory;
  }

  #stored(): Memory {
    const row = this.#rows.read();
    const shards = new BreakerShards(this.#rows);
    if (row !== null) return { ...row, written: { counts: row.counts, at: 0 }, shards };
    const { breaker, holdsEndedAt } = this.#partOf.fresh(this.#ports.now());
    const holds = { ...NO_HOLDS, endedAt: holdsEndedAt };
    return { breaker, counts: new Map(), written: null, shards, holds };
  }

  #write(turn: Turn, holdsAreNews: boolean): void {
    const { breaker, counts, holds, written, now } = turn;
    const countsAreNews = written === null ? counts.size > 0 : counts !== written.counts;
    const countsAreDue = countsAreNews && now - (written?.at ?? 0) >= COUNTS_EVERY_MS;
    if (turn.changed || holdsAreNews || countsAreDue) {
      this.#rows.write(this.#partOf.key, { breaker, counts, holds });
      turn.written = { counts, at: now };
    }
    for (const audit of turn.audits) this.#rows.addAudit(audit);
  }

  /** Never for now or before: set for the running alarm's own millisecond it is lost (workerd#6866). */
  #arm({ breaker, now }: Turn): void {
    const next = nextChangeAt(breaker);
    // A probe that lapsed and that nobody else would make waits for a shard to ask.
    if (next === null || next <= now) return;
    const armedAt = this.#armedAt ?? Number.POSITIVE_INFINITY;
    if (armedAt <= next && armedAt > now - LOST_ALARM_MS) return;
    this.#ports.setAlarm(Math.max(next, now + 1));
    this.#armedAt = next;
  }

  #tell(turn: Turn, asking: string | null): void {
    const { key } = this.#partOf;
    const { announce, audits } = turn;
    for (const { at: _, ...change } of audits) this.#ports.log({ event: "breaker.changed", key, ...change });
    const told = toldOf(turn, asking);
    if (told.length === 0) return;
    const send = async ({ shard, queueRef }: ToldShard, isAnnouncer: boolean) => {
      const news = newsFor(turn, queueRef);
      const isState = turn.push || turn.prober === shard;
      return this.#push(shard, news, isAnnouncer ? announce : null, isState);
    };
    this.#ports.keepAlive(tellShards(told, announce !== null, send));
  }

  /** Tells one shard; false: it could not be told. A hold that is lost (`isState` false) is found out by a call. */
  async #push(
    shard: string,
    news: BreakerNews,
    announce: BreakerAudit | null,
    isState: boolean,
  ): Promise<boolean> {
    try {
      await this.#ports.shard(shard).breakerChanged(this.#partOf.key, news, announce);
    } catch (error) {
      if (isState) this.#notTold(shard, news, error);
      return false;
    }
    if (this.#memory?.shards.hasFailed(shard) !== false)
      this.#take(null, (turn) => turn.shards.told(shard, true));
    return true;
  }

  /** A probe that its shard could not be told of goes to another at once. */
  #notTold(shard: string, told: Breaker, error: unknown): void {
    const lease = told.state === "half_open" && told.probe?.shard === shard ? told.probe.lease : null;
    this.#take(null, (turn) => {
      const dropped = turn.shards.told(shard, false);
      if (dropped)
        this.#ports.log({
          event: "breaker.shard_dropped",
          key: this.#partOf.key,
          shard,
          error: loggedError(error),
        });
      if (lease === null) return;
      turn.shards.unpark(shard);
      follow(turn, settleProbe(turn.breaker, lease, null, TAKE_BACK, turn.now, this.#ports.random));
    });
  }

  #isRepeat({ breaker, now }: Turn, to: Breaker["state"], reason: string, by: string): boolean {
    const [last] = this.#rows.audit();
    if (last === undefined || last.at !== breaker.since || last.to !== to) return false;
    return last.reason === reason && last.by === by && now - last.at < REPEAT_MS;
  }

  #viewOf({ breaker, counts, shards, holds }: Memory): ToldBreaker {
    const now = this.#ports.now();
    const { key } = this.#partOf;
    const parts = { key, breaker, counts, windowMs: shards.windowMs, shards: shards.all() };
    return {
      ...breakerView({ ...parts, audit: this.#rows.audit(), now }),
      knownHolds: knownHolds(holds, now),
    };
  }
}

/** What a shard of the queue is told. */
function newsFor({ breaker, holds, now }: Turn, queueRef: number): BreakerNews {
  return { ...breaker, ...holdNews(holds, queueRef, now) };
}

/** History says of how many queues a reset released the holds. */
function withReleased({ breaker, changes }: BreakerStep, holds: number): BreakerStep {
  const audit = changes?.audit ?? null;
  if (changes === null || audit === null || holds === 0) return { breaker, changes };
  return { breaker, changes: { ...changes, audit: { ...audit, holdsReleased: holds } } };
}
