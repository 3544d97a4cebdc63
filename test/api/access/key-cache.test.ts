import { beforeEach, describe, expect, test } from "vitest";
import { KeyCache } from "../../../src/api/access/key-cache.ts";
import type { KeyRecord } from "../../../src/protocol/catalog-api.ts";

let now: number;
let loads: number;
let stored: string[];
let broken: boolean;
let cache: KeyCache;

const keyOf = (id: string): KeyRecord => ({ id, name: id, hash: "", scopes: [], queues: null, createdAt: 0 });

async function load(): Promise<KeyRecord[]> {
  loads += 1;
  if (broken) throw new Error("catalog is away");
  return stored.map(keyOf);
}

const idOf = async (id: string): Promise<string | null> => (await cache.get(id, load))?.id ?? null;

beforeEach(() => {
  now = 1_000_000;
  loads = 0;
  stored = ["a", "b"];
  broken = false;
  const times = { freshMs: 9_000, refreshMs: 1_000, staleMs: 300_000, absentMs: 1_000 };
  const wait = async (ms: number) => {
    now += ms;
  };
  cache = new KeyCache(times, { now: () => now, wait });
});

describe("KeyCache", () => {
  test("knows all keys by one load while they are fresh", async () => {
    expect([await idOf("a"), await idOf("b")]).toEqual(["a", "b"]);
    now += 8_999;
    expect(await idOf("b")).toBe("b");
    expect(loads).toBe(1);
  });

  test("learns of a revoked key once they are not", async () => {
    await idOf("a");
    stored = ["b"];
    now += 9_000;
    expect(await idOf("a")).toBeNull();
  });

  test("lets valid keys go on for five minutes where the catalog is away, after any number of made-up ones", async () => {
    await idOf("a");
    for (let i = 0; i < 2_500; i++) expect(await idOf(`made-up-${i}`)).toBeNull();
    broken = true;
    const loadedAt = now;
    now = loadedAt + 299_000;
    expect([await idOf("a"), await idOf("b")]).toEqual(["a", "b"]);
    now = loadedAt + 302_000;
    await expect(idOf("a")).rejects.toThrow("catalog is away");
  });

  test("asks the catalog five times a second at most for ids that it does not know, after ten at once", async () => {
    const startedAt = now;
    for (let i = 0; i < 200; i++) await idOf(`made-up-${i}`);
    expect(loads).toBeLessThanOrEqual(10 + (5 * (now - startedAt)) / 1_000 + 1);
    expect(now - startedAt).toBeGreaterThan(30_000);
  });

  test("finds a key that was made elsewhere at its first use, though others have just been looked for", async () => {
    expect(await idOf("made-up")).toBeNull();
    stored = ["a", "b", "new"];
    expect(await idOf("new")).toBe("new");
  });

  test("remembers for a second that there is no such key, unless it is told otherwise", async () => {
    expect([await idOf("c"), await idOf("c")]).toEqual([null, null]);
    expect(loads).toBe(1);
    stored = ["c"];
    cache.forget("c");
    expect(await idOf("c")).toBe("c");
  });

  test("knows no key any more that this isolate has revoked, with the catalog away too", async () => {
    await idOf("a");
    cache.forget("a");
    broken = true;
    await expect(idOf("a")).rejects.toThrow("catalog is away");
    expect(await idOf("b")).toBe("b");
  });

  test("says nothing of an id that it could not ask for", async () => {
    broken = true;
    await expect(idOf("a")).rejects.toThrow("catalog is away");
  });
});
