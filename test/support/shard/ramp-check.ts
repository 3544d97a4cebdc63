import { START_LIMIT } from "../../../src/core/pressure/limit.ts";

/** What a target that was down sees, in order, from its first probe on. All calls that are answered succeed. */
export interface RampEvent {
  type: "begun" | "answered";
  /** The shard that makes the call. */
  shard: number | string;
}

/** `half_open_successes` where a queue says nothing. */
const PROBES_TO_CLOSE = 3;

/**
 * The calls that a ramp does not allow, in words. Until three probes have succeeded there is one call at a time. Then
 * each of the queue's `shards` begins with one, and doubles that with every round of successes up to its limit of
 * before, which was no more than its share of the start limit; from there on a limit grows by its own rules, at most
 * by one with each success.
 */
export function beyondRamp(events: readonly RampEvent[], shards: number): string[] {
  const goal = Math.max(1, Math.floor(START_LIMIT / shards));
  const seen = new Map<RampEvent["shard"], { inFlight: number; successes: number }>();
  const beyond: string[] = [];
  let answered = 0;
  let inFlight = 0;
  for (const [i, { type, shard }] of events.entries()) {
    const isProbing = answered < PROBES_TO_CLOSE;
    const of = seen.get(shard) ?? { inFlight: 0, successes: 0 };
    const change = type === "begun" ? 1 : -1;
    of.inFlight += change;
    inFlight += change;
    seen.set(shard, of);
    if (type === "answered") {
      answered++;
      if (!isProbing) of.successes++;
      continue;
    }
    const [calls, allowed] = isProbing ? [inFlight, 1] : [of.inFlight, allowedAfter(of.successes, goal)];
    if (calls > allowed) beyond.push(`event ${i}, shard ${shard}: ${calls} calls, ${allowed} allowed`);
  }
  return beyond;
}

/** After 0, 1, 3, 7 successes a ramp is at 1, 2, 4, 8. */
function allowedAfter(successes: number, goal: number): number {
  const ramped = 2 ** Math.floor(Math.log2(successes + 1));
  return ramped < goal ? ramped : successes + 1;
}
