import { lanesEnough, planClaims } from "../../core/pressure/claim-plan.ts";
import { isPollsTurn, mostPollsOfOne } from "../../core/pressure/poll.ts";
import { type Claimed, type EachRow, FAILED_ROW_MS } from "../lease/claim-row.ts";
import { claimPoll } from "../probe/claim-poll.ts";
import { callablePollLanes } from "../state/callable-lanes.ts";
import type { ShardContext } from "../state/context.ts";
import { gateOf } from "../state/gate.ts";
import { pendingOf, withinRate } from "./claim.ts";

/** Rows that one pass over a lane looks at, beyond those that it claims. */
const ROWS_A_PASS = 200;

/**
 * Claims polls that are due, beside what is `claimed` already: calls to the targets of their URLs, for which there has
 * to be a slot, a rate, and an open gate as for any other. `first`: attempts come after; then it is at most one, where
 * it is the polls' turn.
 */
export function claimPolls(
  ctx: ShardContext,
  claimed: readonly Claimed[],
  eachRow: EachRow,
  first: boolean,
): Claimed[] {
  if (first && !isPollsTurn(ctx.polls.attemptsSince)) return [];
  const made: Claimed[] = [];
  for (const [lane, count] of planPolls(ctx, claimed, first ? 1 : Number.POSITIVE_INFINITY))
    made.push(...claimLane(ctx, lane, count, eachRow));
  return made;
}

/** True where polls may be due that can be made now. */
export function morePollsAreDue(ctx: ShardContext): boolean {
  return planPolls(ctx, [], 1).size > 0;
}

/** How many polls of which lanes may be made now, at most `most`. */
function planPolls(ctx: ShardContext, claimed: readonly Claimed[], most: number): Map<string, number> {
  const pollsOf = (lane: string) =>
    ctx.flights.probesOf(lane) +
    claimed.filter(({ flight }) => flight.kind === "probe" && flight.lane === lane).length;
  const taken = ctx.flights.probes + claimed.filter(({ flight }) => flight.kind === "probe").length;
  const allowed = ctx.slots.mostPolls;
  const free = Math.min(most, ctx.slots.free - claimed.length, allowed - taken);
  if (free <= 0) return new Map();
  const beside = pendingOf(claimed);
  const ready = callablePollLanes(ctx, lanesEnough(free)).map(({ lane, gate }) => {
    const pending = beside.get(lane);
    const { room, limit } = pending === undefined ? gate : gateOf(ctx, lane, pending);
    return { lane, holder: lane, inFlight: pollsOf(lane), limit: mostPollsOfOne(allowed, limit), room };
  });
  return withinRate(ctx, planClaims(ready, free, allowed), claimed);
}

function claimLane(ctx: ShardContext, lane: string, count: number, eachRow: EachRow): Claimed[] {
  const now = ctx.now();
  const claimed: Claimed[] = [];
  for (const url of ctx.polls.rows.due(lane, now, count + ROWS_A_PASS)) {
    if (claimed.length === count) break;
    const one = claimPoll(ctx, url, eachRow);
    if (one === "failed") ctx.polls.rows.putDue(url, now + FAILED_ROW_MS);
    else if (one !== null) claimed.push(one);
  }
  ctx.polls.lanes.looked(lane, ctx.polls.rows.firstDueAt(lane), now);
  return claimed;
}
