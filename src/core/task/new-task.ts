import type { NewTask } from "../../protocol/messages.ts";
import type { Task } from "./task.ts";
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
