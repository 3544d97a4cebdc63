import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env as rawEnv } from "cloudflare:workers";
import { beforeEach, describe, expect, test } from "vitest";
import { Catalog, MAX_KEYS } from "../../src/catalog/catalog.ts";
import { isSealed, SECRET_FIELD } from "../../src/core/call/sealed.ts";
import { apiKeyId } from "../../src/core/text/api-key.ts";
import type { Env } from "../../src/platform/env.ts";
import type { CatalogApi } from "../../src/protocol/catalog-api.ts";
import { shardName } from "../../src/protocol/names.ts";
import type { QueueConfig } from "../../src/protocol/queue-config.ts";
import { QueueSettings, type QueueSettingsInput, ROTATION_MS } from "../../src/schema/queue.ts";
import { keyringOf } from "../../src/sealing/env-keyring.ts";
import { unseal } from "../../src/sealing/seal.ts";

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

/** A queue's signing secrets, as whoever signs reads them. */
function opened(
  { name: queue, secrets, dataKeys: keys = [] }: QueueConfig,
  by: Env = env,
): Promise<string[]> {
  const read = (secret: string) => unseal(secret, SECRET_FIELD, keyringOf(by), { queue, keys });
  return Promise.all(secrets.map(read));
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
    expect((await put("a")).config.ref).not.toBe(first.config.ref);
  });

  test("gives refs that tell nothing of how many queues there are", async () => {
    const refs: number[] = [];
    for (const name of ["a", "b", "c"]) refs.push((await put(name)).config.ref);
    for (const ref of refs) expect(ref).toBeGreaterThanOrEqual(32 ** 6);
    const steps = refs.slice(1).map((ref, i) => Math.abs(ref - (refs[i] ?? 0)));
    expect(Math.min(...steps)).toBeGreaterThan(100);
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
    expect(await opened(made.config)).toEqual([env.REDRIVE_SIGNING_SECRET]);
  });

  test("gives a queue a secret of its own where the deployment has none, and shows it once", async () => {
    const bare = { ...env, REDRIVE_SIGNING_SECRET: "" };
    await inside(async (state) => {
      const alone = new Catalog(state, bare);
      const made = await alone.putQueue("a", settings());
      if (!made.ok) throw new Error(made.detail);
      expect(made.secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
      expect(await opened(made.config)).toEqual([made.secret]);
      expect(await alone.putQueue("a", settings())).toMatchObject({ created: false, secret: null });
    });
  });

  test("puts a new secret first and keeps one before it for a day", async () => {
    const before = Date.now();
    const first = await catalog().rotateSecret("default");
    const second = await catalog().rotateSecret("default");
    if (!first.ok || !second.ok) throw new Error("expected two rotations");
    expect(await opened(second.config)).toEqual([second.secret, first.secret]);
    expect(second.previousValidUntil).toBeGreaterThanOrEqual(before + ROTATION_MS);
    expect(second.config.previousSecretUntil).toBe(second.previousValidUntil);
    expect(second.config.version).toBe(3);
    expect(await catalog().rotateSecret("none")).toMatchObject({ code: "queue_not_found" });
  });
});

describe("Catalog encryption", () => {
  const callback = {
    url: "https://me.example.com/hook",
    headers: { Authorization: "Bearer of-the-queue", "x-plain": "shown" },
  };
  const plain: Env = { ...env, REDRIVE_ENCRYPTION_KEY: "" };
  const next: Env = {
    ...env,
    REDRIVE_ENCRYPTION_KEY: "the-next-deployment-secret-of-this-test",
    REDRIVE_ENCRYPTION_KEY_PREVIOUS: env.REDRIVE_ENCRYPTION_KEY ?? "",
  };
  /** The catalog as it starts in a deployment with these settings; its object has been one with others. */
  const started = async (state: DurableObjectState, by: Env) => {
    const made = new Catalog(state, by);
    await state.blockConcurrencyWhile(async () => {});
    return made;
  };

  test("keeps nothing secret of a queue in plain", async () => {
    const made = await put("a", { callback });
    const { Authorization = "", ...others } = made.config.settings.callback?.headers ?? {};
    expect(isSealed(Authorization)).toBe(true);
    expect(others).toEqual({ "x-plain": "shown" });
    await inside(({ storage: { sql } }) => {
      const rows = JSON.stringify(sql.exec("SELECT * FROM queues").toArray());
      expect(rows).not.toMatch(/of-the-queue|whsec_/);
      expect(rows).toContain("shown");
    });
  });

  test("keeps a queue as it is where the deployment has no secret, and seals it once there is one", async () => {
    await inside(async (state) => {
      const without = new Catalog(state, plain);
      // The object has made its queue `default` with the secret of these tests.
      await without.putQueue("a", settings({ callback }));
      const before = await without.queueByName("a");
      expect(before?.settings.callback?.headers).toEqual(callback.headers);
      expect([before?.secrets, before?.dataKeys]).toEqual([[env.REDRIVE_SIGNING_SECRET], undefined]);

      const after = await (await started(state, env)).queueByName("a");
      if (after === null) throw new Error("no queue");
      expect(JSON.stringify(after)).not.toMatch(/of-the-queue|whsec_/);
      expect(await opened(after)).toEqual([env.REDRIVE_SIGNING_SECRET]);
      expect(after).toMatchObject({
        version: 2,
        updatedAt: before?.updatedAt,
        dataKeys: [expect.any(String)],
      });
      expect(await (await started(state, env)).queueByName("a")).toEqual(after);
    });
  });

  test("takes no queue that wants its bodies encrypted where the deployment has no secret", async () => {
    expect(await put("a", { encrypt: true })).toMatchObject({ config: { settings: { encrypt: true } } });
    await inside(async (state) => {
      const without = await started(state, plain);
      const answer = await without.putQueue("b", settings({ encrypt: true }));
      expect(answer).toMatchObject({ ok: false, code: "not_configured" });
      expect(await without.queueByName("b")).toBeNull();
    });
  });

  test("wraps data keys anew under the next secret, and leaves what they seal", async () => {
    const { config } = await put("a", { callback });
    await inside(async (state) => {
      const after = await (await started(state, next)).queueByName("a");
      if (after === null) throw new Error("no queue");
      expect(after.dataKeys).not.toEqual(config.dataKeys);
      expect([after.secrets, after.settings]).toEqual([config.secrets, config.settings]);
      expect(await opened(after, { ...next, REDRIVE_ENCRYPTION_KEY_PREVIOUS: "" })).toEqual(
        await opened(config),
      );
    });
  });

  test("refuses to store in plain what it cannot seal, and changes all else", async () => {
    const { config } = await put("a", { callback });
    await inside(async (state) => {
      for (const by of [plain, { ...next, REDRIVE_ENCRYPTION_KEY_PREVIOUS: "" }]) {
        const other = await started(state, by);
        expect(await other.putQueue("a", settings({ callback }))).toMatchObject({ code: "not_configured" });
        expect(await other.rotateSecret("a")).toMatchObject({ code: "not_configured" });
        expect(await other.putQueue("a", settings({ timeout: "5s" }))).toMatchObject({ ok: true });
        expect((await other.queueByName("a"))?.dataKeys).toEqual(config.dataKeys);
      }
    });
  });

  test("makes a new data key where the operator gives a lost secret up, and keeps the old one behind it", async () => {
    const { config } = await put("a", { callback });
    await inside(async (state) => {
      const anew = { ...next, REDRIVE_ENCRYPTION_KEY_PREVIOUS: "", REDRIVE_ENCRYPTION_LOST: "on" };
      const lost = await started(state, anew);
      expect((await lost.queueByName("a"))?.dataKeys).toEqual([
        expect.any(String),
        ...(config.dataKeys ?? []),
      ]);
      const rotated = await lost.rotateSecret("a");
      if (!rotated.ok) throw new Error(rotated.detail);
      const [newest = ""] = rotated.config.secrets;
      expect(await opened({ ...rotated.config, secrets: [newest] }, anew)).toEqual([rotated.secret]);
    });
  });

  test("loses no change that comes while another is being sealed", async () => {
    await put("a", { callback });
    const [first, second] = await Promise.all([
      catalog().rotateSecret("a"),
      catalog().rotateSecret("a"),
      catalog().putQueue("a", settings({ callback, timeout: "7s" })),
      catalog().setPaused("a", true),
    ]);
    const after = await catalog().queueByName("a");
    if (after === null || !first.ok || !second.ok) throw new Error("expected two rotations");
    expect(new Set(await opened(after))).toEqual(new Set([first.secret, second.secret]));
    expect(after).toMatchObject({ version: 5, paused: true, settings: { timeout: 7_000 } });
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
