import type { Task, TaskCall } from "./task.ts";
import { parseTaskId } from "./task-id.ts";

/** The row of a task just accepted: pending, waiting in its target's lane from its first due time on. */
export function taskFrom(request: NewTask, maxAgeMs: number, now: number): Task {
  const dueAt = Math.max(now, request.runAt ?? now + request.delayMs);
  return {
    id: request.id,
    state: "pending",
    target: request.target,
    lane: request.target,
    priority: request.priority,
    dueAt,
    expiresAt: dueAt + maxAgeMs,
    round: 1,
    attempt: 0,
    attemptsBefore: 0,
    lease: 0,
    leaseUntil: null,
    settledLease: 0,
    trigger: dueAt > now ? "schedule" : "submit",
    // The time in its id: lists are in that order, and `created_after` is compared with it.
    createdAt: parseTaskId(request.id)?.createdAt ?? now,
    finalizedAt: null,
    reason: null,
    until: null,
    call: request.call,
    history: [],
    attemptsOmitted: 0,
    response: null,
    callback: null,
  };
}

/** A task on its way into a shard. The API made its id. */
export interface NewTask {
  id: string;
  target: string;
  priority: number;
  /** Due this long after the shard accepts it; ignored where runAt is set. */
  delayMs: number;
  runAt: number | null;
  call: TaskCall;
  /** Scope: the queue. Null: none. */
  idempotencyKey: string | null;
  /** Hash of the parsed request without its key, to tell a repeat from a conflict. */
  requestHash: string | null;
  /** The hash that the same request has where its secrets are not encrypted: a row may be from before. */
  plainHash?: string;
  /** The caller offers to make the first attempt itself (edge-first). */
  edge: boolean;
}
