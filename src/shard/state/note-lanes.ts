import { targetOfLane } from "../../core/task/lane.ts";
import type { ShardContext } from "./context.ts";

/** Something waits in these lanes, by what the rows say. */
export function noteLanes({ laneRows, lanes, scoped, polls }: ShardContext): void {
  for (const lane of laneRows.lanes()) {
    lanes.note(lane, 0);
    scoped.note(targetOfLane(lane));
  }
  polls.noteLanes();
}

/** Claims were rolled back: what memory took note of for them is read again. */
export function forgetClaims(ctx: ShardContext): void {
  noteLanes(ctx);
  ctx.counts.forget();
}
