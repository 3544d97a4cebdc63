import { z } from "zod";
import { BreakerSettings } from "./breaker.ts";
import { duration } from "./duration.ts";
import { EventSettings } from "./event.ts";
import {
  DAY_MS,
  HOUR_MS,
  MAX_CONCURRENCY,
  MAX_RETENTION_MS,
  MAX_SHARDS,
  MAX_TIMEOUT_MS,
  SECOND_MS,
} from "./limits.ts";
import { RetryPolicy } from "./policy.ts";
import { CallbackSettings, TASK_STATES } from "./task.ts";

export const DEFAULT_SHARDS = 4;
export const DEFAULT_CONCURRENCY = 256;

/** How long final tasks are kept before they are pruned. */
export const Retention = z.strictObject({
  succeeded: duration(0, MAX_RETENTION_MS).default(7 * DAY_MS),
  failed: duration(0, MAX_RETENTION_MS)
    .default(30 * DAY_MS)
    .meta({ description: "Cancelled tasks too" }),
});
export type Retention = z.infer<typeof Retention>;

/** How many retries a target may get beside its first attempts; binds only while it fails. */
export const RetryBudgetSettings = z.strictObject({
  enabled: z.boolean().default(true),
  ratio: z
    .number()
    .min(0)
    .max(10)
    .default(0.2)
    .meta({ description: "Retries for each first attempt, over a minute" }),
  per_minute: z.number().min(1).max(100_000).default(10).meta({ description: "And so many besides" }),
});
export type RetryBudgetSettings = z.infer<typeof RetryBudgetSettings>;

/** How many attempts a queue may make in a time; callbacks do not count. */
export const RateSettings = z.strictObject({
  limit: z.int().min(1).max(1_000_000),
  per: duration(SECOND_MS, HOUR_MS).default(SECOND_MS),
  burst: z.int().min(1).max(1_000_000).optional().meta({ description: "At once; default: the limit" }),
});
export type RateSettings = z.infer<typeof RateSettings>;

/** The settings of a queue; `PUT /v1/queues/{name}` replaces them all. */
export const QueueSettings = z.strictObject({
  retry: RetryPolicy.default({}),
  timeout: duration(1, MAX_TIMEOUT_MS).default(20_000),
  callback: CallbackSettings.nullable().default(null),
  concurrency: z.int().min(1).max(MAX_CONCURRENCY).default(DEFAULT_CONCURRENCY),
  retention: Retention.default({ succeeded: 7 * DAY_MS, failed: 30 * DAY_MS }),
  breaker: BreakerSettings.prefault({}),
  retry_budget: RetryBudgetSettings.prefault({}),
  rate: RateSettings.nullable().default(null),
  adaptive_concurrency: z
    .boolean()
    .default(true)
    .meta({ description: "Whether calls at a time to one target follow what it bears" }),
  events: EventSettings.nullable().default(null),
  encrypt: z
    .boolean()
    .default(false)
    .meta({ description: "Whether bodies of requests and answers are stored encrypted" }),
  shards: z
    .int()
    .min(1)
    .max(MAX_SHARDS)
    .optional()
    .meta({ description: "Fixed when the queue is created; default 4" }),
});
export type QueueSettings = z.infer<typeof QueueSettings>;
export type QueueSettingsInput = z.input<typeof QueueSettings>;

/** How many tasks are in each state, over all shards. */
export const TaskCounts = z.object(
  Object.fromEntries(TASK_STATES.map((state) => [state, z.int()])) as Record<
    (typeof TASK_STATES)[number],
    z.ZodInt
  >,
);
export type TaskCounts = z.infer<typeof TaskCounts>;

/** A queue as the API shows it. Durations of its settings are milliseconds. */
export const QueueView = z.object({
  name: z.string(),
  paused: z.boolean(),
  shards: z.int(),
  settings: QueueSettings.omit({ shards: true }),
  counts: TaskCounts.optional(),
  callbacks_waiting: z.int().optional(),
  oldest_waiting_ms: z
    .int()
    .nullable()
    .optional()
    .meta({ description: "Age of the oldest task that is due and not called" }),
  created_at: z.iso.datetime(),
  updated_at: z.iso.datetime(),
});
export type QueueView = z.infer<typeof QueueView>;

export const QueueList = z.object({ queues: z.array(QueueView) });

/** The answer to a rotation: the new secret, shown once, and until when the old one is signed with too. */
export const RotatedSecret = z.object({ secret: z.string(), previous_valid_until: z.iso.datetime() });
/** How long after a rotation messages carry the old signature beside the new. */
export const ROTATION_MS = 24 * HOUR_MS;
