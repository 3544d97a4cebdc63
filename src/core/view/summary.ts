import type { WaitingOn } from "../../schema/task.ts";
import { targetOfUrl } from "../address/scope.ts";
import type { Breaker } from "../breaker/breaker.ts";
import type { Attempt, Task } from "../task/task.ts";
import { attemptsInRound } from "../task/task.ts";
import type { ShutGate } from "./waiting.ts";

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
      return `${failed}Held until ${heldUntil(task)}; it fails in ${span(task.expiresAt - now)} if that does not come.${heldBack(task, gate, now)}`;
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
  const verb = task.history.length === 0 ? "First try" : "Next try";
  switch (on) {
    case "paused":
      return "Due, and waiting for its queue to be resumed; no attempt is used.";
    case null:
      return `${verb} is due now.`;
    case "capacity":
      return "Due, and waiting for other calls of this server to end; no attempt is used.";
    case "breaker":
    case "budget":
    case "concurrency":
    case "rate":
      return `${shutBy(on, task.target, gate, now)}; no attempt is used.`;
    default:
      return `${verb} in ${span(task.dueAt - now)}.`;
  }
}

/** What of a target or its queue may keep it from being called. */
type ShutBy = Extract<WaitingOn, "breaker" | "budget" | "concurrency" | "rate">;

function isShut(on: WaitingOn): on is ShutBy {
  return on === "breaker" || on === "budget" || on === "concurrency" || on === "rate";
}

function shutBy(on: ShutBy, target: string, gate: ShutGate | null, now: number): string {
  const again = gate?.until == null ? "" : ` in ${span(gate.until - now)}`;
  switch (on) {
    case "breaker":
      return `Waiting for the breaker of ${target}${gate?.breaker ? downBy(gate.breaker, now) : ""}`;
    case "budget":
      return `Waiting for the retry budget of ${target}, which is used up; there may be more${again}`;
    case "concurrency":
      return gate === null
        ? "Due, and waiting for a free slot"
        : `Due, and waiting for other calls of ${target} to end`;
    case "rate":
      return gate?.isAsked === true
        ? `Waiting since ${target} asked for it; it may be called again${again}`
        : `Due, and waiting for the rate of its queue; the next call may go${again}`;
  }
}

/** What a breaker says of an outage, after the target's name. */
function downBy(breaker: Breaker, now: number): string {
  switch (breaker.state) {
    case "closed":
      return "";
    case "isolated":
      return ` (isolated since ${span(now - breaker.since)}: ${breaker.reason})`;
    case "open":
    case "half_open": {
      const since = span(now - breaker.downSince);
      return ` (open since ${since}, ${breaker.reason.replace(/ in \d+ s$/, "")}); ${nextProbe(breaker, now)}`;
    }
  }
}

function nextProbe(breaker: Extract<Breaker, { state: "open" | "half_open" }>, now: number): string {
  if (breaker.state === "half_open")
    return breaker.probe === null ? "next probe is due now" : "it is being probed";
  return breaker.until > now ? `next probe in ${span(breaker.until - now)}` : "next probe is due now";
}

function heldUntil(task: Task): string {
  return task.until === null || task.until === "signal"
    ? "it is resumed"
    : `${task.until.probe.url} is ready`;
}

/** What is in the way of the poll that a held task waits for. */
function heldBack({ until }: Task, gate: ShutGate | null, now: number): string {
  if (until === null || until === "signal" || gate === null || !isShut(gate.why)) return "";
  const because = shutBy(gate.why, targetOfUrl(until.probe.url, []), gate, now);
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

/** A span as people say it: "3.1 s", "2 min 5 s", "1 h 4 min", "3 d 2 h". */
export function span(durationMs: number): string {
  const tenths = Math.round(Math.max(0, durationMs) / 100);
  if (tenths < 100) return `${tenths / 10} s`;
  const seconds = Math.round(tenths / 10);
  const parts = [
    [Math.floor(seconds / 86_400), "d"],
    [Math.floor(seconds / 3_600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "min"],
    [seconds % 60, "s"],
  ] as const;
  const first = parts.findIndex(([value]) => value > 0);
  return parts
    .slice(first, first + 2)
    .filter(([value]) => value > 0)
    .map(([value, unit]) => `${value} ${unit}`)
    .join(" ");
}
