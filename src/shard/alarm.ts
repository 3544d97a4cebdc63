import { DAY_MS, MINUTE_MS } from "../schema/limits.ts";
import { moreIsDue } from "./claim/claim.ts";
import { morePollsAreDue } from "./claim/claim-polls.ts";
import { goes, hasDue } from "./state/callable-lanes.ts";
import type { ShardContext } from "./state/context.ts";
import { barIn, HAS_SLOT } from "./state/gate.ts";
import { EXPIRE_EVERY_MS } from "./upkeep/sweep.ts";

const FURTHEST_ALARM_MS = 7 * DAY_MS;
/** An alarm may be late by as much as a minute at a failover; one that is later than this is armed again. */
const LOST_ALARM_MS = 2 * MINUTE_MS;

/** A shard's one alarm: what is remembered of it, so that it is written only where it has to come sooner. */
export class ShardAlarm {
  readonly #ctx: ShardContext;
  readonly #setAlarm: (at: number) => void;
  /** When the alarm is armed for, as far as is known; null: not known, or not armed. */
  #armedAt: number | null = null;

  constructor(ctx: ShardContext, setAlarm: (at: number) => void) {
    this.#ctx = ctx;
    this.#setAlarm = setAlarm;
  }

  /** The alarm has gone off: it is armed no more. */
  wentOff(): void {
    this.#armedAt = null;
    this.#ctx.weights.alarmed();
  }

  /** Arms the alarm for the next thing that can act, unless it is armed early enough. Throws what storage throws. */
  arm(sweepAt: number, syncAt: number | null): void {
    const next = nextWake(this.#ctx, sweepAt, syncAt);
    if (next === null || this.#isArmedBy(next)) return;
    this.armFor(Math.min(next, this.#ctx.now() + FURTHEST_ALARM_MS));
  }

  /** Arms the alarm, never for now or before: set for the running alarm's own millisecond it is lost (workerd#6866). */
  armFor(at: number): void {
    const armedAt = Math.max(at, this.#ctx.now() + 1);
    this.#setAlarm(armedAt);
    this.#armedAt = armedAt;
  }

  #isArmedBy(at: number): boolean {
    if (this.#armedAt === null || this.#armedAt < this.#ctx.now() - LOST_ALARM_MS) return false;
    return this.#armedAt <= at;
  }
}

/**
 * When the alarm has to run next, counting only what can act then; null: nothing ever will by itself. `sweepAt` is
 * when parked tasks are looked through next, `syncAt` when a Breaker object is told or asked next. Maybe in the past.
 */
function nextWake(ctx: ShardContext, sweepAt: number, syncAt: number | null): number | null {
  const now = ctx.now();
  const laneAt = ctx.lanes.nextAt();
  const times = [
    ctx.flights.nextLapseAt(),
    // With no slot free, a lane that becomes due is woken for only to end what its max_age ends.
    laneAt !== null && ctx.slots.ownFree === 0 ? laneAt + EXPIRE_EVERY_MS : laneAt,
    ctx.queue.paused || ctx.slots.ownFree === 0 ? null : ctx.polls.lanes.nextAt(),
    ctx.retention.pruneAt,
    hasDue(ctx, now) ? sweepAt : null,
    moreIsDue(ctx) || morePollsAreDue(ctx) ? now + 1 : null,
    ctx.slots.ownFree > 0 ? opensAt(ctx) : null,
    syncAt,
    ctx.weights.wakeAt,
  ].filter((at) => at !== null);
  return times.length === 0 ? null : Math.min(...times);
}

/** Lanes whose gates one wake is computed from. */
const GATES_SEEN = 1_000;

/** When time alone lets the next due row or probe go that a retry budget or the queue's rate holds; null: it does not. */
function opensAt(ctx: ShardContext): number | null {
  const now = ctx.now();
  let next = ctx.targets.leased().length > 0 ? laterThan(ctx.rate.nextAt(), now) : null;
  let seen = 0;
  for (const lane of ctx.lanes.ready(now)) {
    if (!goes(ctx, lane)) continue;
    if (seen++ === GATES_SEEN) break;
    next = earlier(next, gateOpensAt(ctx, lane));
  }
  if (ctx.queue.paused || ctx.flights.probes >= ctx.slots.mostPolls) return next;
  for (const lane of ctx.polls.lanes.ready(now)) {
    if (seen++ === GATES_SEEN) break;
    next = earlier(next, gateOpensAt(ctx, lane));
  }
  return next;
}

function gateOpensAt(ctx: ShardContext, lane: string): number | null {
  const barred = barIn(ctx, lane, { ...HAS_SLOT, fits: () => true });
  return laterThan(barred?.until ?? null, ctx.now());
}

function earlier(a: number | null, b: number | null): number | null {
  return a === null || b === null ? (a ?? b) : Math.min(a, b);
}

function laterThan(at: number | null, now: number): number | null {
  return at !== null && at > now ? at : null;
}
