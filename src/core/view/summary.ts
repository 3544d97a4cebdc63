import type { WaitingOn } from "../../schema/task.ts";
import { targetOfUrl } from "../address/scope.ts";
import type { Attempt, Task } from "../task/task.ts";
import { attemptsInRound } from "../task/task.ts";
import { span } from "./span.ts";
import { heldFor, type ShutGate } from "./waiting.ts";
import { nextTry, pollUrl, WAITING, type Wait } from "./waiting-facts.ts";

/** Why a task waits, and, where it is for its target, what is known of that. */
interface Waits {
  on: WaitingOn | null;
  gate: ShutGate | null;
}

/**
 * One sentence or two that say where a task stands and what comes next, for a person. `gate` is what keeps the task's
 * target from being called; null: nothing does.
 */
export function summarize(
  task: Task,
  waiting: WaitingOn | null,
  gate: ShutGate | null,
  maxAttempts: number,
  now: number,
): string {
  const waits = { on: waiting, gate };
  const last = task.history.findLast((attempt) => attempt.decision !== null && attempt.round === task.round);
  const failed = last === undefined ? "" : `${failure(last, task, maxAttempts, now)} `;
  switch (task.state) {
    case "pending":
      return `${task.round > 1 ? `Round ${task.round}: ` : ""}${next(task, waits, now)}`;
    case "running":
      return `Attempt ${attemptsInRound(task)} of ${maxAttempts} is under way for ${span(now - startOf(task))}: ${task.call.method} ${task.target}.`;
    case "retrying":
      return `${failed}${next(task, waits, now)}`;
    case "held":
      return `${failed}${held(task, gate, now)}`;
    case "succeeded":
      return `Succeeded at attempt ${attemptsInRound(task)} of ${maxAttempts}${last?.status ? ` with ${last.status}` : ""}.${delivery(task)}`;
    case "failed":
      return `${failed}Failed for good: ${why(task, last)}.${delivery(task)}`;
    case "cancelled":
      return `Cancelled after ${count(attemptsInRound(task), "attempt")}.${delivery(task)}`;
  }
}

function failure(attempt: Attempt, task: Task, maxAttempts: number, now: number): string {
  const number = attempt.number - task.attemptsBefore;
  const endedAt = attempt.startedAt + (attempt.durationMs ?? 0);
  const status = attempt.status ? `${attempt.status} ` : "";
  const what = attempt.errorType ?? "refused by a rule";
  return `Attempt ${number} of ${maxAttempts} failed ${span(now - endedAt)} ago: ${status}${what} from ${task.target}.`;
}

function next(task: Task, { on, gate }: Waits, now: number): string {
  if (on === null) return `${nextTry(task)} is due now.`;
  const { gate: opener, sentence } = WAITING[on];
  const usesNone = opener === "time" || opener === "hold" ? "" : "; no attempt is used";
  return `${sentence({ task, target: task.target, gate, now })}${usesNone}.`;
}

/** What a held task is held for, and what is in the way of the poll that it may wait for. */
function held(task: Task, gate: ShutGate | null, now: number): string {
  const wait = { task, target: task.target, gate, now };
  const until = WAITING[heldFor(task)].sentence(wait);
  const fails = `it fails in ${span(task.expiresAt - now)} if that does not come.`;
  return `${until}; ${fails}${heldBack(wait)}`;
}

function heldBack(wait: Wait): string {
  const url = pollUrl(wait.task);
  if (url === null || wait.gate === null || WAITING[wait.gate.why].gate !== "target") return "";
  const because = WAITING[wait.gate.why].sentence({ ...wait, target: targetOfUrl(url, []) });
  return ` Its poll is held back: ${because.charAt(0).toLowerCase()}${because.slice(1)}.`;
}

function why(task: Task, last: Attempt | undefined): string {
  switch (task.reason) {
    case "max_attempts":
      return "no attempts are left";
    case "max_age":
      return last?.decision === "fail" && last.delayMs !== null
        ? `its next try would have come in ${span(last.delayMs)}, after the end of its max_age`
        : "its max_age is over";
    case "no_retry":
      return "the target said not to retry";
    case "rule":
      return "a rule said so";
    case "corrupt":
      return "its stored form cannot be read";
    default:
      return "a retry would not help";
  }
}

function delivery(task: Task): string {
  if (task.callback === null) return "";
  const { state, attempt, reason } = task.callback;
  if (state === "delivered") return " Its callback is delivered.";
  if (state === "failed" && reason === "stopped")
    return ` Its callback was stopped after ${count(attempt, "delivery", "deliveries")}.`;
  if (state === "failed") return ` Its callback failed after ${count(attempt, "delivery", "deliveries")}.`;
  return " Its callback is on its way.";
}

function startOf(task: Task): number {
  return task.history.at(-1)?.startedAt ?? task.dueAt;
}

function count(number: number, one: string, many = `${one}s`): string {
  return `${number} ${number === 1 ? one : many}`;
}
