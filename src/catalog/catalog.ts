import { DurableObject } from "cloudflare:workers";
import { QUEUE_REF_BYTES, randomQueueRef } from "../core/task/task-id.ts";
import { API_KEY_BYTES, makeApiKey } from "../core/text/api-key.ts";
import { clock } from "../platform/clock.ts";
import { makeSigningSecret, sha256Hex } from "../platform/digest.ts";
import type { Env } from "../platform/env.ts";
import { migrate } from "../platform/migrate.ts";
import type {
  CatalogApi,
  DoneAnswer,
  KeyRecord,
  PutQueueAnswer,
  QueueAnswer,
  RotateAnswer,
} from "../protocol/catalog-api.ts";
import type { QueueConfig } from "../protocol/queue-config.ts";
import type { Refusal } from "../protocol/refusal.ts";
import type { KeyRequest } from "../schema/key.ts";
import type { ErrorCode } from "../schema/problem.ts";
import { DEFAULT_SHARDS, QueueSettings, ROTATION_MS } from "../schema/queue.ts";
import { noQueueText } from "../schema/shape.ts";
import { DEFAULT_QUEUE } from "../schema/task.ts";
import { keyringOf } from "../sealing/env-keyring.ts";
import { UnsealError } from "../sealing/keyring.ts";
import { checkSettings } from "./check-settings.ts";
import { closeShards, destroyShards, type ShardByName } from "./close-shards.ts";
import { KeyRows } from "./key-rows.ts";
import { CATALOG_MIGRATIONS } from "./migrations.ts";
import { type NewQueue, QueueRows } from "./queue-rows.ts";
import { QueueSeal, type Secrets } from "./queue-seal.ts";

/** Bounds what one answer of the catalog holds. */
export const MAX_QUEUES = 1_000;
/** Bounds it as well. */
export const MAX_KEYS = 1_000;

/**
 * Queues and API keys: one object for the whole deployment. The queue `default` is always there. A queue's first
 * signing secret is REDRIVE_SIGNING_SECRET where that is set when the queue is made, else one of its own.
 */
export class Catalog extends DurableObject<Env> implements CatalogApi {
  readonly #queues: QueueRows;
  readonly #keys: KeyRows;
  readonly #shard: ShardByName;
  readonly #seal: QueueSeal;
  /** Names of queues that are being deleted: two deletions must not take turns closing and opening shards. */
  readonly #deleting = new Set<string>();

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const { sql } = ctx.storage;
    migrate(sql, (run) => ctx.storage.transactionSync(run), CATALOG_MIGRATIONS, clock.now());
    this.#queues = new QueueRows(sql);
    this.#keys = new KeyRows(sql);
    this.#shard = (name) => env.SHARD.getByName(name);
    this.#seal = new QueueSeal(keyringOf(env), env.REDRIVE_ENCRYPTION_LOST === "on");
    ctx.blockConcurrencyWhile(() => this.#begin());
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
    const before = this.#queues.byName(name);
    const refusal = checkSettings(settings, before?.shards ?? null);
    if (refusal !== null) return refusal;
    if (this.#deleting.has(name)) return refuse("queue_conflict", `queue "${name}" is being deleted`);
    const secret = this.#deploymentSecret() ?? makeSigningSecret();
    const { shards: _, ...changed } = settings;
    const wanted = before === null ? newQueue(name, settings, secret) : { ...before, settings: changed };
    const sealed = await this.#sealed(wanted);
    if (!sealed.ok) return sealed;
    if (settings.encrypt && sealed.queue.dataKeys === undefined) {
      return refuse("not_configured", "encrypt: REDRIVE_ENCRYPTION_KEY is not set");
    }
    // While it was sealed, others may have changed the queue, made it or deleted it.
    if (!isSame(this.#queues.byName(name), before)) return this.putQueue(name, settings);
    if (before !== null) {
      const config = this.#queues.update({ ...before, ...sealed.queue }, clock.now());
      return { ok: true, config, created: false, secret: null };
    }
    if (this.#queues.count() >= MAX_QUEUES) {
      return refuse("queue_conflict", `a deployment has at most ${MAX_QUEUES} queues; delete one first`);
    }
    const config = this.#queues.insert(sealed.queue, this.#newRef());
    return { ok: true, config, created: true, secret: this.#deploymentSecret() === null ? secret : null };
  }

  async setPaused(name: string, paused: boolean): Promise<QueueAnswer> {
    const existing = this.#queues.byName(name);
    if (existing === null) return noQueue(name);
    if (existing.paused === paused) return { ok: true, config: existing };
    return { ok: true, config: this.#queues.update({ ...existing, paused }, clock.now()) };
  }

  async deleteQueue(name: string, force = false): Promise<DoneAnswer> {
    if (name === DEFAULT_QUEUE) return refuse("queue_conflict", `queue "${name}" is always there`);
    const queue = this.#queues.byName(name);
    if (queue === null) return noQueue(name);
    if (this.#deleting.has(name)) return refuse("queue_conflict", `queue "${name}" is being deleted already`);
    this.#deleting.add(name);
    try {
      if (!(await closeShards(queue, this.#shard, force))) {
        return refuse(
          "queue_not_empty",
          `queue "${name}" has tasks that are not final${force ? "" : ", or callbacks to deliver: force=true drops those"}`,
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
    const before = this.#queues.byName(name);
    if (before === null) return noQueue(name);
    const secret = makeSigningSecret();
    const secrets = [secret, ...before.secrets.slice(0, 1)];
    const previousValidUntil = clock.now() + ROTATION_MS;
    const sealed = await this.#sealed({ ...before, secrets, previousSecretUntil: previousValidUntil });
    if (!sealed.ok) return sealed;
    // While it was sealed, others may have changed the queue.
    if (!isSame(this.#queues.byName(name), before)) return this.rotateSecret(name);
    return { ok: true, config: this.#queues.update(sealed.queue, clock.now()), secret, previousValidUntil };
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
    return this.#keys.delete(id) ? { ok: true } : refuse("key_not_found", "there is no key of this id");
  }

  async keyById(id: string): Promise<KeyRecord | null> {
    return this.#keys.byId(id);
  }

  /** Makes the queue `default` where it is not there, and seals what an earlier start has left plain. Never throws. */
  async #begin(): Promise<void> {
    if (this.#queues.byName(DEFAULT_QUEUE) === null) {
      const secret = this.#deploymentSecret() ?? makeSigningSecret();
      const sealed = await this.#sealed(newQueue(DEFAULT_QUEUE, QueueSettings.parse({}), secret));
      if (sealed.ok) this.#queues.insert(sealed.queue, null);
    }
    for (const queue of this.#queues.all()) {
      const sealed = await this.#sealed(queue);
      if (sealed.ok && sealed.queue !== queue) this.#queues.update(sealed.queue, queue.updatedAt);
    }
  }

  async #sealed<T extends Secrets>(queue: T): Promise<{ ok: true; queue: T } | Refusal> {
    try {
      return { ok: true, queue: await this.#seal.sealed(queue) };
    } catch (error) {
      if (!(error instanceof UnsealError)) throw error;
      return refuse("not_configured", `queue "${queue.name}": ${error.message}`);
    }
  }

  #newRef(): number {
    for (;;) {
      const ref = randomQueueRef(crypto.getRandomValues(new Uint8Array(QUEUE_REF_BYTES)));
      if (this.#queues.byRef(ref) === null) return ref;
    }
  }

  #deploymentSecret(): string | null {
    return this.env.REDRIVE_SIGNING_SECRET || null;
  }
}

/** Whether a queue has not changed between two looks; null: it was not there. */
function isSame(now: QueueConfig | null, before: QueueConfig | null): boolean {
  return now?.ref === before?.ref && now?.version === before?.version;
}

function newQueue(name: string, given: QueueSettings, secret: string): NewQueue {
  const { shards = DEFAULT_SHARDS, ...settings } = given;
  const now = clock.now();
  const times = { createdAt: now, updatedAt: now };
  return { name, shards, paused: false, settings, secrets: [secret], previousSecretUntil: null, ...times };
}

function refuse(code: ErrorCode, detail: string): Refusal {
  return { ok: false, code, detail };
}

function noQueue(name: string): Refusal {
  return refuse("queue_not_found", noQueueText(name));
}
