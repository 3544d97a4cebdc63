/** The lanes of one holder: first attempts, retries, deliveries. */
const LANES_OF_HOLDER = 3;

/** A lane with rows that are due now. */
export interface ReadyLane {
  lane: string;
  /** Whose slots its rows take: the target, or the receiver of callbacks. Lanes may share one. */
  holder: string;
  /** Grants of this holder that are in flight. */
  inFlight: number;
  /** Grants that this holder may have in flight, over all its lanes; Infinity where nothing bounds it. */
  limit: number;
  /** Grants that this lane may have beside those in flight; Infinity where nothing bounds it. */
  room: number;
}

/**
 * How many grants each ready lane may have now: round-robin in the order given, as long as a slot is free.
 * While more than one holder waits, none may hold more than half of all slots (at least one), so that a target
 * that hangs cannot take everybody's. Returns only lanes that get any.
 */
export function planClaims(
  ready: readonly ReadyLane[],
  freeSlots: number,
  capacity: number,
): Map<string, number> {
  const holders = new Set(ready.map(({ holder }) => holder));
  const mostOfOne = holders.size > 1 ? Math.max(1, Math.floor(capacity / 2)) : capacity;
  const plannedFor = new Map<string, number>();
  const plan = new Map<string, number>();
  let left = freeSlots;
  let waiting = ready;
  while (left > 0 && waiting.length > 0) {
    waiting = waiting.filter(({ lane, holder, inFlight, limit, room }) => {
      const planned = plan.get(lane) ?? 0;
      const ofHolder = plannedFor.get(holder) ?? 0;
      if (left === 0 || planned >= room || inFlight + ofHolder >= Math.min(mostOfOne, limit)) return false;
      plan.set(lane, planned + 1);
      plannedFor.set(holder, ofHolder + 1);
      left--;
      return true;
    });
  }
  return plan;
}

/**
 * So many ready lanes that have room give the same plan as all of them would, be it thousands: each holder gets a slot
 * for one of its lanes, but those that hold half of all slots, of which there are two at most.
 */
export function lanesEnough(freeSlots: number): number {
  return LANES_OF_HOLDER * (freeSlots + 2);
}
