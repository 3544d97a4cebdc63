import { DurableObject } from "cloudflare:workers";
import init from "../../migrations/catalog/0001_init.sql";
import { clock } from "../clock.ts";
import { API_KEY_BYTES, makeApiKey } from "../core/keys.ts";
import type { QueueConfig, Refusal } from "../core/messages.ts";
import { migrate } from "../core/migrate.ts";
import type { Env } from "../env.ts";
import type { KeyRequest } from "../schema/key.ts";
import type { ErrorCode } from "../schema/problem.ts";
import { DEFAULT_SHARDS, QueueSettings, ROTATION_MS } from "../schema/queue.ts";
import { DEFAULT_QUEUE } from "../schema/task.ts";
import type {
  CatalogApi,
  DoneAnswer,
  KeyRecord,
  PutQueueAnswer,
  QueueAnswer,
  RotateAnswer,
} from "./catalog-api.ts";
import { checkSettings } from "./check-settings.ts";
import { closeShards, destroyShards, type ShardByName } from "./close-shards.ts";
import { KeyRows } from "./key-rows.ts";
import { QueueRows } from "./queue-rows.ts";
import { makeSigningSecret, sha256Hex } from "./secrets.ts";

/** The name of the only Catalog object. */
export const CATALOG_NAME = "catalog";
/** Bounds what one answer of the catalog holds. */
export const MAX_QUEUES = 1_000;
export const MAX_KEYS = 1_000;

const MIGRATIONS = [{ name: "0001_init.sql", sql: init }];

/**
 * Queues and API keys: one object for the whole deployment. The queue `default` is always there. A queue's first
 * signing secret is REDRIVE_SIGNING_SECRET where that is set when the queue is made, else one of its own.
 */
export class Catalog extends DurableObject<Env> implements CatalogApi {
  readonly #queues: QueueRows;
  readonly #keys: KeyRows;
  readonly #shard: ShardByName;
  /** Names of queues that are being deleted: two deletions must not take turns closing and opening shards. */
  readonly #deleting = new Set<string>();

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const { sql } = ctx.storage;
    migrate(sql, (run) => ctx.storage.transactionSync(run), MIGRATIONS, clock.now());
    this.#queues = new QueueRows(sql);
    this.#keys = new KeyRows(sql);
    this.#shard = (name) => env.SHARD.getByName(name);
    if (this.#queues.byName(DEFAULT_QUEUE) === null) this.#create(DEFAULT_QUEUE, QueueSettings.parse({}));
  }

  async queueByName(name: string): Promise<QueueConfig | null> {
    return this.#queues.byName(name);
  }

  async queueByRef(ref: number): Promise<QueueConfig | null> {
    return this.#queues.byRef(ref);
  }

  async queues(): Promise<QueueConfig[]> {
    return this.#queues.all();
  }

  async putQueue(name: string, settings: QueueSettings): Promise<PutQueueAnswer> {
    const existing = this.#queues.byName(name);
    const refusal = checkSettings(settings, existing?.shards ?? null);
    if (refusal !== null) return refusal;
    if (this.#deleting.has(name)) return refuse("queue_conflict", `queue "${name}" is being deleted`);
    if (existing !== null) {
      const { shards: _, ...changed } = settings;
      const config = this.#queues.update({ ...existing, settings: changed }, clock.now());
      return { ok: true, config, created: false, secret: null };
    }
    if (this.#queues.count() >= MAX_QUEUES) {
      return refuse("queue_conflict", `a deployment has at most ${MAX_QUEUES} queues; delete one first`);
    }
    const config = this.#create(name, settings);
    const own = this.#deploymentSecret() === null ? (config.secrets[0] ?? null) : null;
    return { ok: true, config, created: true, secret: own };
  }

  async setPaused(name: string, paused: boolean): Promise<QueueAnswer> {
    const existing = this.#queues.byName(name);
    if (existing === null) return noQueue(name);
    if (existing.paused === paused) return { ok: true, config: existing };
    return { ok: true, config: this.#queues.update({ ...existing, paused }, clock.now()) };
  }

  async deleteQueue(name: string): Promise<DoneAnswer> {
    if (name === DEFAULT_QUEUE) return refuse("queue_conflict", `queue "${name}" is always there`);
    const queue = this.#queues.byName(name);
    if (queue === null) return noQueue(name);
    if (this.#deleting.has(name)) return refuse("queue_conflict", `queue "${name}" is being deleted already`);
    this.#deleting.add(name);
    try {
      if (!(await closeShards(queue, this.#shard))) {
        return refuse(
          "queue_not_empty",
          `queue "${name}" has tasks that are not final, or callbacks to deliver`,
        );
      }
      this.#queues.delete(queue.ref);
      await destroyShards(queue, this.#shard);
      return { ok: true };
    } finally {
      this.#deleting.delete(name);
    }
  }

  async rotateSecret(name: string): Promise<RotateAnswer> {
    const existing = this.#queues.byName(name);
    if (existing === null) return noQueue(name);
    const now = clock.now();
    const secret = makeSigningSecret();
    const secrets = [secret, ...existing.secrets.slice(0, 1)];
    const previousValidUntil = now + ROTATION_MS;
    const config = this.#queues.update(
      { ...existing, secrets, previousSecretUntil: previousValidUntil },
      now,
    );
    return { ok: true, config, secret, previousValidUntil };
  }

  async createKey(request: KeyRequest): Promise<{ ok: true; key: KeyRecord; text: string } | Refusal> {
    if (this.#keys.count() >= MAX_KEYS) {
      return refuse("invalid_request", `a deployment has at most ${MAX_KEYS} keys; revoke one first`);
    }
    const { id, text } = makeApiKey(crypto.getRandomValues(new Uint8Array(API_KEY_BYTES)));
    const hash = await sha256Hex(text);
    const { name, scopes, queues = null } = request;
    const key: KeyRecord = { id, name, hash, scopes: [...new Set(scopes)], queues, createdAt: clock.now() };
    this.#keys.insert(key);
    return { ok: true, key, text };
  }

  async keys(): Promise<KeyRecord[]> {
    return this.#keys.all();
  }

  async revokeKey(id: string): Promise<DoneAnswer> {
    return this.#keys.delete(id) ? { ok: true } : refuse("key_not_found", `there is no key "${id}"`);
  }

  async keyById(id: string): Promise<KeyRecord | null> {
    return this.#keys.byId(id);
  }

  #create(name: string, settings: QueueSettings): QueueConfig {
    const { shards = DEFAULT_SHARDS, ...rest } = settings;
    const now = clock.now();
    return this.#queues.insert({
      name,
      shards,
      paused: false,
      settings: rest,
      secrets: [this.#deploymentSecret() ?? makeSigningSecret()],
      previousSecretUntil: null,
      createdAt: now,
      updatedAt: now,
    });
  }

  #deploymentSecret(): string | null {
    return this.env.REDRIVE_SIGNING_SECRET || null;
  }
}

function refuse(code: ErrorCode, detail: string): Refusal {
  return { ok: false, code, detail };
}

function noQueue(name: string): Refusal {
  return refuse("queue_not_found", `there is no queue "${name}"`);
}
