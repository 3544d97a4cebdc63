import type { Rate } from "../../core/pressure/rate.ts";
import type { KeyRecord } from "../../protocol/catalog-api.ts";
import { SharedLoad, type SharedLoadPorts } from "./shared-load.ts";
import { type CacheTimes, StaleCache } from "./stale-cache.ts";

/** How often one isolate asks the catalog for ids that it does not know: they cost nobody a key. */
const UNKNOWN: Rate = { limit: 5, perMs: 1_000, burst: 10 };

type Load = () => Promise<readonly KeyRecord[]>;

/**
 * What one isolate knows of the catalog's API keys: all of them, by one call, as there are few. So however many ids are made up,
 * one call answers them all; they push no valid one out; and a valid one that nobody here has seen yet is found by the same call.
 */
export class KeyCache {
  readonly #times: CacheTimes;
  readonly #now: () => number;
  readonly #unknown: SharedLoad<readonly KeyRecord[]>;
  /** Only ids of which there is no record. */
  readonly #absent: StaleCache<KeyRecord>;
  #known: { byId: Map<string, KeyRecord>; loadedAt: number; freshUntil: number } | null = null;

  constructor(times: CacheTimes, ports: SharedLoadPorts) {
    this.#times = times;
    this.#now = ports.now;
    this.#unknown = new SharedLoad(UNKNOWN, ports);
    this.#absent = new StaleCache(times, ports.now);
  }

  /**
   * The record of an id; null: there is none, by a list that is younger than the request, or up to `absentMs` older where the
   * same id was asked for before. Throws what `load` throws where the id is not known, and what `SharedLoad` throws.
   */
  async get(id: string, load: Load): Promise<KeyRecord | null> {
    const found = this.#known?.byId.get(id);
    if (found !== undefined) return this.#refreshed(id, found, load);
    return this.#absent.get(id, async () => {
      this.#learn(await this.#unknown.get(load));
      return this.#known?.byId.get(id) ?? null;
    });
  }

  /** This isolate has made the key, or revoked it: what it knew of the id holds no more. */
  forget(id: string): void {
    this.#known?.byId.delete(id);
    this.#absent.forget(id);
  }

  /** One request refreshes what is known, the others go on with it; where that fails, it serves until `staleMs` old. */
  async #refreshed(id: string, found: KeyRecord, load: Load): Promise<KeyRecord | null> {
    const known = this.#known;
    const now = this.#now();
    if (known === null || now < known.freshUntil) return found;
    known.freshUntil = now + this.#times.refreshMs;
    try {
      this.#learn(await load());
      return this.#known?.byId.get(id) ?? null;
    } catch (error) {
      if (now - known.loadedAt > this.#times.staleMs) throw error;
      return found;
    }
  }

  #learn(keys: readonly KeyRecord[]): void {
    const now = this.#now();
    const byId = new Map(keys.map((key) => [key.id, key]));
    this.#known = { byId, loadedAt: now, freshUntil: now + this.#times.freshMs };
  }
}
