import { deliver } from "../../core/task/deliver.ts";
import { targetOfLane } from "../../core/task/lane.ts";
import type { Task } from "../../core/task/task.ts";
import { transition } from "../../core/task/transition.ts";
import type { Grant } from "../../protocol/grant.ts";
import { takeBackPoll } from "../probe/polls.ts";
import { endReadiness, readinessTarget } from "../probe/readiness.ts";
import type { ShardContext } from "../state/context.ts";
import type { Tx } from "../storage/group-commit.ts";

/** Takes a grant back that no runner started: no attempt is used, and its lease number is spent. */
export function takeBack(ctx: ShardContext, tx: Tx, grant: Grant, dueAt: number): void {
  const flight = ctx.flights.get(grant.id);
  const asked = grant.kind === "probe" ? readinessTarget(grant.id) : null;
  if (asked !== null) {
    if (flight?.lease === grant.lease) endReadiness(ctx, tx, asked, flight, null);
    return;
  }
  if (grant.kind === "probe") {
    takeBackPoll(ctx, tx, grant, dueAt);
    return;
  }
  const task = ctx.rows.ofGrant(grant);
  if (task === null || task.leaseUntil === null || task.lease !== grant.lease) return;
  const released =
    grant.kind === "callback"
      ? deliver(task, { type: "release", dueAt }, ctx.now())
      : releaseAttempt(ctx, task, dueAt);
  if (released === null) return;
  ctx.tasks.write(tx, released, task);
  if (flight?.probe != null) ctx.targets.probeEnded(tx, targetOfLane(flight.lane), flight.probe, null);
  tx.after(() => ctx.flights.remove(task.id));
}

function releaseAttempt(ctx: ShardContext, task: Task, dueAt: number): Task | null {
  const result = transition(task, { type: "release", dueAt }, ctx.terms.transitionContext(task));
  return result.ok ? result.task : null;
}
