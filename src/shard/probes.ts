import type { Grant, SettleAnswer, SettleMessage } from "../core/messages.ts";
import type { SqlRow } from "../core/sql-port.ts";
import type { Task } from "../core/task.ts";
import { transition } from "../core/transition.ts";
import type { Probe } from "../schema/policy.ts";
import { buryPoisoned } from "./bury.ts";
import { type Claimed, type EachRow, FAILED_ROW_MS } from "./claim.ts";
import type { ShardContext } from "./context.ts";
import { probeAdmission } from "./grants.ts";
import type { Tx } from "./group-commit.ts";
import { probeKeyOf } from "./row-codec.ts";

/** Tasks that a ready probe sets free in one commit; the rest follow in the next. */
const RESUME_SLICE = 500;
/** Probes that one commit hands over. */
const PROBES_A_COMMIT = 50;

/** A held task waits for its probe: the probe is polled from its next period on, once for all who wait for it. */
export function watchProbe(ctx: ShardContext, tx: Tx, task: Task): void {
  const key = probeKeyOf(task);
  if (key === null || task.until === null || task.until === "signal") return;
  const dueAt = ctx.now() + task.until.probe.period;
  ctx.sql.exec(
    "INSERT OR IGNORE INTO probes (key, due_at, successes, lease, lease_until) VALUES (?, ?, 0, 0, NULL)",
    key,
    dueAt,
  );
  tx.after(() => ctx.noteProbe(dueAt));
}

/**
 * Claims the probes that are due; those nobody waits for any more are forgotten. One that was found ready and has
 * tasks left to set free does so instead of being called again. A paused queue calls no probe either.
 */
export function claimProbes(ctx: ShardContext, eachRow: EachRow): Claimed[] {
  const now = ctx.now();
  if (ctx.queue.paused || ctx.probeAt === null || ctx.probeAt > now) return [];
  const due = ctx.sql
    .exec(
      "SELECT key FROM probes WHERE lease_until IS NULL AND due_at <= ? ORDER BY due_at LIMIT ?",
      now,
      PROBES_A_COMMIT,
    )
    .toArray();
  const claimed: Claimed[] = [];
  for (const key of due.map((row) => String(row.key))) {
    const one = eachRow(key, (tx) => claimProbe(ctx, tx, key));
    if (one === "failed")
      ctx.sql.exec("UPDATE probes SET due_at = ? WHERE key = ?", now + FAILED_ROW_MS, key);
    else if (one !== null) claimed.push(one);
  }
  ctx.probeAt = nextProbeAt(ctx);
  return claimed;
}

/** Takes a probe's result in: ready often enough in a row, and all who wait for it go on. */
export function settleProbe(ctx: ShardContext, tx: Tx, message: SettleMessage): SettleAnswer {
  const row = read(ctx, message.id);
  if (row === null || row.lease_until === null || row.lease !== message.lease) {
    return { status: "stale", callback: null, next: [] };
  }
  const { status, error } = message.result;
  noteResult(ctx, tx, row, error === null && status >= 200 && status < 300);
  return { status: "accepted", callback: null, next: [] };
}

/** A probe's lease has lapsed: it counts as not ready. */
export function lapseProbe(ctx: ShardContext, tx: Tx, key: string): void {
  const row = read(ctx, key);
  if (row !== null && row.lease_until !== null) noteResult(ctx, tx, row, false);
  else tx.after(() => ctx.flights.remove(key));
}

/** Takes a probe's grant back that no runner started. */
export function takeBackProbe(ctx: ShardContext, tx: Tx, grant: Grant, dueAt: number): void {
  const row = read(ctx, grant.id);
  if (row === null || row.lease_until === null || row.lease !== grant.lease) return;
  ctx.sql.exec("UPDATE probes SET lease_until = NULL, due_at = ? WHERE key = ?", dueAt, grant.id);
  tx.after(() => {
    ctx.flights.remove(grant.id);
    ctx.noteProbe(dueAt);
  });
}

/** When the next probe is due; null where none is. */
export function nextProbeAt(ctx: ShardContext): number | null {
  const row = ctx.sql.exec("SELECT min(due_at) AS at FROM probes WHERE lease_until IS NULL").toArray()[0];
  return (row?.at ?? null) as number | null;
}

function read(ctx: ShardContext, key: string): SqlRow | null {
  return ctx.sql.exec("SELECT * FROM probes WHERE key = ?", key).toArray()[0] ?? null;
}

function claimProbe(ctx: ShardContext, tx: Tx, key: string): Claimed | null {
  const row = read(ctx, key);
  if (row === null) return null;
  if (Number(row.successes) >= probeOf(key).success_threshold) {
    setFree(ctx, tx, row, Number(row.successes));
    return null;
  }
  if (ctx.rows.heldOn(key, 1).length > 0) return admitProbe(ctx, key, row);
  ctx.sql.exec("DELETE FROM probes WHERE key = ?", key);
  return null;
}

function admitProbe(ctx: ShardContext, key: string, row: SqlRow): Claimed {
  const { url, timeout } = probeOf(key);
  const lease = Number(row.lease) + 1;
  const admitted = probeAdmission(ctx, { id: key, url, timeoutMs: timeout, lease, number: lease });
  const { leaseUntil } = admitted.grant;
  ctx.sql.exec("UPDATE probes SET lease = ?, lease_until = ? WHERE key = ?", lease, leaseUntil, key);
  return admitted;
}

function noteResult(ctx: ShardContext, tx: Tx, row: SqlRow, ready: boolean): void {
  const key = String(row.key);
  const probe = probeOf(key);
  const successes = ready ? Number(row.successes) + 1 : 0;
  if (successes >= probe.success_threshold) setFree(ctx, tx, row, successes);
  else putProbe(ctx, key, successes, ctx.now() + probe.period);
  tx.after(() => {
    ctx.flights.remove(key);
    ctx.probeAt = nextProbeAt(ctx);
  });
}

/** Sets a slice of those who wait for a ready probe free. Where there are more, its row stays, and says that it is. */
function setFree(ctx: ShardContext, tx: Tx, row: SqlRow, successes: number): void {
  const key = String(row.key);
  const ids = ctx.rows.heldOn(key, RESUME_SLICE + 1);
  for (const id of ids.slice(0, RESUME_SLICE)) resumeTask(ctx, tx, id);
  if (ids.length > RESUME_SLICE) putProbe(ctx, key, successes, ctx.now() + 1);
  else ctx.sql.exec("DELETE FROM probes WHERE key = ?", key);
}

function resumeTask(ctx: ShardContext, tx: Tx, id: string): void {
  try {
    const task = ctx.rows.read(id);
    if (task === null) return;
    const result = transition(task, { type: "resume", trigger: "probe" }, ctx.transitionContext(task));
    if (result.ok) ctx.write(tx, result.task, task);
  } catch (error) {
    if (!buryPoisoned(ctx, error)) throw error;
  }
}

function putProbe(ctx: ShardContext, key: string, successes: number, dueAt: number): void {
  ctx.sql.exec(
    "UPDATE probes SET successes = ?, due_at = ?, lease_until = NULL WHERE key = ?",
    successes,
    dueAt,
    key,
  );
}

/** A probe's key is all there is to know about it. */
function probeOf(key: string): Probe {
  const [url, period, timeout, success_threshold] = JSON.parse(key);
  return { url, period, timeout, success_threshold };
}
