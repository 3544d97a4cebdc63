/** Counts of the last spans of time: a window that slides by one bucket. */
export interface SlidingCounts {
  bucketMs: number;
  /** Number of the newest bucket: time divided by bucketMs. */
  newest: number;
  /** Counts by bucket, oldest first; as long as the window has buckets. */
  counts: readonly number[];
}

/** An empty window of `buckets` spans (1 or more) of `bucketMs`. */
export function slidingCounts(bucketMs: number, buckets: number): SlidingCounts {
  return { bucketMs, newest: 0, counts: Array<number>(buckets).fill(0) };
}

/** Adds to the bucket of `now`; a clock that went back counts into the newest. */
export function addCount(window: SlidingCounts, now: number, amount: number): SlidingCounts {
  const moved = moveTo(window, now);
  const last = moved.counts.length - 1;
  return { ...moved, counts: moved.counts.map((count, i) => (i === last ? count + amount : count)) };
}

/** The sum over the window as it is at `now`. */
export function sumOf(window: SlidingCounts, now: number): number {
  return moveTo(window, now).counts.reduce((sum, count) => sum + count, 0);
}

function moveTo(window: SlidingCounts, now: number): SlidingCounts {
  const bucket = Math.floor(now / window.bucketMs);
  const steps = Math.min(bucket - window.newest, window.counts.length);
  if (steps <= 0) return window;
  return {
    ...window,
    newest: bucket,
    counts: [...window.counts.slice(steps), ...Array<number>(steps).fill(0)],
  };
}
