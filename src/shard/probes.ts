import { probeRequest } from "../core/call-request.ts";
import type { Grant, SettleAnswer, SettleMessage } from "../core/messages.ts";
import type { SqlRow } from "../core/sql-port.ts";
import type { Task } from "../core/task.ts";
import { transition } from "../core/transition.ts";
import type { Probe } from "../schema/policy.ts";
import { LEASE_MARGIN_MS, type ShardContext } from "./context.ts";
import type { Flight } from "./flights.ts";
import type { Tx } from "./group-commit.ts";
import { probeKeyOf } from "./row-codec.ts";

/** Tasks that a ready probe sets free in one commit; the rest follow in the next. */
const RESUME_SLICE = 500;

/** A held task waits for its probe: the probe is polled from its next period on, once for all who wait for it. */
export function watchProbe(ctx: ShardContext, tx: Tx, task: Task): void {
  const key = probeKeyOf(task);
  if (key === null || task.until === null || task.until === "signal") return;
  const { probe } = task.until;
  const dueAt = ctx.now() + probe.period;
  ctx.sql.exec(
    `INSERT OR IGNORE INTO probes (key, probe, due_at, successes, lease, lease_until) VALUES (?, ?, ?, 0, 0, NULL)`,
    key,
    JSON.stringify(probe),
    dueAt,
  );
  tx.after(() => ctx.noteProbe(dueAt));
}

/** Admits the probes that are due, at most `limit`; those nobody waits for any more are forgotten. */
export function admitProbes(ctx: ShardContext, tx: Tx, limit: number): { grant: Grant; flight: Flight }[] {
  const now = ctx.now();
  const due = ctx.sql
    .exec(
      "SELECT * FROM probes WHERE lease_until IS NULL AND due_at <= ? ORDER BY due_at LIMIT ?",
      now,
      limit,
    )
    .toArray();
  const admitted = due.flatMap((row) => {
    const key = String(row.key);
    if (ctx.rows.heldOn(key, 1).length > 0) return [admitProbe(ctx, key, row)];
    ctx.sql.exec("DELETE FROM probes WHERE key = ?", key);
    return [];
  });
  tx.after(() => refreshProbeTime(ctx));
  return admitted;
}

/** Takes a probe's result in: ready often enough in a row, and all who wait for it go on. */
export function settleProbe(ctx: ShardContext, tx: Tx, message: SettleMessage): SettleAnswer {
  const row = ctx.sql.exec("SELECT * FROM probes WHERE key = ?", message.id).toArray()[0];
  if (row === undefined || row.lease_until === null || row.lease !== message.lease) {
    return { status: "stale", callback: null, next: [] };
  }
  const ready = message.result.status >= 200 && message.result.status < 300;
  noteProbe(ctx, tx, message.id, row, ready);
  return { status: "accepted", callback: null, next: [] };
}

/** A probe's lease has lapsed: it counts as not ready. */
export function lapseProbe(ctx: ShardContext, tx: Tx, key: string): void {
  const row = ctx.sql.exec("SELECT * FROM probes WHERE key = ?", key).toArray()[0];
  if (row !== undefined) noteProbe(ctx, tx, key, row, false);
  tx.after(() => ctx.flights.remove(key));
}

/** When the next probe is due; null where none is. */
export function nextProbeAt(ctx: ShardContext): number | null {
  const row = ctx.sql.exec("SELECT min(due_at) AS at FROM probes WHERE lease_until IS NULL").toArray()[0];
  return (row?.at ?? null) as number | null;
}

function admitProbe(ctx: ShardContext, key: string, row: SqlRow): { grant: Grant; flight: Flight } {
  const probe = JSON.parse(String(row.probe)) as Probe;
  const lease = Number(row.lease) + 1;
  const leaseMs = probe.timeout + LEASE_MARGIN_MS;
  const leaseUntil = ctx.now() + leaseMs;
  ctx.sql.exec("UPDATE probes SET lease = ?, lease_until = ? WHERE key = ?", lease, leaseUntil, key);
  const request = probeRequest(probe.url, probe.timeout);
  return {
    grant: {
      kind: "probe",
      shard: ctx.name,
      id: key,
      round: 0,
      number: lease,
      lease,
      leaseUntil,
      leaseMs,
      request,
    },
    flight: { id: key, kind: "probe", lane: "", lease, leaseUntil, runner: null, seq: null },
  };
}

function noteProbe(ctx: ShardContext, tx: Tx, key: string, row: SqlRow, ready: boolean): void {
  const probe = JSON.parse(String(row.probe)) as Probe;
  const successes = ready ? Number(row.successes) + 1 : 0;
  const open = successes >= probe.success_threshold;
  const more = open && resumeHeld(ctx, tx, key);
  // A probe that is ready and has more tasks to set free than one commit should write is due again at once.
  const dueAt = more ? ctx.now() : ctx.now() + probe.period;
  if (open && !more) ctx.sql.exec("DELETE FROM probes WHERE key = ?", key);
  else {
    ctx.sql.exec(
      "UPDATE probes SET successes = ?, due_at = ?, lease_until = NULL WHERE key = ?",
      successes,
      dueAt,
      key,
    );
  }
  tx.after(() => {
    ctx.flights.remove(key);
    refreshProbeTime(ctx);
  });
}

/** Sets tasks held on a probe free; true where there are more. */
function resumeHeld(ctx: ShardContext, tx: Tx, key: string): boolean {
  const ids = ctx.rows.heldOn(key, RESUME_SLICE + 1);
  for (const id of ids.slice(0, RESUME_SLICE)) {
    const task = ctx.rows.read(id);
    if (task === null) continue;
    const result = transition(task, { type: "resume", trigger: "probe" }, ctx.transitionContext(task));
    if (result.ok) ctx.write(tx, result.task, task);
  }
  return ids.length > RESUME_SLICE;
}

function refreshProbeTime(ctx: ShardContext): void {
  ctx.probeAt = nextProbeAt(ctx);
}
