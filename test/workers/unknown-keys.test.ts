import { env as rawEnv } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createApp } from "../../src/api/app.ts";
import { API_KEY_BYTES, makeApiKey } from "../../src/core/text/api-key.ts";
import { clock } from "../../src/platform/clock.ts";
import { sha256Hex } from "../../src/platform/digest.ts";
import type { Env } from "../../src/platform/env.ts";
import type { KeyRecord } from "../../src/protocol/catalog-api.ts";

// A thousand requests take a busy machine some seconds.
vi.setConfig({ testTimeout: 60_000 });

const VALID = 404;
const app = createApp();
let catalogCalls: number;
let isAway: boolean;
let stored: KeyRecord[];

/** A catalog that counts who asks it. */
const catalog = {
  keys: async () => answer(stored),
  queues: async () => answer([]),
  queueByName: async () => answer(null),
};
const env: Env = {
  ...(rawEnv as unknown as Env),
  CATALOG: { getByName: () => catalog } as unknown as Env["CATALOG"],
};

function answer<T>(value: T): T {
  catalogCalls += 1;
  if (isAway) throw new Error("the catalog is away");
  return value;
}

function newKey() {
  return makeApiKey(crypto.getRandomValues(new Uint8Array(API_KEY_BYTES)));
}

/** Of a path where there is nothing but for those whose key is valid: they learn so. */
async function statusWith(text: string): Promise<number> {
  const headers = { authorization: `Bearer ${text}` };
  return (await app.request("/v1/nowhere", { headers }, env)).status;
}

/** Makes a key that is stored, and gives its text. */
async function storedKey(): Promise<string> {
  const { id, text } = newKey();
  const hash = await sha256Hex(text);
  stored = [...stored, { id, name: id, hash, scopes: ["admin"], queues: null, createdAt: 0 }];
  return text;
}

beforeEach(() => {
  catalogCalls = 0;
  isAway = false;
  stored = [];
});

afterEach(() => {
  vi.restoreAllMocks();
});

describe("made-up keys of a right checksum", () => {
  test("reach the catalog a few times however many there are, and each gets 401", async () => {
    const statuses = await Promise.all(Array.from({ length: 500 }, () => statusWith(newKey().text)));
    expect(new Set(statuses)).toEqual(new Set([401]));
    expect(catalogCalls).toBeLessThan(10);
  });

  test("push no valid key out, which goes on for five minutes with the catalog away", async () => {
    const valid = await storedKey();
    expect(await statusWith(valid)).toBe(VALID);
    await Promise.all(Array.from({ length: 1_000 }, () => statusWith(newKey().text)));
    isAway = true;
    vi.spyOn(clock, "now").mockImplementation(() => Date.now() + 280_000);
    expect(await statusWith(valid)).toBe(VALID);
    expect(await statusWith(newKey().text)).toBe(503);
  });

  test("do not keep a key that has just been made elsewhere from being found at once", async () => {
    const made = await storedKey();
    const others = Array.from({ length: 100 }, () => statusWith(newKey().text));
    expect(await statusWith(made)).toBe(VALID);
    await Promise.all(others);
  });
});

describe("GET /readyz", () => {
  test("asks the catalog a few times however many ask at once", async () => {
    const answers = await Promise.all(Array.from({ length: 300 }, () => app.request("/readyz", {}, env)));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    expect(catalogCalls).toBeLessThan(10);
  });

  test("says at once that the catalog is away", async () => {
    isAway = true;
    expect((await app.request("/readyz", {}, env)).status).toBe(503);
    isAway = false;
    expect((await app.request("/readyz", {}, env)).status).toBe(200);
  });
});
