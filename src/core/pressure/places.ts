/** Files and sockets that are left for what a process has open at any rate. */
const KEPT = 96;
const LEAST_PLACES = 8;
const FILES_A_CALL = 8;

/** Who has places for calls, and who wants more. */
export interface PlaceUse {
  total: number;
  /** Calls under way of each queue. */
  takenByQueue: ReadonlyMap<string, number>;
  /** Queues that have calls to make and no place for them. */
  waiting: ReadonlySet<string>;
}

/**
 * How many calls a process may make at a time that may have so many files and sockets open: an eighth of them, beside
 * what it needs at any rate. A call takes up to two sockets of two files each, its own and one kept open for the next; the rest is for clients and
 * for the storage of objects, three files each.
 */
export function placesFor(openFiles: number): number {
  return Math.max(LEAST_PLACES, Math.floor((openFiles - KEPT) / FILES_A_CALL));
}

/**
 * How many more calls a queue may begin now: all that are free while no other queue waits. Else no more than its even
 * share of what those leave that do not wait, and at least one.
 */
export function placesLeft({ total, takenByQueue, waiting }: PlaceUse, queue: string): number {
  const wanting = new Set([...waiting, queue]);
  let free = total;
  let settled = 0;
  for (const [name, taken] of takenByQueue) {
    free -= taken;
    if (!wanting.has(name)) settled += taken;
  }
  if (wanting.size === 1) return Math.max(0, free);
  const share = Math.max(1, Math.floor((total - settled) / wanting.size));
  return Math.max(0, Math.min(free, share - (takenByQueue.get(queue) ?? 0)));
}
