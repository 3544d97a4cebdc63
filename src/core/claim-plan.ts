/** A lane with rows that are due now. */
export interface ReadyLane {
  lane: string;
  /** Grants of this lane that are in flight. */
  inFlight: number;
}

/**
 * How many grants each ready lane may have now: round-robin in the order given, as long as a slot is free.
 * While more than one lane waits, none may hold more than half of all slots (at least one), so that a target
 * that hangs cannot take everybody's. Returns only lanes that get any.
 */
export function planClaims(
  ready: readonly ReadyLane[],
  freeSlots: number,
  capacity: number,
): Map<string, number> {
  const mostOfOne = ready.length > 1 ? Math.max(1, Math.floor(capacity / 2)) : capacity;
  const room = new Map(ready.map(({ lane, inFlight }) => [lane, Math.max(0, mostOfOne - inFlight)]));
  const plan = new Map<string, number>();
  for (let left = freeSlots; left > 0; ) {
    const before = left;
    for (const [lane, lanesRoom] of room) {
      if (left === 0) break;
      const planned = plan.get(lane) ?? 0;
      if (planned >= lanesRoom) continue;
      plan.set(lane, planned + 1);
      left--;
    }
    if (left === before) break;
  }
  return plan;
}
