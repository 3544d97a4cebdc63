import { putLast } from "../../core/bounded-map.ts";

/** Twice what a deployment has: each queue by its name and by its ref. */
const MAX_KNOWN = 4_000;
const MAX_ABSENT = 1_000;

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
  value: T;
  loadedAt: number;
  freshUntil: number;
}

/**
 * What one isolate remembers of a slower store. An entry is at most `freshMs + refreshMs` old while the store
 * answers. Requests do not share a pending load: one request's I/O must not depend on another's. What there is and what there
 * is not are kept apart, and the oldest goes where there is too much: asking for what is not there pushes nothing out.
 */
export class StaleCache<T> {
  readonly #times: CacheTimes;
  readonly #now: () => number;
  readonly #known = new Map<string | number, Entry<T>>();
  readonly #absentUntil = new Map<string | number, number>();

  constructor(times: CacheTimes, now: () => number) {
    this.#times = times;
    this.#now = now;
  }

  /** The value of a key, by `load` where it is not fresh. Null: there is none. Throws what `load` throws. */
  async get(key: string | number, load: () => Promise<T | null>): Promise<T | null> {
    const now = this.#now();
    const entry = this.#known.get(key);
    if (entry === undefined && now < (this.#absentUntil.get(key) ?? 0)) return null;
    if (entry !== undefined && now < entry.freshUntil) return entry.value;
    if (entry !== undefined) entry.freshUntil = now + this.#times.refreshMs;
    try {
      const value = await load();
      this.set(key, value);
      return value;
    } catch (error) {
      if (entry === undefined || now - entry.loadedAt > this.#times.staleMs) throw error;
      return entry.value;
    }
  }

  /** Remembers a value, null: that there is none. */
  set(key: string | number, value: T | null): void {
    const now = this.#now();
    this.forget(key);
    if (value === null) {
      putLast(this.#absentUntil, MAX_ABSENT, key, now + this.#times.absentMs);
    } else {
      putLast(this.#known, MAX_KNOWN, key, { value, loadedAt: now, freshUntil: now + this.#times.freshMs });
    }
  }

  forget(key: string | number): void {
    this.#known.delete(key);
    this.#absentUntil.delete(key);
  }
}
