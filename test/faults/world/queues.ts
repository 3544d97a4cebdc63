import type { QueueConfig } from "../../../src/protocol/queue-config.ts";
import { MINUTE_MS } from "../../../src/schema/limits.ts";
import { buildConfig } from "../../support/shard/shard-messages.ts";

/** A queue of the simulation, and what never changes of it. */
export interface Queue {
  config: QueueConfig;
  /** The most that a task of it may be tried in a round, over all settings it has. */
  mostAttempts: number;
  mostAgeMs: number;
  /** No task of it waits longer of itself: with twice as much where its target says that it is busy. */
  longestBackoffMs: number;
  /** Its tasks may be put on hold. */
  holds?: true;
  /** Its callbacks are wanted for these ends; null: none, unless a task says so. */
  callbackOn: readonly string[] | null;
  /** The path of its calls; left out: one that answers as its target is. */
  path?: string;
}

/** No settings of a queue say less for `max_attempts`. */
export const LEAST_ATTEMPTS = 2;
/** Where callbacks go. */
export const HOOK = "https://hook.example.com/in";
/** Where tasks that are held on a probe look whether they may go on. */
export const READY_ORIGIN = "https://ready.example.com";
/** A path that fails at each target, however the target is. */
export const FAILING_PATH = "/fails";
const DELIVERY = {
  max_attempts: 6,
  max_age: "40m",
  backoff: { intervals: ["2s", "20s", "1m", "5m", "10m"] },
};
/** Short, so that runs see rows pruned. */
const RETENTION = { succeeded: "20m", failed: "40m" } as const;

/** What only some seeds have. */
interface Company {
  /** A queue that makes its calls fail. */
  hostile: boolean;
  /** Two queues trust each other. */
  trusting: boolean;
}

/**
 * The queues: one of two shards, one with a rate and holds, one whose breakers are its own; with a hostile one, whose
 * calls to the targets of the others fail.
 */
export function QUEUES({ hostile, trusting }: Company): Queue[] {
  const shared = trusting ? { breaker: { share: "trusted" as const } } : {};
  return [
    ...(hostile ? [hostileQueue()] : []),
    {
      config: buildConfig(
        {
          shards: 2,
          ...shared,
          concurrency: 8,
          retention: RETENTION,
          retry: { max_age: "30m", max_attempts: 5, max_retry_after: "1h" },
          callback: { url: HOOK, retry: DELIVERY },
        },
        { name: "payments", ref: 1, createdAt: 0 },
      ),
      mostAttempts: 5,
      mostAgeMs: 30 * MINUTE_MS,
      longestBackoffMs: 32_000,
      callbackOn: ["succeeded", "failed", "cancelled"],
    },
    {
      config: buildConfig(
        {
          ...shared,
          concurrency: 4,
          rate: { limit: 5, per: "1s" },
          retention: RETENTION,
          timeout: "15s",
          retry: {
            max_age: "20m",
            max_attempts: 4,
            max_retry_after: "1h",
            backoff: { initial_interval: "500ms", jitter: "decorrelated", adaptive: "queue" },
            rules: [
              {
                when: "status == 401",
                do: "hold",
                until: { probe: { url: `${READY_ORIGIN}/`, period: "10s" } },
              },
              { when: "status == 403", do: "hold", until: "signal" },
              { when: "error_type == not_ready", do: "retry", backoff: { intervals: ["3s"] } },
            ],
          },
        },
        { name: "emails", ref: 2, createdAt: 0 },
      ),
      mostAttempts: 4,
      mostAgeMs: 20 * MINUTE_MS,
      // Decorrelated, and up to 64 times as long by how many wait.
      longestBackoffMs: 64 * 5 * MINUTE_MS,
      holds: true,
      callbackOn: null,
    },
    {
      config: buildConfig(
        {
          concurrency: 6,
          retention: RETENTION,
          retry: {
            max_age: "30m",
            max_attempts: 8,
            max_retry_after: "1h",
            backoff: { intervals: ["1s", "5s"] },
          },
          callback: { url: HOOK, on: ["failed"], retry: DELIVERY },
          breaker: {
            share: "queue",
            open: "5s",
            readiness: { url: `${READY_ORIGIN}/`, timeout: "5s" },
          },
          events: {
            url: "https://ops.example.com/events",
            on: ["breaker.opened", "breaker.closed", "target.gone"],
          },
        },
        { name: "own", ref: 3, createdAt: 0 },
      ),
      mostAttempts: 8,
      mostAgeMs: 30 * MINUTE_MS,
      longestBackoffMs: 10_000,
      callbackOn: ["failed"],
    },
  ];
}

/** Its timeout is short, its path fails while there is trouble, its breaker opens early: all to stop the others. */
function hostileQueue(): Queue {
  return {
    config: buildConfig(
      {
        concurrency: 6,
        retention: RETENTION,
        timeout: "1s",
        retry: { max_age: "20m", max_attempts: 6, backoff: { intervals: ["1s", "2s"] } },
        breaker: { consecutive_failures: 3, consecutive_connect_failures: 3, open: "1s" },
      },
      { name: "hostile", ref: 4, createdAt: 0 },
    ),
    mostAttempts: 6,
    mostAgeMs: 20 * MINUTE_MS,
    longestBackoffMs: 4_000,
    callbackOn: null,
    path: FAILING_PATH,
  };
}
