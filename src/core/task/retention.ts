import { MINUTE_MS } from "../../schema/limits.ts";
import type { TaskState } from "../../schema/task.ts";
import { isFinal } from "./task.ts";

/** How long final tasks are kept, in milliseconds: those that succeeded, and all others. */
export interface Retentions {
  succeeded: number;
  failed: number;
}

/** What of a row says when it may be pruned. */
export interface EndedRow {
  state: TaskState;
  finalizedAt: number | null;
  lane: string | null;
  leaseUntil: number | null;
}

/** Passes of pruning begin at least this far apart, and at least a hundredth of the shortest retention. */
const PASS_PAUSE_MS = 10 * MINUTE_MS;
const PAUSE_OF_RETENTION = 0.01;

/** How long a task that ended in this state is kept, in milliseconds. */
export function retentionOf(state: TaskState, { succeeded, failed }: Retentions): number {
  return state === "succeeded" ? succeeded : failed;
}

/** The shorter of the retentions, in milliseconds: no row is over sooner. */
export function shortestRetention({ succeeded, failed }: Retentions): number {
  return Math.min(succeeded, failed);
}

/** How far apart passes of pruning are, in milliseconds. */
export function passPauseMs(retentions: Retentions): number {
  return Math.max(PASS_PAUSE_MS, shortestRetention(retentions) * PAUSE_OF_RETENTION);
}

/** When the retention of a row is over; null: it is not final, or something is in flight or waits for it. */
export function retentionEndsAt(row: EndedRow, retentions: Retentions): number | null {
  const { state, finalizedAt, lane, leaseUntil } = row;
  if (!isFinal(state) || finalizedAt === null || lane !== null || leaseUntil !== null) return null;
  return finalizedAt + retentionOf(state, retentions);
}
