import { setTimeout as delay } from "node:timers/promises";
import { monotonicMs } from "./stats.ts";

/** Requests that the load generator has under way at most. */
export const IN_FLIGHT = 64;

/** Does `one` for 0 to count - 1, at most `inFlight` at once. Rejects with the first that fails. */
export async function flood(
  count: number,
  one: (n: number) => Promise<void>,
  inFlight = IN_FLIGHT,
): Promise<void> {
  let next = 0;
  const lane = async () => {
    while (next < count) await one(next++);
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
}

/**
 * Begins `one` for 0 to count - 1 at a steady rate, whether or not the ones before have ended (an open loop). Gives
 * the instant at which each was begun, in monotonic milliseconds. Rejects with the first that fails.
 */
export async function paced(
  count: number,
  perSecond: number,
  one: (n: number) => Promise<void>,
): Promise<number[]> {
  const startAt = monotonicMs();
  const begunAt: number[] = [];
  const underWay: Promise<void>[] = [];
  for (let n = 0; n < count; n++) {
    const waitMs = startAt + (n * 1_000) / perSecond - monotonicMs();
    if (waitMs > 0) await delay(waitMs);
    begunAt.push(monotonicMs());
    underWay.push(one(n));
  }
  await Promise.all(underWay);
  return begunAt;
}
