import { complete } from "../schema/complete.ts";
import { QueueSettings } from "../schema/queue.ts";

/** The number of shards is a column of its own. */
const StoredSettings = QueueSettings.omit({ shards: true });

/** A queue as the catalog knows it and a shard keeps it. */
export interface QueueConfig {
  name: string;
  /** Unique for each queue and generation; part of shard names and task ids. */
  ref: number;
  shards: number;
  /** Rises with every change; a shard with an older one pulls. */
  version: number;
  paused: boolean;
  settings: Omit<QueueSettings, "shards">;
  /** Signing secrets, newest first (`whsec_...`, or sealed); while rotating, two. */
  secrets: string[];
  /** Until when secrets after the first are signed with; epoch ms. */
  previousSecretUntil: number | null;
  /** Its data keys, wrapped, newest first; left out: its secrets are not encrypted. */
  dataKeys?: string[];
  createdAt: number;
  updatedAt: number;
}

/**
 * A queue's settings as any release may have stored them, with the default of each that was added since, nested ones
 * too. Catalog and shards both read what they stored through this, so that they go by the same settings.
 */
export function completeSettings(stored: unknown): QueueConfig["settings"] {
  return complete(StoredSettings, stored ?? {}) as QueueConfig["settings"];
}
