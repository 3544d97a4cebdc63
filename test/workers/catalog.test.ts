import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env as rawEnv } from "cloudflare:workers";
import { beforeEach, describe, expect, test } from "vitest";
import { Catalog, MAX_KEYS } from "../../src/catalog/catalog.ts";
import type { CatalogApi } from "../../src/catalog/catalog-api.ts";
import { apiKeyId } from "../../src/core/keys.ts";
import { shardName } from "../../src/core/queue-shards.ts";
import type { Env } from "../../src/env.ts";
import { QueueSettings, type QueueSettingsInput, ROTATION_MS } from "../../src/schema/queue.ts";

const env = rawEnv as unknown as Env;
const settings = (input: QueueSettingsInput = {}) => QueueSettings.parse(input);

let name: string;
let count = 0;

/** A new stub of a catalog that is this test's own. */
function catalog(): CatalogApi & DurableObjectStub {
  return env.CATALOG.getByName(name) as unknown as CatalogApi & DurableObjectStub;
}

async function put(queue: string, input: QueueSettingsInput = {}) {
  const answer = await catalog().putQueue(queue, settings(input));
  if (!answer.ok) throw new Error(answer.detail);
  return answer;
}

/** Runs inside the catalog's own object. */
function inside<R>(run: (state: DurableObjectState) => R | Promise<R>): Promise<R> {
  const stub = catalog() as unknown as DurableObjectStub<Catalog>;
  return runInDurableObject(stub, (_, state) => run(state));
}

/** Shards are named by their queue's ref, and all catalogs of this file share them: each gets refs of its own. */
beforeEach(async () => {
  name = `catalog-${++count}`;
  await inside(({ storage: { sql } }) => {
    sql.exec(
      `INSERT INTO queues (ref, name, shards, version, paused, settings, secrets, created_at, updated_at)
       VALUES (?, 'last', 1, 1, 0, '{}', '[]', 0, 0)`,
      count * 100,
    );
    sql.exec("DELETE FROM queues WHERE name = 'last'");
  });
});

describe("Catalog queues", () => {
  test("has the queue default from the first use, with ref 1", async () => {
    expect(await catalog().queueByName("default")).toMatchObject({
      name: "default",
      ref: 1,
      shards: 4,
      version: 1,
    });
    expect(await catalog().queueByRef(1)).toMatchObject({ name: "default" });
    expect((await catalog().queues()).map((queue) => queue.name)).toEqual(["default"]);
  });

  test("knows nothing of other names and refs", async () => {
    expect(await catalog().queueByName("none")).toBeNull();
    expect(await catalog().queueByRef(2)).toBeNull();
  });

  test("makes a queue once, and replaces all its settings after that", async () => {
    const made = await put("a", { concurrency: 8, timeout: "5s" });
    expect(made).toMatchObject({
      created: true,
      config: { version: 1, settings: { concurrency: 8, timeout: 5_000 } },
    });
    const changed = await put("a", { concurrency: 16 });
    expect(changed).toMatchObject({ created: false, config: { version: 2, ref: made.config.ref } });
    expect(changed.config.settings).toMatchObject({ concurrency: 16, timeout: 20_000 });
    expect(changed.config.secrets).toEqual(made.config.secrets);
  });

  test("keeps the number of shards for good", async () => {
    await put("a", { shards: 2 });
    expect((await put("a", { concurrency: 8 })).config.shards).toBe(2);
    expect(await catalog().putQueue("a", settings({ shards: 3 }))).toMatchObject({
      ok: false,
      code: "queue_conflict",
    });
    expect(await catalog().queueByName("a")).toMatchObject({ shards: 2, version: 2 });
  });

  test("refuses fewer slots than shards", async () => {
    const refusal = await catalog().putQueue("a", settings({ shards: 8, concurrency: 4 }));
    expect(refusal).toMatchObject({ ok: false, code: "invalid_request", errors: [{ path: "concurrency" }] });
    expect(await catalog().queueByName("a")).toBeNull();
  });

  test("pauses and resumes, raising the version only where something changes", async () => {
    expect(await catalog().setPaused("default", true)).toMatchObject({
      config: { paused: true, version: 2 },
    });
    expect(await catalog().setPaused("default", true)).toMatchObject({
      config: { paused: true, version: 2 },
    });
    expect(await catalog().setPaused("default", false)).toMatchObject({
      config: { paused: false, version: 3 },
    });
    expect(await catalog().setPaused("none", true)).toMatchObject({ code: "queue_not_found" });
  });

  test("keeps a pause over a change of settings", async () => {
    await put("a");
    await catalog().setPaused("a", true);
    expect((await put("a", { concurrency: 9 })).config.paused).toBe(true);
  });

  test("gives a queue that is made again a new ref", async () => {
    const first = await put("a");
    expect(await catalog().deleteQueue("a")).toEqual({ ok: true });
    expect(await catalog().queueByRef(first.config.ref)).toBeNull();
    expect((await put("a")).config.ref).toBeGreaterThan(first.config.ref);
  });

  test("does not delete the queue default, nor one that is not there", async () => {
    expect(await catalog().deleteQueue("default")).toMatchObject({ ok: false, code: "queue_conflict" });
    expect(await catalog().deleteQueue("none")).toMatchObject({ ok: false, code: "queue_not_found" });
  });

  test("deletes a queue once where two ask for it at once", async () => {
    await put("a");
    const answers = await Promise.all([catalog().deleteQueue("a"), catalog().deleteQueue("a")]);
    expect(answers.filter((answer) => answer.ok)).toHaveLength(1);
    expect(answers.find((answer) => !answer.ok)).toMatchObject({ code: expect.stringMatching(/^queue_/) });
  });

  test("opens the shards that an interrupted deletion left closed, where one has work", async () => {
    const { config } = await put("a", { shards: 2 });
    const shard = (index: number) => env.SHARD.getByName(shardName(config.ref, index));
    await shard(0).configure(config);
    await shard(1).configure({ ...config, paused: true });
    await shard(1).submit({ queueVersion: config.version, tasks: [taskOf(config.ref, 1)] });
    expect(await shard(0).close()).toBe(true);
    expect(await catalog().deleteQueue("a")).toMatchObject({ ok: false, code: "queue_not_empty" });
    const [result] = await shard(0).submit({ queueVersion: config.version, tasks: [taskOf(config.ref, 0)] });
    expect(result).toMatchObject({ ok: true });
    expect(await catalog().queueByName("a")).not.toBeNull();
  });

  test("keeps everything over an eviction", async () => {
    await put("a", { concurrency: 12 });
    const before = await catalog().queues();
    await evictDurableObject(catalog());
    expect(await catalog().queues()).toEqual(before);
  });

  test("fills what an older release did not store", async () => {
    await put("a", { concurrency: 12 });
    await inside((state) => {
      state.storage.sql.exec(`UPDATE queues SET settings = '{"concurrency":12}' WHERE name = 'a'`);
    });
    expect((await catalog().queueByName("a"))?.settings).toMatchObject({
      concurrency: 12,
      timeout: 20_000,
      retry: {},
    });
  });
});

function taskOf(queueRef: number, shard: number) {
  const id = `tsk_01M83MT475ZGQ00Y1CENRJ0${shard}${queueRef.toString(32).toUpperCase()}`;
  const call = {
    url: "https://api.example.com/",
    method: "POST",
    headers: {},
    body: null,
    bodyEncoding: "utf8" as const,
    timeoutMs: null,
    maxRedirects: 0,
    retry: null,
    labels: [],
    metadata: {},
    idempotencyKey: null,
    traceparent: null,
  };
  const target = "https://api.example.com";
  const key = { idempotencyKey: null, requestHash: null };
  return { id, target, priority: 5, delayMs: 3_600_000, runAt: null, call, edge: false, ...key };
}

describe("Catalog secrets", () => {
  test("gives every queue the deployment's secret where there is one", async () => {
    const made = await put("a");
    expect(made.secret).toBeNull();
    expect(made.config.secrets).toEqual([env.REDRIVE_SIGNING_SECRET]);
  });

  test("gives a queue a secret of its own where the deployment has none, and shows it once", async () => {
    const bare = { ...env, REDRIVE_SIGNING_SECRET: "" };
    await inside(async (state) => {
      const alone = new Catalog(state, bare);
      const made = await alone.putQueue("a", settings());
      if (!made.ok) throw new Error(made.detail);
      expect(made.secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
      expect(made.config.secrets).toEqual([made.secret]);
      expect(await alone.putQueue("a", settings())).toMatchObject({ created: false, secret: null });
    });
  });

  test("puts a new secret first and keeps one before it for a day", async () => {
    const before = Date.now();
    const first = await catalog().rotateSecret("default");
    const second = await catalog().rotateSecret("default");
    if (!first.ok || !second.ok) throw new Error("expected two rotations");
    expect(second.config.secrets).toEqual([second.secret, first.secret]);
    expect(second.previousValidUntil).toBeGreaterThanOrEqual(before + ROTATION_MS);
    expect(second.config.previousSecretUntil).toBe(second.previousValidUntil);
    expect(second.config.version).toBe(3);
    expect(await catalog().rotateSecret("none")).toMatchObject({ code: "queue_not_found" });
  });
});

describe("Catalog keys", () => {
  test("makes a key, and keeps its hash only", async () => {
    const made = await catalog().createKey({ name: "shop", scopes: ["submit", "submit"], queues: ["pay"] });
    if (!made.ok) throw new Error(made.detail);
    expect(apiKeyId(made.text)).toBe(made.key.id);
    const stored = await catalog().keyById(made.key.id);
    expect(stored).toEqual(made.key);
    expect(stored).toMatchObject({
      name: "shop",
      scopes: ["submit"],
      queues: ["pay"],
      hash: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    await inside((state) => {
      const rows = JSON.stringify(state.storage.sql.exec("SELECT * FROM keys").toArray());
      expect(rows).not.toContain(made.text.slice(-39));
    });
  });

  test("lists keys, and forgets one that is revoked", async () => {
    const made = await catalog().createKey({ name: "a", scopes: ["read"] });
    if (!made.ok) throw new Error(made.detail);
    expect((await catalog().keys()).map((key) => key.id)).toEqual([made.key.id]);
    expect(await catalog().revokeKey(made.key.id)).toEqual({ ok: true });
    expect(await catalog().keyById(made.key.id)).toBeNull();
    expect(await catalog().revokeKey(made.key.id)).toMatchObject({ ok: false, code: "key_not_found" });
  });

  test("refuses one key too many", async () => {
    await inside((state) => {
      for (let i = 0; i < MAX_KEYS; i++) {
        state.storage.sql.exec("INSERT INTO keys VALUES (?, 'n', 'h', '[]', NULL, 0)", `k${i}`);
      }
    });
    expect(await catalog().createKey({ name: "a", scopes: ["read"] })).toMatchObject({ ok: false });
  });
});
