import { kindOfLane } from "../../core/pressure/admission.ts";
import { targetOfLane } from "../../core/task/lane.ts";
import { isFinal, type Task } from "../../core/task/task.ts";
import type { ViewContext } from "../../core/view/view.ts";
import type { ShardSituation } from "../../core/view/waiting.ts";
import type { ShardContext } from "../state/context.ts";
import { barIn, HAS_SLOT } from "../state/gate.ts";

/** What the view of a task needs of its shard. */
export function viewContext(ctx: ShardContext, task: Task): ViewContext {
  const { maxAttempts } = ctx.terms.policyOf(task);
  return { ...situationOf(ctx, task), queue: ctx.queue.name, maxAttempts };
}

/** What of the shard bears on why a task waits. */
export function situationOf(ctx: ShardContext, task: Task): ShardSituation {
  const gate = isFinal(task.state) ? null : shutGate(ctx, task);
  const slotFree = ctx.slots.free > 0;
  const placesTaken = !slotFree && ctx.slots.ownFree > 0;
  return { now: ctx.now(), paused: ctx.queue.paused, slotFree, placesTaken, ...(gate && { gate }) };
}

/** What keeps a due task's target, or that of a held task's probe, from being called; null: nothing does. */
function shutGate(ctx: ShardContext, task: Task): ShardSituation["gate"] | null {
  const now = ctx.now();
  const lane = task.state === "held" ? duePollOf(ctx, task) : task.lane;
  if (lane === null || (task.state !== "held" && task.dueAt > now)) return null;
  const kind = task.state === "held" ? "poll" : kindOfLane(lane);
  // A pause, and slots, keep every task of the shard.
  const barred = barIn(ctx, lane, { ...HAS_SLOT, kind, paused: false });
  if (barred === null) return null;
  const { bar, why, until } = barred;
  const { breaker } = ctx.targets.get(targetOfLane(lane)).local;
  const isAsked = bar === "target" && why === "rate";
  return { why, until, breaker: why === "breaker" ? breaker : null, isAsked };
}

/** The lane of the poll that a held task waits for, where that is due and not under way; else null. */
function duePollOf(ctx: ShardContext, { until }: Task): string | null {
  if (until === null || until === "signal") return null;
  const poll = ctx.polls.rows.read(until.probe.url);
  return poll !== null && poll.leaseUntil === null && poll.dueAt <= ctx.now() ? poll.lane : null;
}
