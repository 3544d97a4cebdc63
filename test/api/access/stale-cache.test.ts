import { beforeEach, describe, expect, test } from "vitest";
import { StaleCache } from "../../../src/api/access/stale-cache.ts";

let now: number;
let loads: number;
let stored: string | null;
let broken: boolean;
let cache: StaleCache<string>;

async function load(): Promise<string | null> {
  loads += 1;
  if (broken) throw new Error("store is down");
  return stored;
}

beforeEach(() => {
  now = 1_000;
  loads = 0;
  stored = "old";
  broken = false;
  cache = new StaleCache({ freshMs: 9_000, refreshMs: 1_000, staleMs: 300_000, absentMs: 1_000 }, () => now);
});

describe("StaleCache", () => {
  test("loads once while the value is fresh", async () => {
    await cache.get("a", load);
    now += 8_999;
    expect(await cache.get("a", load)).toBe("old");
    expect(loads).toBe(1);
  });

  test("loads again once it is not", async () => {
    await cache.get("a", load);
    stored = "new";
    now += 9_000;
    expect(await cache.get("a", load)).toBe("new");
  });

  test("lets others use the old value for a moment while one refreshes it", async () => {
    await cache.get("a", load);
    now += 9_000;
    const refreshing = cache.get("a", async () => {
      expect(await cache.get("a", load)).toBe("old");
      now += 1_000;
      expect(await cache.get("a", load)).toBe("old");
      return "new";
    });
    expect(await refreshing).toBe("new");
    expect(loads).toBe(2);
  });

  test("goes on with the old value for five minutes where the store fails", async () => {
    await cache.get("a", load);
    broken = true;
    now += 300_000;
    expect(await cache.get("a", load)).toBe("old");
    now += 1_000;
    await expect(cache.get("a", load)).rejects.toThrow("store is down");
  });

  test("remembers for a second that there is nothing, and no longer", async () => {
    stored = null;
    expect(await cache.get("a", load)).toBeNull();
    stored = "made";
    expect(await cache.get("a", load)).toBeNull();
    now += 1_000;
    expect(await cache.get("a", load)).toBe("made");
  });

  test("does not go on with nothing where the store fails", async () => {
    stored = null;
    await cache.get("a", load);
    broken = true;
    now += 1_000;
    await expect(cache.get("a", load)).rejects.toThrow("store is down");
  });

  test("keeps what there is whatever is asked for that is not there", async () => {
    await cache.get("a", load);
    stored = null;
    for (let i = 0; i < 5_000; i++) await cache.get(`made-up-${i}`, load);
    broken = true;
    now += 200_000;
    expect(await cache.get("a", load)).toBe("old");
  });

  test("lets the oldest go where there is too much, and what was loaded again last", async () => {
    for (let i = 0; i < 4_000; i++) cache.set(i, `value ${i}`);
    cache.set(0, "again");
    cache.set("one more", "value");
    broken = true;
    await expect(cache.get(1, load)).rejects.toThrow("store is down");
    expect(await cache.get(0, load)).toBe("again");
    expect(await cache.get(2, load)).toBe("value 2");
  });

  test("takes what it is told, and forgets on demand", async () => {
    cache.set("a", "told");
    expect(await cache.get("a", load)).toBe("told");
    cache.forget("a");
    expect(await cache.get("a", load)).toBe("old");
  });
});
