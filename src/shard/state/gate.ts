import { mayCall } from "../../core/breaker/local-breaker.ts";
import {
  type Barred,
  barOf,
  type CallFacts,
  type CallKind,
  type Gate,
  kindOfLane,
  targetGate,
} from "../../core/pressure/admission.ts";
import { deliveryLane, retryLane, targetOfLane } from "../../core/task/lane.ts";
import { allowedCalls, retriesLeft } from "../targets/target.ts";
import type { ShardContext } from "./context.ts";

/** Calls that were let go and are not in flight yet. */
export interface Pending {
  calls: number;
  /** Retries among them. */
  retries: number;
}

export const NONE_PENDING: Pending = { calls: 0, retries: 0 };

/** What may go in a lane now, beside what is `pending` of its target. Cheap for a target that was never in trouble. */
export function gateOf(ctx: ShardContext, lane: string, pending: Pending = NONE_PENDING): Gate {
  const now = ctx.now();
  const target = ctx.targets.get(targetOfLane(lane));
  const { key, heldUntil, local } = target;
  const ready = (other: string) => other === lane || ctx.lanes.isReady(other, now);
  return targetGate(kindOfLane(lane), {
    now,
    heldUntil,
    may: mayCall(local, ctx.targets.policy, now),
    openUntil: local.breaker.state === "open" ? local.breaker.until : null,
    calls: () => ({
      limit: allowedCalls(target, ctx.queue.settings, ctx.slots.capacity),
      inFlight: ctx.flights.callsTo(key) + pending.calls,
      retriesInFlight: ctx.flights.retriesOf(key) + pending.retries,
      budget: retriesLeft(target, ctx.queue, now) - pending.retries,
      // First attempts and callbacks to the same origin share what retries leave.
      firstsDue: ready(key) || ready(deliveryLane(key)),
      retriesDue: ready(retryLane(key)),
    }),
  });
}

/** What of the rule a caller knows better than the shard: what it has taken already, or what has to be asked of it. */
export type KnownFacts = Partial<Omit<CallFacts, "rate">> & {
  kind?: CallKind;
  /** Calls that the caller has let go, and that the shard does not count yet. */
  taken?: number;
};

/** What is in the way of the next call of a lane now; null: nothing is. */
export function barIn(ctx: ShardContext, lane: string, known: KnownFacts = {}): Barred | null {
  const { kind = kindOfLane(lane), taken = 0, ...facts } = known;
  return barOf(kind, {
    paused: ctx.queue.paused,
    gate: () => gateOf(ctx, lane),
    fits: () => !ctx.weights.waits(lane),
    rate: () => ({ room: ctx.rate.room(taken + 1) - taken, nextAt: ctx.rate.nextAt() }),
    slots: () => ctx.slots.ownFree - taken,
    places: () => ctx.slots.placesLeft - taken,
    ...facts,
  });
}

/** Facts of a caller that asks what else is in the way: it has a slot, or does not need one. */
export const HAS_SLOT = { slots: () => 1, places: () => 1 };
