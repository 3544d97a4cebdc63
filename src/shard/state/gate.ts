import { mayCall } from "../../core/breaker/local-breaker.ts";
import { budgetRefillsAt } from "../../core/pressure/retry-budget.ts";
import { splitSlots } from "../../core/pressure/slot-split.ts";
import { deliveryLane, isRetryLane, retryLane, targetOfLane } from "../../core/task/lane.ts";
import type { WaitingOn } from "../../schema/task.ts";
import { allowedCalls, retriesLeft, type Target } from "../targets/target.ts";
import type { ShardContext } from "./context.ts";

/** How many calls a lane may have now, and why not more. */
export interface Gate {
  room: number;
  /** How many calls its target may have in flight, over all its lanes. */
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

/** Calls that were let go and are not in flight yet. */
export interface Pending {
  calls: number;
  /** Retries among them. */
  retries: number;
}

export const NONE_PENDING: Pending = { calls: 0, retries: 0 };

/** More than any limit: how many rows are due is not counted. */
const MANY = 1_000_000;

/** What may go in a lane now, beside what is `pending` of its target. Cheap for a target that was never in trouble. */
export function gateOf(ctx: ShardContext, lane: string, pending: Pending = NONE_PENDING): Gate {
  const now = ctx.now();
  const target = ctx.targets.get(targetOfLane(lane));
  if (target.heldUntil > now) return { ...shut("rate", target.heldUntil), parks: true };
  const may = mayCall(target.local, ctx.targets.policy, now);
  if (may === "yes") return slotsOf(ctx, target, lane, pending);
  const { breaker } = target.local;
  const until = breaker.state === "open" ? breaker.until : null;
  return { ...shut("breaker", until), probe: may === "probe", parks: true };
}

function slotsOf(ctx: ShardContext, target: Target, lane: string, pending: Pending): Gate {
  const { key } = target;
  const now = ctx.now();
  const limit = allowedCalls(target, ctx.queue.settings, ctx.slots.capacity);
  const budget = retriesLeft(target, ctx.queue, now) - pending.retries;
  const ready = (other: string) => other === lane || ctx.lanes.isReady(other, now);
  // First attempts and callbacks to the same origin share what retries leave.
  const others = ready(key) || ready(deliveryLane(key));
  const split = splitSlots(
    { firsts: others ? MANY : 0, retries: ready(retryLane(key)) ? MANY : 0 },
    {
      limit,
      inFlight: ctx.flights.callsTo(key) + pending.calls,
      retriesInFlight: ctx.flights.retriesOf(key) + pending.retries,
      budget,
    },
  );
  const room = isRetryLane(lane) ? split.retries : split.firsts;
  if (room > 0) return { room, limit, probe: false, why: null, until: null, parks: false };
  return isRetryLane(lane) && budget <= 0 ? shut("budget", budgetRefillsAt(now)) : shut("concurrency", null);
}

function shut(why: WaitingOn, until: number | null): Gate {
  return { room: 0, limit: 0, probe: false, why, until, parks: false };
}
