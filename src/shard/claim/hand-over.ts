import type { Grant, RunnerPort } from "../../protocol/grant.ts";
import { MINUTE_MS } from "../../schema/limits.ts";
import type { Claimed } from "../lease/claim-row.ts";
import { letGo } from "../lease/grants.ts";
import type { ShardContext } from "../state/context.ts";
import type { Flight } from "../storage/flights.ts";

/** Calls that one Runner object makes at once: the connections that one invocation may have waiting. */
export const RUNNER_ROOM = 6;
const LONG_LEASE_MS = MINUTE_MS;

/** Grants for one Runner object. */
export interface Batch {
  runner: number;
  grants: Grant[];
}

/** A settle whose sender can take `want` further grants with the answer. */
export interface Taker {
  runner: number;
  want: number;
  take(grant: Grant): void;
}

/**
 * Gives each claimed grant to a runner: first to those that ask for more with a settle, since that costs no
 * call, then to Runner objects with room, the first ones first, so that few are awake. Writes the row that
 * finds those leases after a restart that are not found by the watermark.
 */
export function assign(ctx: ShardContext, claimed: readonly Claimed[], takers: readonly Taker[]): Batch[] {
  if (claimed.length === 0) return [];
  const listed = claimed.filter(({ flight }) => needsRow(ctx, flight)).map(({ flight }) => flight.id);
  const seq = listed.length === 0 ? null : ctx.flights.writeRow(listed);
  const now = ctx.now();
  const waiting = takers.flatMap((taker) => Array<Taker>(taker.want).fill(taker));
  const batches = new Map<number, Grant[]>();
  for (const { grant, flight } of claimed) {
    const taker = waiting.shift();
    const runner = taker?.runner ?? ctx.flights.runnerWithRoom(RUNNER_ROOM, now);
    letGo(ctx, { ...flight, runner, seq: needsRow(ctx, flight) ? seq : null });
    if (taker !== undefined) taker.take(grant);
    else batches.set(runner, [...(batches.get(runner) ?? []), grant]);
  }
  return [...batches].map(([runner, grants]) => ({ runner, grants }));
}

/**
 * Hands a batch to its Runner object, which answers as soon as the calls are under way. Returns the grants that
 * it certainly did not start; where it is not known whether it did, their leases will tell.
 */
export async function handOver(batch: Batch, runner: () => RunnerPort): Promise<Grant[]> {
  try {
    const { started } = await runner().run({ grants: batch.grants });
    return batch.grants.slice(started);
  } catch (error) {
    return neverArrived(error) ? batch.grants : [];
  }
}

/**
 * A restarted shard finds the leases of rows above the watermark by reading these. Listed are all others: those of
 * older rows, long ones, which would keep the watermark back, probes, which are no rows of `tasks`, and a task's first
 * lease, since one that is not listed is the submitter's.
 */
function needsRow(ctx: ShardContext, flight: Flight): boolean {
  const isLong = flight.leaseUntil - ctx.now() > LONG_LEASE_MS;
  return flight.kind === "probe" || flight.lease === 1 || isLong || flight.id <= ctx.own.watermark;
}

/** The platform refused the call before the object saw it. */
function neverArrived(error: unknown): boolean {
  return typeof error === "object" && error !== null && "overloaded" in error && error.overloaded === true;
}
