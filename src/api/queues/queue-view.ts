import { redactHeaders } from "../../core/call/secret-headers.ts";
import type { QueueConfig } from "../../protocol/queue-config.ts";
import type { ShardStats } from "../../protocol/shard-api.ts";
import type { QueueView, TaskCounts } from "../../schema/queue.ts";
import { TASK_STATES } from "../../schema/task.ts";

/** A queue as the API shows it: without its secrets, and secret callback headers without their values. */
export function queueView(queue: QueueConfig): QueueView {
  const { callback } = queue.settings;
  const shown = callback?.headers && { ...callback, headers: redactHeaders(callback.headers) };
  return {
    name: queue.name,
    paused: queue.paused,
    shards: queue.shards,
    settings: { ...queue.settings, callback: shown ?? callback },
    created_at: new Date(queue.createdAt).toISOString(),
    updated_at: new Date(queue.updatedAt).toISOString(),
  };
}

/** The counts of all shards of a queue together. */
export function sumStats(
  stats: readonly ShardStats[],
  now: number,
): Required<Pick<QueueView, "counts" | "callbacks_waiting" | "oldest_waiting_ms">> {
  const counts = Object.fromEntries(
    TASK_STATES.map((state) => [state, stats.reduce((sum, shard) => sum + shard.counts[state], 0)]),
  ) as TaskCounts;
  const dueAts = stats.flatMap(({ oldestDueAt }) => oldestDueAt ?? []);
  return {
    counts,
    callbacks_waiting: stats.reduce((sum, shard) => sum + shard.callbacksWaiting, 0),
    oldest_waiting_ms: dueAts.length === 0 ? null : Math.max(0, now - Math.min(...dueAts)),
  };
}
