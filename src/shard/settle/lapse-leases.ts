import { type EachRow, FAILED_ROW_MS } from "../lease/claim-row.ts";
import { lapsePoll } from "../probe/polls.ts";
import { endReadiness, readinessTarget } from "../probe/readiness.ts";
import type { ShardContext } from "../state/context.ts";
import type { Flight } from "../storage/flights.ts";
import type { Tx } from "../storage/group-commit.ts";
import { lapse } from "./settle.ts";

/** Ends every lease that has lapsed: its attempt or delivery counts as interrupted. */
export function lapseLeases(ctx: ShardContext, eachRow: EachRow): void {
  const now = ctx.now();
  const lapsed = [...ctx.flights.all()].filter(({ leaseUntil }) => leaseUntil <= now);
  for (const flight of lapsed) {
    const ended = eachRow(flight.id, (tx) => lapseOne(ctx, tx, flight));
    if (ended === "failed") flight.leaseUntil = now + FAILED_ROW_MS;
  }
}

function lapseOne(ctx: ShardContext, tx: Tx, flight: Flight): void {
  const { id, kind, lease } = flight;
  const asked = kind === "probe" ? readinessTarget(id) : null;
  if (asked !== null) endReadiness(ctx, tx, asked, flight, null);
  else if (kind === "probe") lapsePoll(ctx, tx, id);
  else lapse(ctx, tx, id, lease);
}
