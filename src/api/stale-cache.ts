const MAX_ENTRIES = 2_000;

/** How long an entry is used; all in milliseconds. */
export interface CacheTimes {
  freshMs: number;
  /** While one request refreshes an old entry, the others go on with it for this long. */
  refreshMs: number;
  /** Where a refresh fails, the old entry is used until it is this old. */
  staleMs: number;
  /** How long it is remembered that there is nothing. */
  absentMs: number;
}

interface Entry<T> {
  value: T | null;
  loadedAt: number;
  freshUntil: number;
}

/**
 * What one isolate remembers of a slower store. An entry is at most `freshMs + refreshMs` old while the store
 * answers. Requests do not share a pending load: one request's I/O must not depend on another's.
 */
export class StaleCache<T> {
  readonly #times: CacheTimes;
  readonly #now: () => number;
  readonly #entries = new Map<string | number, Entry<T>>();

  constructor(times: CacheTimes, now: () => number) {
    this.#times = times;
    this.#now = now;
  }

  /** The value of a key, by `load` where it is not fresh. Null: there is none. Throws what `load` throws. */
  async get(key: string | number, load: () => Promise<T | null>): Promise<T | null> {
    const now = this.#now();
    const entry = this.#entries.get(key);
    if (entry !== undefined && now < entry.freshUntil) return entry.value;
    if (entry !== undefined) entry.freshUntil = now + this.#times.refreshMs;
    try {
      const value = await load();
      this.set(key, value);
      return value;
    } catch (error) {
      const mayServe = entry?.value != null && now - entry.loadedAt <= this.#times.staleMs;
      if (!mayServe) throw error;
      return entry.value;
    }
  }

  /** Remembers a value, null: that there is none. */
  set(key: string | number, value: T | null): void {
    if (this.#entries.size >= MAX_ENTRIES) this.#entries.clear();
    const now = this.#now();
    const freshMs = value === null ? this.#times.absentMs : this.#times.freshMs;
    this.#entries.set(key, { value, loadedAt: now, freshUntil: now + freshMs });
  }

  forget(key: string | number): void {
    this.#entries.delete(key);
  }
}
