import { originOfScoped } from "../../core/address/scope.ts";
import { firstByName, type TargetPlace } from "../../core/breaker/target-page.ts";
import { lanesOf } from "../../core/task/lane.ts";
import type { TargetSummary } from "../../protocol/breaker-api.ts";
import { hasParked, MOST_PARKED } from "../probe/parked.ts";
import type { ShardContext } from "../state/context.ts";
import type { Target } from "../targets/target.ts";

/** Targets as a list of breakers needs them: those that are down, and those called lately; see ShardApi. */
export function listedTargets(ctx: ShardContext, limit: number, place?: TargetPlace): TargetSummary[] {
  const known = ctx.targets.recent(place?.down === true);
  const listed =
    place === undefined
      ? ctx.targets.troubledFirst(known).slice(0, limit)
      : firstByName(known, ({ key }) => ctx.targets.terms.breakerOf(key), place.after, limit);
  return listed.map((target) => summaryOf(ctx, target));
}

function summaryOf(ctx: ShardContext, { key, local, usedAt, heldUntil }: Target): TargetSummary {
  const parked = hasParked(ctx, key) ? ctx.laneRows.countWaiting(lanesOf(key), MOST_PARKED) : 0;
  const held = heldUntil > ctx.now() ? { heldUntil } : {};
  const found = ctx.targets.splitsOf(originOfScoped(key) ?? "").find((path) => path.key === key);
  const split = found === undefined ? {} : { split: { since: found.since, reason: found.reason } };
  return {
    key,
    breaker: ctx.targets.terms.breakerOf(key),
    state: local.breaker.state,
    usedAt,
    parked,
    ...held,
    ...split,
  };
}
