import { targetOfLane } from "../../core/task/lane.ts";
import { loggedError } from "../../core/text/logged-error.ts";
import { completeSettings, type QueueConfig } from "../../protocol/queue-config.ts";
import type { ShardContext } from "../state/context.ts";
import { noteLanes } from "../state/note-lanes.ts";

/**
 * Reads back what memory has to know after a start: settings, lanes, probes, and the leases in flight. Throws
 * where the shard's own row is missing, which the migrations make.
 */
export function loadShard(ctx: ShardContext): void {
  const row = ctx.own.read();
  ctx.own.found({
    config: storedConfig(ctx, row.config),
    watermark: row.watermark,
    closed: row.closed === 1,
    stalledToldAt: row.stalled_told_at ?? 0,
  });
  ctx.weights.found(row.heavy);
  ctx.rate.found(row.rate_free_at ?? 0);
  ctx.retention.found(row.prune_at);
  ctx.polls.rows.adopt(ctx.now(), (url) => ctx.scoped.targetOfUrl(url));
  noteLanes(ctx);
  for (const lane of ctx.lanes.unknown()) ctx.laneTurns.startAnywhere(lane, ctx.random);
  loadFlights(ctx);
}

/** The settings as last told; null where they were never told or cannot be read, then the catalog is asked. */
function storedConfig(ctx: ShardContext, stored: string | null): QueueConfig | null {
  if (stored === null) return null;
  try {
    const config = JSON.parse(stored) as QueueConfig;
    return { ...config, settings: completeSettings(config.settings) };
  } catch (error) {
    ctx.log("settings.poisoned", { error: loggedError(error) });
    return null;
  }
}

function loadFlights(ctx: ShardContext): void {
  const rows = ctx.flights.stored();
  for (const { seq, ids } of rows) {
    // An older row may still list a task whose present lease is of a newer one: one of them is enough to find it.
    const inFlight = ids?.filter((id) => loadFlight(ctx, id, seq)) ?? [];
    if (inFlight.length === 0) ctx.flights.dropRow(seq);
  }
  for (const id of ctx.rows.leasedFrom(ctx.own.watermark)) loadFlight(ctx, id, null);
  if (rows.some(({ ids }) => ids === null)) findLostFlights(ctx);
}

/** A row of `flights` could not be read: its leases are found by reading every row, and get a new one. */
function findLostFlights(ctx: ShardContext): void {
  const leased = [...ctx.rows.leasedFrom(""), ...ctx.polls.rows.leased()];
  const lost = leased.filter((id) => ctx.flights.get(id) === undefined);
  ctx.log("flights.poisoned", { lost: lost.length });
  if (lost.length === 0) return;
  const seq = ctx.flights.writeRow(lost);
  for (const id of lost) loadFlight(ctx, id, seq);
}

/** Takes a lease that was in flight when the object stopped back into memory; false where it has ended, or is back. */
function loadFlight(ctx: ShardContext, id: string, seq: number | null): boolean {
  if (ctx.flights.get(id) !== undefined) return false;
  const lease = ctx.rows.leaseOf(id);
  if (lease === null) return false;
  const probe = ctx.targets.keptProbe(targetOfLane(lease.lane), id);
  // What it carries is with its runner: the object that had it in memory has ended.
  ctx.flights.add({ id, ...lease, probe, runner: null, seq, weight: 0 });
  return true;
}
