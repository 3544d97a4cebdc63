/** Rows that a list looks at without a pause: a millisecond or two, for which nothing else goes on. */
export const SLICE_ROWS = 200;
/** Rows that it gives without a pause. Each has to be read whole. */
export const SLICE_MATCHES = 50;
/** Rows that it looks at for one page. */
export const PAGE_ROWS = 2_000;
/** How long it may look for one page, its pauses and what others do in them included. */
const PAGE_MS = 100;
/** The longest that a list may take; one that is not over by then was lost with its object. */
export const LONGEST_LIST_MS = 5_000;
/** The pause after each slice, times the lists of this process that have not found enough yet: about twice a slice. */
const PAUSE_MS = 2;

/** How far a list has come with its page. */
export interface PageWork {
  examined: number;
  elapsedMs: number;
  /** Lists of this process that look for more rows, this one included. */
  underWay: number;
}

/**
 * How long a list waits before its next slice, so that writes go first and lists together take no more than a part of
 * the time; null: its page ends here, full or not. The clock is only asked after a pause: on Workers it stands still
 * while a slice runs.
 */
export function pauseBeforeSlice({ examined, elapsedMs, underWay }: PageWork): number | null {
  if (examined >= PAGE_ROWS) return null;
  const pauseMs = PAUSE_MS * underWay;
  return elapsedMs + pauseMs > PAGE_MS ? null : pauseMs;
}
