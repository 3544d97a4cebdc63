import { expect } from "vitest";
import type { ShardWorld } from "./shard-world.ts";

/** What is not over waits in a lane that memory knows of, or has a lease in flight, and never both. */
export function checkRows(world: ShardWorld): void {
  for (const row of world.rows("SELECT * FROM tasks")) {
    const about = `${row.id} ${row.state}`;
    const callback = row.callback === null ? null : (JSON.parse(String(row.callback)) as { state: string });
    const open = ["pending", "running", "retrying", "held"].includes(String(row.state));
    const delivering = callback !== null && callback.state !== "delivered" && callback.state !== "failed";
    // What is not over waits in a lane or has a lease in flight, and never both.
    const waits = (row.lane !== null ? 1 : 0) + (row.lease_until !== null ? 1 : 0);
    if (open || delivering) expect(waits, about).toBe(1);
    else expect(row.lane, about).toBeNull();
    if (row.lane !== null)
      expect(world.shard.ctx.lanes.isReady(String(row.lane), Number(row.due_at)), about).toBe(true);
  }
  const waiting = world.rows(
    "SELECT count(*) AS n FROM tasks WHERE lane IS NOT NULL OR lease_until IS NOT NULL",
  );
  const loaded = world.shard.ctx.flights.size > 0 || Number(waiting[0]?.n) > 0;
  if (loaded) expect(world.alarmAt).not.toBeNull();
}

/** Memory and disk agree on the leases in flight, a restart would find each, and they are no more than slots. */
export function checkFlights(world: ShardWorld, capacity: number): void {
  const { ctx } = world.shard;
  const inMemory = [...ctx.flights.all()].map(({ id, lease, leaseUntil }) => [id, lease, leaseUntil]);
  const onDisk = world
    .rows(
      "SELECT id, lease, lease_until FROM tasks WHERE lease_until IS NOT NULL UNION ALL SELECT url, lease, lease_until FROM polls WHERE lease_until IS NOT NULL",
    )
    .map((row) => [row.id, row.lease, row.lease_until]);
  expect(inMemory.sort()).toEqual(onDisk.sort());
  const rows = world
    .rows("SELECT seq, ids FROM flights")
    .map(({ seq, ids }) => ({ seq: Number(seq), ids: JSON.parse(String(ids)) as string[] }));
  const flights = [...ctx.flights.all()];
  for (const { seq } of rows) expect(flights.some((flight) => flight.seq === seq)).toBe(true);
  for (const { id, seq } of flights) {
    if (seq === null) expect(id >= ctx.own.watermark, `${id} is found by the watermark`).toBe(true);
    else expect(rows.find((row) => row.seq === seq)?.ids).toContain(id);
  }
  expect(flights.length).toBeLessThanOrEqual(capacity);
}

/** The counts told are those of the rows. */
export async function checkCounts(world: ShardWorld): Promise<void> {
  const counts: Record<string, number> = {};
  for (const row of world.rows("SELECT state FROM tasks WHERE instr(id, '~') = 0"))
    counts[String(row.state)] = (counts[String(row.state)] ?? 0) + 1;
  const { counts: told } = await world.shard.stats();
  await world.settled();
  const present = Object.fromEntries(Object.entries(told).filter(([, count]) => count !== 0));
  expect(present).toEqual(counts);
}
