import { taskPhase } from "../../schema/state-facts.ts";
import type { WaitingOn } from "../../schema/task.ts";
import type { Breaker } from "../breaker/breaker.ts";
import type { Task } from "../task/task.ts";

/** What of its shard bears on why a task waits. */
export interface ShardSituation {
  now: number;
  paused: boolean;
  /** False where every slot of the shard, or of the task's lane, is taken. */
  slotFree: boolean;
  /** True where it is not its slots but the places for calls of the whole process that are taken. */
  placesTaken?: boolean;
  /** What keeps the task's target from being called, or of a held task that of its probe; absent: nothing does. */
  gate?: ShutGate | undefined;
}

/** What keeps a target from being called. */
export interface ShutGate {
  why: WaitingOn;
  /** When that may change by itself; null: not by time alone. */
  until: number | null;
  /** Where it is the breaker. */
  breaker: Breaker | null;
  /** Where it is a rate: the target asked for it (Retry-After). Else it is the rate of the queue. */
  isAsked: boolean;
}

/** Why a task is not being called; null where it is final, in flight, or about to be called. */
export function waitingOn(task: Task, situation: ShardSituation): WaitingOn | null {
  if (task.state === "held") return heldFor(task);
  if (taskPhase(task.state) !== "waiting") return null;
  if (task.leaseUntil !== null) return "concurrency";
  if (task.dueAt > situation.now)
    return task.state === "retrying" && task.trigger === "retry" ? "backoff" : "schedule";
  if (situation.paused) return "paused";
  if (situation.gate !== undefined) return situation.gate.why;
  if (situation.slotFree) return null;
  return situation.placesTaken === true ? "capacity" : "concurrency";
}

/** What a held task waits for. */
export function heldFor({ until }: Task): "probe" | "signal" {
  return until === null || until === "signal" ? "signal" : "probe";
}
