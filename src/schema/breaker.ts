import { z } from "zod";
import { duration } from "./duration.ts";
import { HOUR_MS, MINUTE_MS, SECOND_MS } from "./limits.ts";
import { Probe } from "./policy.ts";

/** Outcomes are counted in slices of time this long. */
export const BREAKER_BUCKET_MS = 10 * SECOND_MS;
/** The window is a sum of buckets that began in it: under two of them it would forget all it knows at once. */
export const MIN_BREAKER_WINDOW_MS = 2 * BREAKER_BUCKET_MS;
export const MAX_BREAKER_WINDOW_MS = 10 * MINUTE_MS;
/** The most connect-type failures in a row that a setting may ask for; shards remember this many. */
export const MAX_CONNECT_FAILURES = 20;
/** So many calls in a row that got no answer weigh as much as one that got no connection: one reset alone is weather. */
export const SILENT_FOR_CONNECT = 2;
/**
 * Failures in a row that come in the same slice of time, this long, count as one: a target that sheds load refuses
 * dozens of calls at the same instant and answers others the instant after.
 */
export const BREAKER_BURST_MS = 100;
/** The most failures in a row that a setting may ask for; shards remember this many. */
export const MAX_FAILURES_IN_A_ROW = 50;
export const MAX_BREAKER_REASON_LENGTH = 200;
/** State changes that a breaker remembers. */
export const MAX_BREAKER_AUDIT = 20;

const Share = z.number().gt(0).max(1);

/** A GET that stands for a probe while the breaker is half open, so that no task is spent. */
export const Readiness = Probe.pick({ url: true, timeout: true });
export type Readiness = z.infer<typeof Readiness>;

/** The most paths that a queue names as targets of their own. */
export const MAX_SCOPES = 20;
const MAX_SCOPE_PATTERN_LENGTH = 200;
/** As the URL parser leaves a path: what it would encode or resolve could never be found in one. */
const SCOPE = /^(?:\/(?!\.{1,2}(?:\/|$))(?:\*|[\w.~!$&'()+,;=:@%|^-]+))+$/;

/** A path whose calls have a target of their own: `/v2/payments`, or `/hooks/*` for one of each customer. */
export const Scope = z
  .string()
  .max(MAX_SCOPE_PATTERN_LENGTH)
  .regex(SCOPE, 'expected a path such as "/v2/payments" or "/hooks/*", where * is one whole segment')
  .meta({ examples: ["/hooks/*"] });

/** The breaker settings of a queue: when calls to a target stop, for how long, and what lets them go on. */
export const BreakerSettings = z.strictObject({
  enabled: z.boolean().default(true),
  share: z
    .enum(["deployment", "trusted", "queue"])
    .default("deployment")
    .meta({
      description:
        "Who shares what is known about a target. `deployment`: all queues, each as far as its own calls agree; " +
        "`trusted`: the queues that say so, at once, which needs a key for all queues; `queue`: this one only",
    }),
  failure_rate: Share.default(0.5).meta({ description: "Share of failed calls in the window that opens it" }),
  minimum: z
    .int()
    .min(1)
    .max(100_000)
    .default(20)
    .meta({ description: "Calls in the window below which no rate opens it" }),
  window: duration(MIN_BREAKER_WINDOW_MS, MAX_BREAKER_WINDOW_MS).default(MINUTE_MS),
  consecutive_connect_failures: z.int().min(1).max(MAX_CONNECT_FAILURES).default(5),
  consecutive_failures: z.int().min(1).max(MAX_FAILURES_IN_A_ROW).default(20).meta({
    description:
      "Failures in a row, of any kind that counts, that open it, those of the same tenth of a second taken for one: a busy target's past does not outweigh them",
  }),
  slow_rate: Share.default(0.8).meta({ description: "Share of slow calls in the window that opens it" }),
  slow_fraction: Share.default(0.8).meta({
    description: "A call is slow that took more than this share of its timeout",
  }),
  open: duration(SECOND_MS, HOUR_MS)
    .default(10 * SECOND_MS)
    .meta({ description: "How long it stays open first; doubles with every probe that fails" }),
  max_open: duration(SECOND_MS, HOUR_MS)
    .default(MINUTE_MS)
    .meta({ description: "Where `open` is longer, `open` counts" }),
  half_open_successes: z.int().min(1).max(100).default(3),
  readiness: Readiness.optional().meta({ description: "Probed in place of a task" }),
  scopes: z.array(Scope).max(MAX_SCOPES).optional().meta({
    description:
      "Paths that are targets of their own, apart from their origin: with `/hooks/*` one for each customer",
  }),
  split: z
    .boolean()
    .optional()
    .meta({
      description:
        "Whether a path that fails while others of its origin succeed is a target of its own until it is well again; " +
        "left out: yes",
    }),
});
export type BreakerSettings = z.infer<typeof BreakerSettings>;
/** What a caller may write: everything can be left out. */
export type BreakerSettingsInput = z.input<typeof BreakerSettings>;

export const BreakerState = z.enum(["closed", "open", "half_open", "isolated"]);
/** Whether calls go: all, none, one probe at a time, or none until an operator says so. */
export type BreakerState = z.infer<typeof BreakerState>;

/** One change of a breaker's state. */
export const BreakerAuditView = z.object({
  at: z.iso.datetime(),
  from: BreakerState,
  to: BreakerState,
  reason: z.string(),
  by: z.string().meta({ description: "`counts`, `timer`, `probe`, or the id of an operator's key" }),
  holds_released: z
    .int()
    .optional()
    .meta({ description: "Of a reset: of how many queues it released a hold" }),
});
export type BreakerAuditView = z.infer<typeof BreakerAuditView>;

/** A queue whose calls to a target wait, since the target asked for that (`Retry-After`). */
export const HoldView = z.object({ queue: z.string(), until: z.iso.datetime() });
export type HoldView = z.infer<typeof HoldView>;

/** What one queue's own calls say of a target. */
export const BreakerPart = z.object({
  queue: z.string().nullable().meta({ description: "null: all queues that set `share: trusted`" }),
  state: BreakerState,
  since: z.iso.datetime(),
  until: z.iso.datetime().nullable(),
  reason: z.string().nullable(),
  trips: z.int(),
});
export type BreakerPart = z.infer<typeof BreakerPart>;

/** A path that a queue's shards call as a target of its own, since it alone failed. */
export const SplitView = z.object({
  since: z.iso.datetime().meta({ description: "When the first shard split it off" }),
  reason: z.string(),
});
export type SplitView = z.infer<typeof SplitView>;

/** A breaker as the API shows it. What no shard has reported is null. */
export const BreakerView = z.object({
  key: z.string(),
  state: BreakerState,
  since: z.iso.datetime(),
  until: z.iso.datetime().nullable().meta({ description: "When an open breaker is probed next" }),
  reason: z.string().nullable(),
  windows: z.object({ ok: z.int(), failed: z.int(), slow: z.int(), connect_failed: z.int() }),
  failure_rate: z.number().nullable().meta({ description: "0 to 1; null: no call in the window" }),
  trips: z.int().meta({ description: "Times it opened since it was closed last" }),
  limit: z.int().nullable().meta({ description: "Calls at a time, over all shards that told theirs" }),
  load_factor: z.number().nullable(),
  budget_left: z.number().nullable().meta({ description: "Retries that the budget allows now" }),
  parked: z.int().meta({ description: "Tasks that wait for this breaker" }),
  next_probe_at: z.iso.datetime().nullable(),
  holds: z
    .array(HoldView)
    .meta({ description: "Queues that the target asked to wait, of those that the key may see" }),
  split: SplitView.nullable().meta({
    description:
      "Of a path that is a target of its own, since calls to it failed while others to its origin succeeded; null: it is none",
  }),
  parts: z
    .array(BreakerPart)
    .meta({ description: "What each queue's own calls say: what stops one queue need not stop another" }),
  audit: z.array(BreakerAuditView).meta({ description: "The latest changes, newest first" }),
});
export type BreakerView = z.infer<typeof BreakerView>;

/** A breaker as the API shows it, with the queue it is for. */
export const ShownBreaker = BreakerView.extend({
  queue: z.string().nullable().meta({ description: "The only queue that goes by it; null: all queues" }),
  released_holds: z
    .array(HoldView)
    .optional()
    .meta({ description: "Of a reset: the holds that it released" }),
});
export type ShownBreaker = z.infer<typeof ShownBreaker>;

/** The most breakers on a page. */
export const MAX_BREAKERS_SHOWN = 100;
const DEFAULT_BREAKERS_SHOWN = 50;
/** A cursor names a target, whose path may be as long as a URL. */
const MAX_CURSOR_LENGTH = 8_192;

/** The query of `GET /v1/breakers`. */
export const BreakersQuery = z.strictObject({
  state: BreakerState.optional(),
  limit: z.coerce.number().int().min(1).max(MAX_BREAKERS_SHOWN).default(DEFAULT_BREAKERS_SHOWN),
  cursor: z.string().max(MAX_CURSOR_LENGTH).optional(),
});
export type BreakersQuery = z.infer<typeof BreakersQuery>;

/** A page of breakers. */
export const BreakerList = z.object({
  breakers: z.array(ShownBreaker),
  next_cursor: z.string().nullable().meta({ description: "null: there are no more" }),
});
export type BreakerList = z.infer<typeof BreakerList>;

/** The body of `POST /v1/breakers/{key}/isolate` and `/reset`. */
export const BreakerOperation = z.strictObject({ reason: z.string().min(1).max(MAX_BREAKER_REASON_LENGTH) });
export type BreakerOperation = z.infer<typeof BreakerOperation>;
