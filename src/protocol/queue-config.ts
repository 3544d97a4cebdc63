import type { QueueSettings } from "../schema/queue.ts";

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
