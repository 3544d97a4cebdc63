import { targetOfLane } from "../../src/core/task/lane.ts";
import { isEventId, isTaskRow, keptRoundId, ownerId } from "../../src/core/task/row-id.ts";
import { isFinal } from "../../src/core/task/task.ts";
import type { TaskState } from "../../src/schema/task.ts";
import { attemptName } from "./answers.ts";
import type { KnownTask } from "./ledger.ts";
import { RETRY_AFTER_SLACK_MS, type ShardRows } from "./shard-rows.ts";
import type { RowVersion } from "./world/storage.ts";
import { ASKED_MS, ASKED_OF_ALL, ASKED_UNTIL } from "./world/wait-hints.ts";

/** What is added at random to a wait that was asked for. */
const LONGEST_SPREAD_MS = 10_000;

/** A row that was not there before. */
export function checkInsert(rows: ShardRows, row: RowVersion, at: number): void {
  const { ledger } = rows;
  checkShape(rows, row);
  if (isEventId(row.id)) return;
  const task = ledger.tasks.get(ownerId(row.id));
  if (task === undefined) {
    ledger.violate("every row is of a task that was submitted", row.id, row.id);
    return;
  }
  if (!isTaskRow(row.id)) return;
  if (row.round !== 1 || isFinal(row.state as TaskState))
    ledger.violate("a task begins with its first round", `${row.id} begins ${row.state}`, row.id);
  if (row.expiresAt > at + task.delayMs + task.maxAgeMs)
    ledger.violate(
      "a round ends within its max_age",
      `${row.id} would end ${row.expiresAt - at} ms from now`,
      row.id,
    );
}

/** A row that was written again. */
export function checkChange(rows: ShardRows, before: RowVersion, after: RowVersion, at: number): void {
  checkShape(rows, after);
  checkLease(rows, before, after, at);
  checkCallback(rows, before, after);
  const task = isTaskRow(after.id) ? rows.ledger.tasks.get(after.id) : undefined;
  if (task !== undefined) checkRound(rows, task, before, after, at);
}

/** A row that is gone. */
export function checkDelete(rows: ShardRows, row: RowVersion, at: number): void {
  const { ledger } = rows;
  const about = `${row.id}, ${row.state}`;
  // A kept round's last delivery ends with its row.
  if (row.leaseUntil !== null && row.callback !== null)
    ledger.ends.note(rows.name, targetOfLane(row.callback.lane));
  if (!isFinal(row.state as TaskState)) ledger.violate("nothing but what is over is deleted", about, row.id);
  if (isEventId(row.id)) return;
  const task = ledger.tasks.get(ownerId(row.id));
  const end = task?.ends.get(row.round);
  if (end?.wanted && !end.delivered && !end.failed)
    ledger.violate(
      "every wanted callback is delivered or visibly failed",
      `${about}: its row is gone`,
      row.id,
    );
  if (!isTaskRow(row.id)) return;
  ledger.totals.pruned++;
  if (row.lane !== null || row.leaseUntil !== null)
    ledger.violate("nothing but what is over is deleted", `${about}: it waits`, row.id);
  const retention = task?.queue.config.settings.retention;
  const keptMs = (row.state === "succeeded" ? retention?.succeeded : retention?.failed) ?? 0;
  if ((row.finalizedAt ?? at) + keptMs > at)
    ledger.violate("final tasks are kept for their retention", about, row.id);
}

/** What waits stands in a lane or has a lease, never both; what is over neither. */
function checkShape(rows: ShardRows, row: RowVersion): void {
  const delivers = row.callback !== null && !["delivered", "failed"].includes(row.callback.state);
  const isOpen = !isFinal(row.state as TaskState) || delivers;
  const places = (row.lane === null ? 0 : 1) + (row.leaseUntil === null ? 0 : 1);
  if (isOpen ? places !== 1 : row.lane !== null)
    rows.ledger.violate(
      "what is not over waits in a lane or has a lease",
      `${row.id}, ${row.state}, callback ${row.callback?.state}, lane ${row.lane}, lease until ${row.leaseUntil}`,
      row.id,
    );
}

function checkRound(
  rows: ShardRows,
  task: KnownTask,
  before: RowVersion,
  after: RowVersion,
  at: number,
): void {
  const { ledger } = rows;
  const { id } = after;
  const wasFinal = isFinal(before.state as TaskState);
  const begins = after.round !== before.round;
  if (begins) {
    const { arrived, forced } = task.redrives;
    const isAsked = after.round - 1 <= arrived && (before.state !== "succeeded" || forced > 0);
    if (!wasFinal || after.round !== before.round + 1 || !isAsked)
      ledger.violate(
        "a final state never changes without a redrive",
        `${id}: round ${before.round} ${before.state}, then round ${after.round} ${after.state}`,
        id,
      );
    if (after.expiresAt > at + task.maxAgeMs)
      ledger.violate("a round ends within its max_age", `${id}, round ${after.round}`, id);
  } else if (wasFinal && (after.state !== before.state || after.finalizedAt !== before.finalizedAt))
    ledger.violate(
      "a final state never changes without a redrive",
      `${id}: ${before.state}, then ${after.state}`,
      id,
    );
  const attempts = after.attempt - after.attemptsBefore;
  if (attempts > task.maxAttempts)
    ledger.violate("attempts never exceed max_attempts", `${id}: ${attempts} of ${task.maxAttempts}`, id);
  if (isFinal(after.state as TaskState) && (begins || !wasFinal)) noteEnd(rows, task, after);
}

function noteEnd({ ledger }: ShardRows, task: KnownTask, row: RowVersion): void {
  const wanted = task.callbackOn?.includes(row.state) === true;
  if (task.ends.has(row.round))
    ledger.violate("a round has exactly one outcome", `${row.id}, round ${row.round} ends again`, row.id);
  const attempts = row.attempt - row.attemptsBefore;
  if (row.reason === "max_attempts" && attempts < task.leastAttempts)
    ledger.violate(
      "no round ends before its attempts are used up",
      `${row.id} ends after ${attempts} of ${task.leastAttempts}`,
      row.id,
    );
  task.ends.set(row.round, { state: row.state, wanted, delivered: false, failed: false });
  ledger.totals.ended++;
  if (wanted !== (row.callback !== null))
    ledger.violate(
      "every wanted callback is delivered or visibly failed",
      `${row.id} ends ${row.state}, its callback is ${wanted ? "not " : ""}planned`,
      row.id,
    );
}

function checkLease(rows: ShardRows, before: RowVersion, after: RowVersion, at: number): void {
  const { ledger } = rows;
  const { id } = after;
  const begins = after.lease === before.lease + 1;
  if (!begins && after.lease !== before.lease)
    ledger.violate("leases are numbered one by one", `${id}: ${before.lease}, then ${after.lease}`, id);
  if (begins && (after.leaseUntil === null || after.leaseUntil <= at))
    ledger.violate("a lease runs for a while", `${id}: lease ${after.lease}`, id);
  if (before.leaseUntil === null || (!begins && after.leaseUntil !== null)) return;
  const lane = before.callback?.state === "running" ? before.callback.lane : rows.calledBy(before);
  ledger.ends.note(rows.name, targetOfLane(lane));
  if (!endsRightly(rows, before, after, at))
    ledger.violate(
      "no two leases overlap unless the first lapsed",
      `${id}: lease ${before.lease} runs until ${before.leaseUntil}, and ended at ${at} without its settle`,
      id,
    );
}

/** How a lease may end: by its own settle, by time, unused, or by moving to the row of a kept round. */
function endsRightly(rows: ShardRows, before: RowVersion, after: RowVersion, at: number): boolean {
  const { ledger } = rows;
  const kind = before.callback?.state === "running" ? "callback" : "attempt";
  if (after.settledLease === before.lease) {
    const settle = ledger.settleOf(before.id, kind, before.round, before.lease);
    if (settle === undefined) return false;
    noteRetryAfter(rows, before, after, at, settle.result.headers);
    if (kind === "attempt")
      ledger.answers.settled(attemptName(before.id, before.attempt), settle, after.state);
    return true;
  }
  if (before.leaseUntil !== null && at >= before.leaseUntil) return true;
  if (after.round === before.round + 1) {
    const kept = rows.get(keptRoundId(before.id, before.round));
    return kept?.lease === before.lease && kept.leaseUntil === before.leaseUntil;
  }
  const isUnused =
    kind === "attempt"
      ? after.attempt === before.attempt - 1
      : (after.callback?.attempt ?? 0) === (before.callback?.attempt ?? 0) - 1;
  if (isUnused) ledger.releasing(before.id, kind, before.round, before.lease);
  return isUnused;
}

/** What an answer asked for: it is not for good, it is waited for, and for no longer than is allowed. */
function noteRetryAfter(
  rows: ShardRows,
  before: RowVersion,
  after: RowVersion,
  at: number,
  headers: Record<string, string>,
): void {
  const { ledger } = rows;
  const asked = Number(headers[ASKED_UNTIL] ?? 0);
  if (asked === 0) return;
  const delivers = before.callback?.state === "running";
  const target = delivers ? targetOfLane(before.callback?.lane ?? "") : rows.calledBy(before);
  const { leastHoldMs, mostHoldMs } = rows;
  if (headers[ASKED_OF_ALL] !== undefined) rows.noteAsked(target, Math.min(asked, ledger.now + leastHoldMs));
  if (delivers) return;
  if (after.state === "failed" && after.reason === "permanent")
    ledger.violate(
      "a refusal that says when to come back is not for good",
      `${after.id} has failed`,
      after.id,
    );
  if (after.state !== "retrying" || after.leaseUntil !== null) return;
  const task = ledger.tasks.get(ownerId(after.id));
  const own = task?.maxRetryAfterMs ?? null;
  const waitMs = after.dueAt - at;
  const askedMs = Math.min(asked - ledger.now, own ?? leastHoldMs) - RETRY_AFTER_SLACK_MS;
  if (waitMs < askedMs)
    ledger.violate(
      "Retry-After is never undercut",
      `${after.id} is due ${waitMs} ms from now, ${askedMs} were asked`,
      after.id,
    );
  const longestMs = Math.max(asked - ledger.now, Number(headers[ASKED_MS] ?? 0));
  const mostMs = Math.max(task?.queue.longestBackoffMs ?? 0, Math.min(longestMs, own ?? mostHoldMs));
  if (waitMs > mostMs + LONGEST_SPREAD_MS + RETRY_AFTER_SLACK_MS)
    ledger.violate(
      "no retry waits longer than it may be asked to",
      `${after.id} is due ${waitMs} ms from now, ${longestMs} were asked, ${own ?? mostHoldMs} are allowed`,
      after.id,
    );
}

/** A callback moves one way: what is delivered was taken by its receiver, what has failed stays failed. */
function checkCallback(rows: ShardRows, before: RowVersion, after: RowVersion): void {
  const { ledger } = rows;
  if (isEventId(after.id) || after.round !== before.round || after.callback === null) return;
  const [was, is] = [before.callback?.state, after.callback.state];
  const isOver = was === "delivered" || was === "failed";
  if (isOver && is !== was)
    ledger.violate("a callback ends once", `${after.id}: ${was}, then ${is}`, after.id);
  const end = ledger.tasks.get(ownerId(after.id))?.ends.get(after.round);
  if (is === "delivered" && end?.delivered === false)
    ledger.violate(
      "every wanted callback is delivered or visibly failed",
      `${after.id} reached nobody`,
      after.id,
    );
  if (is !== "failed" || end === undefined || end.failed) return;
  end.failed = true;
  ledger.totals.failedCallbacks++;
}
