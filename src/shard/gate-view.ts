import { isFinal, type Task } from "../core/task.ts";
import type { ViewContext } from "../core/view.ts";
import type { ShardSituation } from "../core/waiting.ts";
import type { ShardContext } from "./context.ts";
import { gateOf } from "./gate.ts";

/** What the view of a task needs of its shard. */
export function viewContext(ctx: ShardContext, task: Task): ViewContext {
  const { maxAttempts } = ctx.policyOf(task);
  return { ...situationOf(ctx, task), queue: ctx.queue.name, maxAttempts };
}

/** What of the shard bears on why a task waits. */
export function situationOf(ctx: ShardContext, task: Task): ShardSituation {
  const gate = task.state === "held" || isFinal(task.state) ? null : shutGate(ctx, task);
  return { now: ctx.now(), paused: ctx.queue.paused, slotFree: ctx.freeSlots > 0, ...(gate && { gate }) };
}

/** What keeps a due task's target from being called; null: nothing does. */
function shutGate(ctx: ShardContext, task: Task): ShardSituation["gate"] | null {
  const now = ctx.now();
  if (task.lane === null || task.dueAt > now) return null;
  const { why, until } = gateOf(ctx, task.lane);
  if (why !== null) {
    const { breaker } = ctx.targets.get(task.target).local;
    return { why, until, breaker: why === "breaker" ? breaker : null, isAsked: why === "rate" };
  }
  const nextAt = ctx.rate.nextAt();
  return nextAt > now ? { why: "rate", until: nextAt, breaker: null, isAsked: false } : null;
}
