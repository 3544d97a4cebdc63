import type { KeyRequest, Scope } from "../schema/key.ts";
import type { QueueSettings } from "../schema/queue.ts";
import type { QueueConfig } from "./queue-config.ts";
import type { Refusal } from "./refusal.ts";

/** An API key as the catalog keeps it: never the key itself, only its hash. */
export interface KeyRecord {
  id: string;
  name: string;
  /** SHA-256 of the whole key, hex. */
  hash: string;
  scopes: Scope[];
  /** The only queues it works for; null: all. */
  queues: string[] | null;
  createdAt: number;
}

/** `secret` is the new queue's own signing secret; null where it has the deployment's, or was there already. */
export type PutQueueAnswer =
  | { ok: true; config: QueueConfig; created: boolean; secret: string | null }
  | Refusal;

export type QueueAnswer = { ok: true; config: QueueConfig } | Refusal;
export type RotateAnswer =
  | { ok: true; config: QueueConfig; secret: string; previousValidUntil: number }
  | Refusal;
export type DoneAnswer = { ok: true } | Refusal;

/** What the catalog answers the API and the shards. All but `createKey` and `rotateSecret` may be repeated. */
export interface CatalogApi extends CatalogPort {
  /** `queue` itself is taken: every stub has a method of that name of its own. */
  queueByName(name: string): Promise<QueueConfig | null>;
  /** All queues, by name. */
  queues(): Promise<QueueConfig[]>;
  /** Makes the queue, or replaces all its settings; the number of shards never changes. */
  putQueue(name: string, settings: QueueSettings): Promise<PutQueueAnswer>;
  setPaused(name: string, paused: boolean): Promise<QueueAnswer>;
  /** Closes the queue's shards and forgets it, unless a task of it is not final or a callback not delivered. */
  deleteQueue(name: string, force?: boolean): Promise<DoneAnswer>;
  /** A new secret first, the one before it valid for ROTATION_MS more, older ones no longer. */
  rotateSecret(name: string): Promise<RotateAnswer>;
  /** Makes a key; `text` is the key itself, known to the caller only. */
  createKey(request: KeyRequest): Promise<{ ok: true; key: KeyRecord; text: string } | Refusal>;
  /** All keys, oldest first. */
  keys(): Promise<KeyRecord[]>;
  revokeKey(id: string): Promise<DoneAnswer>;
  keyById(id: string): Promise<KeyRecord | null>;
}

/** What shards ask of the catalog. */
export interface CatalogPort {
  /** The queue of this reference; null: there is none (any more). */
  queueByRef(ref: number): Promise<QueueConfig | null>;
}
