import type { WaitingOn } from "../../schema/task.ts";
import { isCallbackLane, isRetryLane } from "../task/lane.ts";
import { budgetRefillsAt } from "./retry-budget.ts";
import { splitSlots } from "./slot-split.ts";

/**
 * The one rule of whether a call may go now, why not, and until when. What its target lets go is its gate (hold, breaker,
 * limit, retry budget); what else may be in its way are the pause, bytes in flight, the rate, slots, and places.
 */

/** What a call is, as far as the rule tells calls apart. */
export type CallKind = "attempt" | "retry" | "delivery" | "poll";

/** What may be in a call's way, in the order in which it is named. */
export type Bar = "pause" | "target" | "bytes" | "rate" | "slots" | "places";

/** What may be in the way of each kind of call. A paused queue delivers, without regard to its rate; a poll has no body. */
export const BARS: Readonly<Record<CallKind, readonly Bar[]>> = {
  attempt: ["pause", "target", "bytes", "rate", "slots", "places"],
  retry: ["pause", "target", "bytes", "rate", "slots", "places"],
  delivery: ["target", "bytes", "slots", "places"],
  poll: ["pause", "target", "rate", "slots", "places"],
};

/** How many calls a target lets go of one kind, and why not more. */
export interface Gate {
  room: number;
  /** How many calls the target may have in flight, of all kinds. */
  limit: number;
  /** One call may go as the probe of a half-open breaker. */
  probe: boolean;
  /** Why there is no room: the breaker, a Retry-After (`rate`), the limit, or the retry budget. Null: there is. */
  why: WaitingOn | null;
  /** When that may change by itself; null: not by time alone. */
  until: number | null;
  /** The target says so, and not what is in flight: nothing but time or news opens it. */
  parks: boolean;
}

/** What of a target bears on its gate. */
export interface TargetFacts {
  now: number;
  /** It asked for no call before. */
  heldUntil: number;
  /** What its breaker lets go. */
  may: "yes" | "no" | "probe";
  /** Until when an open breaker stays open; null: that is not known. */
  openUntil: number | null;
  /** What only matters while it is called: asked for then alone. */
  calls(): CalledFacts;
}

/** What bounds the calls of a target that is called. */
export interface CalledFacts {
  /** Calls that it may have in flight. */
  limit: number;
  inFlight: number;
  retriesInFlight: number;
  /** Retries that its budget allows; not above 0: none. */
  budget: number;
  /** First attempts or deliveries may be due. */
  firstsDue: boolean;
  /** Retries may be due. */
  retriesDue: boolean;
}

/** What bears on a call beside its target; each is asked for only if all before it lets the call go. */
export interface CallFacts {
  /** The queue is paused. */
  paused: boolean;
  gate(): Gate;
  /** Its body fits beside those in flight. */
  fits(): boolean;
  /** Calls that the queue's rate lets go now, and when the next may go. */
  rate(): { room: number; nextAt: number };
  /** Slots of the shard that are free. */
  slots(): number;
  /** Places of the process that are free. */
  places(): number;
}

/** What is in a call's way. */
export interface Barred {
  bar: Bar;
  why: WaitingOn;
  /** When that may change by itself; null: not by time alone. */
  until: number | null;
}

/** More than any limit: how many rows are due is not counted. */
const MANY = 1_000_000;

const TESTS: Readonly<Record<Bar, (facts: CallFacts) => Omit<Barred, "bar"> | null>> = {
  pause: ({ paused }) => (paused ? { why: "paused", until: null } : null),
  target: (facts) => {
    const { room, why, until } = facts.gate();
    return room > 0 ? null : { why: why ?? "concurrency", until };
  },
  bytes: (facts) => (facts.fits() ? null : { why: "concurrency", until: null }),
  rate: (facts) => {
    const { room, nextAt } = facts.rate();
    return room > 0 ? null : { why: "rate", until: nextAt };
  },
  slots: (facts) => (facts.slots() > 0 ? null : { why: "concurrency", until: null }),
  places: (facts) => (facts.places() > 0 ? null : { why: "capacity", until: null }),
};

/** What is in the way of a call of this kind, the first of all; null: it may go now. */
export function barOf(kind: CallKind, facts: CallFacts): Barred | null {
  for (const bar of BARS[kind]) {
    const found = TESTS[bar](facts);
    if (found !== null) return { bar, ...found };
  }
  return null;
}

/** True if this may be in the way of calls of this kind at all. */
export function barApplies(kind: CallKind, bar: Bar): boolean {
  return BARS[kind].includes(bar);
}

/** What the rows of a lane are called as; polls wait in lanes of their own. */
export function kindOfLane(lane: string): CallKind {
  if (isCallbackLane(lane)) return "delivery";
  return isRetryLane(lane) ? "retry" : "attempt";
}

/** What a target lets go of one kind now. */
export function targetGate(kind: CallKind, facts: TargetFacts): Gate {
  const { now, heldUntil, may, openUntil } = facts;
  if (heldUntil > now) return { ...shut("rate", heldUntil), parks: true };
  if (may !== "yes") return { ...shut("breaker", openUntil), probe: may === "probe", parks: true };
  const { firstsDue, retriesDue, ...situation } = facts.calls();
  const split = splitSlots({ firsts: firstsDue ? MANY : 0, retries: retriesDue ? MANY : 0 }, situation);
  const room = kind === "retry" ? split.retries : split.firsts;
  if (room > 0) return { room, limit: situation.limit, probe: false, why: null, until: null, parks: false };
  const isOverBudget = kind === "retry" && situation.budget <= 0;
  return isOverBudget ? shut("budget", budgetRefillsAt(now)) : shut("concurrency", null);
}

function shut(why: WaitingOn, until: number | null): Gate {
  return { room: 0, limit: 0, probe: false, why, until, parks: false };
}
