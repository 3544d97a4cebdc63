import type { ShardContext } from "../state/context.ts";

/** A lane, and since when its first row has been due. */
export interface OldestDue {
  lane: string;
  dueAt: number;
}

/**
 * The lane, of those that count, whose first row has been due longest, and since when; null where none is due. What
 * memory knows of a lane is a lower bound: its rows are asked, and memory learns.
 */
export function oldestDue(ctx: ShardContext, counts: (lane: string) => boolean): OldestDue | null {
  const now = ctx.now();
  const correct = (lane: string) => {
    const dueAt = ctx.laneRows.firstDueAt(lane);
    ctx.lanes.correct(lane, dueAt, now);
    return dueAt;
  };
  // Each correction raises a bound, so this ends; after a start it is worth to raise all of them first.
  for (const lane of ctx.lanes.unknown()) correct(lane);
  for (;;) {
    const oldest = ctx.lanes.oldest(now, counts);
    if (oldest === null || correct(oldest.lane) === oldest.dueAt) return oldest;
  }
}
