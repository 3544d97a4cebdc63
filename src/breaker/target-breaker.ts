import {
  type Breaker,
  type BreakerAudit,
  type BreakerStep,
  isolate,
  leaseProbe,
  newBreaker,
  nextChangeAt,
  onCounts,
  onTime,
  reset,
  settleProbe,
} from "../core/breaker.ts";
import { type BreakerCounts, dropOld, mergeReport } from "../core/breaker-counts.ts";
import { type BreakerPolicy, breakerPolicy, DEFAULT_BREAKER_POLICY } from "../core/breaker-policy.ts";
import type { BreakerShardPort, BreakerSync } from "../core/messages.ts";
import type { SqlPort } from "../core/sql-port.ts";
import type { BreakerView } from "../schema/breaker.ts";
import { MINUTE_MS, SECOND_MS } from "../schema/limits.ts";
import { BreakerRows } from "./breaker-rows.ts";
import { breakerView } from "./breaker-view.ts";
import { BreakerShards } from "./shards.ts";
import { tellShards } from "./tell-shards.ts";

/** While the breaker stays closed, its counts are written at most this often. */
const COUNTS_EVERY_MS = 5 * SECOND_MS;
/** The same operation by the same key within this time is a repeat of it, whose answer was lost. */
const REPEAT_MS = MINUTE_MS;
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

interface Memory {
  key: string;
  breaker: Breaker;
  counts: BreakerCounts;
  /** The counts that are on disk, and when they were written, as far as is known; null: nothing is on disk yet. */
  written: { counts: BreakerCounts; at: number } | null;
  shards: BreakerShards;
}

/** One event on its way through the breaker: what it changes in memory, and who is to be told of it. */
interface Turn extends Memory {
  now: number;
  changed: boolean;
  audits: BreakerAudit[];
  /** Every shard is to be told. */
  push: boolean;
  /** The shard that has been given a probe and does not know it yet; null: none. */
  prober: string | null;
}

/**
 * The breaker of one target key, for all shards that call it: takes in what they tell, decides by the pure functions
 * of core/breaker, writes what has changed, and pushes it. Rows are the truth and memory is a cache, but for the
 * counts: while the breaker stays closed they are written every 5 s at most, so an object that loses its memory
 * forgets the calls of the last seconds, and opens that much later. What operators are told (`announce`) goes to one
 * shard of each queue, and to its next where that one is not there; an object that is stopped just then may lose it.
 */
export class TargetBreaker {
  readonly #ports: TargetBreakerPorts;
  readonly #rows: BreakerRows;
  #memory: Memory | null = null;
  /** When the alarm is armed for, as far as is known; null: not known, or not armed. */
  #armedAt: number | null = null;

  constructor(ports: TargetBreakerPorts) {
    this.#ports = ports;
    this.#rows = new BreakerRows(ports.sql);
  }

  /** Takes in what a shard tells; answers with the state that holds now, the shard's probe lease in it. */
  sync(message: BreakerSync): Breaker {
    const { key, shard, report, probed } = message;
    let isNewQueue = false;
    const policy = breakerPolicy(message.settings);
    const turn = this.#take(key, shard, (turn) => {
      const { now, shards } = turn;
      const { random } = this.#ports;
      isNewQueue = !shards.all().some(({ queueRef }) => queueRef === message.queueRef);
      shards.heard(message);
      if (probed !== null)
        follow(turn, settleProbe(turn.breaker, probed.lease, probed.ok, policy, now, random));
      if (report === null) return;
      turn.counts = dropOld(mergeReport(turn.counts, report), now - shards.windowMs);
      follow(turn, onCounts(turn.breaker, turn.counts, policy, now, random));
    });
    if (isNewQueue) this.#announceLate(turn, shard);
    return turn.breaker;
  }

  /** A queue that meets an outage that others have found hears of it too: its operators were told of nothing yet. */
  #announceLate({ key, breaker, audits }: Turn, shard: string): void {
    const isOutage = breaker.state === "open" || breaker.state === "half_open";
    if (!isOutage || audits.some(isForOperators)) return;
    const opened = this.#rows.audit().find(isForOperators);
    if (opened === undefined) return;
    const telling = this.#ports.shard(shard).breakerChanged(key, breaker, opened);
    // The shard has its answer already; should this be lost, nothing but the message is.
    this.#ports.keepAlive(telling.catch(() => undefined));
  }

  /** An open breaker is half open from its `until` on, a probe that lapsed goes to another. Harmless at any time. */
  alarm(): void {
    this.#armedAt = null;
    this.#memory ??= this.#stored();
    if (this.#memory !== null) this.#take(this.#memory.key, null, () => undefined);
  }

  /** Holds the target until a reset. The same again within a minute is a repeat, and changes nothing. */
  isolate(key: string, reason: string, by: string): BreakerView {
    return this.#operate(key, by, reason, "isolated", isolate);
  }

  /** Closes the breaker; load comes back step by step. Repeats as with `isolate`. */
  reset(key: string, reason: string, by: string): BreakerView {
    return this.#operate(key, by, reason, "closed", reset);
  }

  /** Null: nobody has ever told it anything. */
  view(): BreakerView | null {
    this.#memory ??= this.#stored();
    return this.#memory && this.#viewOf(this.#memory);
  }

  #operate(
    key: string,
    by: string,
    reason: string,
    to: Breaker["state"],
    operation: typeof isolate,
  ): BreakerView {
    const turn = this.#take(key, null, (turn) => {
      if (!this.#isRepeat(turn, to, reason, by)) follow(turn, operation(turn.breaker, reason, by, turn.now));
    });
    return this.#viewOf(turn);
  }

  /** Runs one event: all it writes, or nothing. `asking`: the shard that gets the answer. */
  #take(key: string, asking: string | null, event: (turn: Turn) => void): Turn {
    try {
      const turn = this.#ports.transaction(() => this.#run(key, asking, event));
      const { breaker, counts, written, shards } = turn;
      this.#memory = { key, breaker, counts, written, shards };
      this.#arm(turn);
      this.#tell(turn, asking);
      return turn;
    } catch (error) {
      // Memory may be ahead of the rows that were rolled back.
      this.#memory = null;
      throw error;
    }
  }

  #run(key: string, asking: string | null, event: (turn: Turn) => void): Turn {
    const now = this.#ports.now();
    const known = this.#memory ?? this.#stored() ?? this.#fresh(key, now);
    const turn: Turn = { ...known, now, changed: false, audits: [], push: false, prober: null };
    const before = turn.breaker;
    event(turn);
    follow(turn, onTime(turn.breaker, now));
    giveProbe(turn, before, asking);
    if (turn.breaker.state === "closed") turn.shards.unpark();
    this.#write(turn);
    return turn;
  }

  #fresh(key: string, now: number): Memory {
    const shards = new BreakerShards(this.#rows);
    return { key, breaker: newBreaker(now), counts: new Map(), written: null, shards };
  }

  /** Null: nobody has ever told this breaker anything. */
  #stored(): Memory | null {
    const row = this.#rows.read();
    if (row === null) return null;
    return { ...row, written: { counts: row.counts, at: 0 }, shards: new BreakerShards(this.#rows) };
  }

  #write(turn: Turn): void {
    const { key, breaker, counts, written, now } = turn;
    const isNew = written === null;
    const countsAreDue = !isNew && counts !== written.counts && now - written.at >= COUNTS_EVERY_MS;
    if (turn.changed || isNew || countsAreDue) {
      this.#rows.write({ key, breaker, counts });
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
    const { key, breaker, audits, push, prober, shards } = turn;
    for (const { at: _, ...change } of audits) this.#ports.log({ event: "breaker.changed", key, ...change });
    const everyone = shards.all();
    const told = push ? everyone : everyone.filter(({ shard }) => shard === prober && shard !== asking);
    if (told.length === 0) return;
    const announce = audits.findLast(isForOperators) ?? null;
    const send = (shard: string, isAnnouncer: boolean) =>
      this.#push(shard, key, breaker, isAnnouncer ? announce : null);
    this.#ports.keepAlive(tellShards(told, announce !== null, send));
  }

  /** Tells one shard; false: it could not be told. */
  async #push(shard: string, key: string, breaker: Breaker, announce: BreakerAudit | null): Promise<boolean> {
    try {
      await this.#ports.shard(shard).breakerChanged(key, breaker, announce);
    } catch (error) {
      this.#notTold(shard, key, breaker, error);
      return false;
    }
    if (this.#memory?.shards.hasFailed(shard) !== false)
      this.#take(key, null, (turn) => turn.shards.told(shard, true));
    return true;
  }

  /** A probe that its shard could not be told of goes to another at once. */
  #notTold(shard: string, key: string, told: Breaker, error: unknown): void {
    const lease = told.state === "half_open" && told.probe?.shard === shard ? told.probe.lease : null;
    this.#take(key, null, (turn) => {
      const dropped = turn.shards.told(shard, false);
      if (dropped) this.#ports.log({ event: "breaker.shard_dropped", key, shard, error: String(error) });
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

  #viewOf({ key, breaker, counts, shards }: Memory): BreakerView {
    const parts = { key, breaker, counts, windowMs: shards.windowMs, shards: shards.all() };
    return breakerView({ ...parts, audit: this.#rows.audit(), now: this.#ports.now() });
  }
}

function follow(turn: Turn, { breaker, changes }: BreakerStep): void {
  turn.breaker = breaker;
  if (changes === null) return;
  turn.changed = true;
  if (changes.audit !== null) turn.audits.push(changes.audit);
  if (changes.push) turn.push = true;
}

/**
 * Leases the probe of a half-open breaker, where nobody has it, to the shard that should make it. One that let its
 * lease lapse, and is not asking just now, is taken for gone until it asks again. Where a probe has ended and no shard
 * is known that would make the next, all are told: those that wait for this breaker then ask.
 */
function giveProbe(turn: Turn, before: Breaker, asking: string | null): void {
  const { breaker, shards, now } = turn;
  if (breaker.state !== "half_open") return;
  const held = breaker.probe;
  if (held !== null && held.until > now) return;
  if (held !== null && held.shard !== asking) shards.unpark(held.shard);
  const chosen = shards.chooseProber();
  if (chosen === null) {
    if (held === null && breaker.version !== before.version) turn.push = true;
    return;
  }
  shards.probed(chosen.shard, now);
  follow(turn, leaseProbe(breaker, chosen.shard, now, chosen.leaseMs));
  turn.prober = chosen.shard;
}

/** Operators hear that a target went down, and that it is up again; not of every probe in between. */
function isForOperators({ from, to }: BreakerAudit): boolean {
  return (from === "closed" && to === "open") || (from !== "closed" && to === "closed");
}
