/** Entries that no longer hold which a heap may have beside those that do. */
const STALE_ENTRIES = 64;

/** A binary min-heap of values by a number; for due times. */
export class MinHeap<T> {
  readonly #entries: { at: number; value: T }[] = [];

  get size(): number {
    return this.#entries.length;
  }

  /** The entry with the lowest number; undefined where the heap is empty. */
  peek(): { at: number; value: T } | undefined {
    return this.#entries[0];
  }

  push(at: number, value: T): void {
    const entries = this.#entries;
    const entry = { at, value };
    let index = entries.length;
    entries.push(entry);
    while (index > 0) {
      const parentIndex = (index - 1) >> 1;
      const parent = entries[parentIndex];
      if (parent === undefined || parent.at <= at) break;
      entries[index] = parent;
      index = parentIndex;
    }
    entries[index] = entry;
  }

  /** Takes the entry with the lowest number out; undefined where the heap is empty. */
  pop(): { at: number; value: T } | undefined {
    const entries = this.#entries;
    const top = entries[0];
    const last = entries.pop();
    if (top === undefined || last === undefined || entries.length === 0) return top;
    let index = 0;
    for (;;) {
      const child = this.#smallerChild(index);
      const entry = entries[child];
      if (entry === undefined || entry.at >= last.at) break;
      entries[index] = entry;
      index = child;
    }
    entries[index] = last;
    return top;
  }

  #smallerChild(index: number): number {
    const left = 2 * index + 1;
    const leftAt = this.#entries[left]?.at ?? Number.POSITIVE_INFINITY;
    const rightAt = this.#entries[left + 1]?.at ?? Number.POSITIVE_INFINITY;
    return rightAt < leftAt ? left + 1 : left;
  }
}

/**
 * A heap with one more entry, for heaps whose old entries stay until their time has come: where more of them no longer
 * hold than do, a new one of what holds (`live`, which has the new entry already; null: at no time).
 */
export function pushLive<K>(
  heap: MinHeap<K>,
  at: number,
  key: K,
  live: ReadonlyMap<K, number | null>,
): MinHeap<K> {
  heap.push(at, key);
  if (heap.size <= 2 * live.size + STALE_ENTRIES) return heap;
  const tidy = new MinHeap<K>();
  for (const [other, otherAt] of live) if (otherAt !== null) tidy.push(otherAt, other);
  return tidy;
}
