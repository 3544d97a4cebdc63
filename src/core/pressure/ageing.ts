/**
 * So many grants of a lane, one goes to the row that has been due longest, whatever its priority: whoever is the n-th
 * of its lane by due time has its turn within n times so many grants of that lane, however much of a higher priority
 * comes in.
 */
export const AGED_EVERY = 8;

/** How many of a lane's next `count` grants go by age; `since`: its grants since the last one that did. */
export function agedAmong(since: number, count: number): number {
  return Math.min(count, Math.floor((since + count) / AGED_EVERY));
}

/** A lane's grants since the last one by age, after `granted` more of which `aged` went by age. */
export function sinceAged(since: number, granted: number, aged: number): number {
  return Math.max(0, since + granted - aged * AGED_EVERY);
}

/**
 * In what order the tasks of one submit take free slots, as indexes: by priority, the highest first, then as they
 * came. Of tasks with the same idempotency key the first stays before the others, since these are its repeats.
 */
export function slotOrder(tasks: readonly { priority: number; idempotencyKey: string | null }[]): number[] {
  const lowestOfKey = new Map<string, number>();
  const ranks = tasks.map(({ priority, idempotencyKey }) => {
    if (idempotencyKey === null) return priority;
    const rank = Math.min(priority, lowestOfKey.get(idempotencyKey) ?? priority);
    lowestOfKey.set(idempotencyKey, rank);
    return rank;
  });
  return [...ranks.entries()].sort(([, a], [, b]) => b - a).map(([index]) => index);
}
