import { z } from "zod";
import { duration } from "./duration.ts";
import {
  MAX_AGE_MAX_MS,
  MAX_AGE_MIN_MS,
  MAX_ATTEMPTS,
  MAX_CONDITIONS,
  MAX_EXPRESSION_LENGTH,
  MAX_INTERVAL_MS,
  MAX_INTERVALS,
  MAX_RULES,
  MAX_URL_LENGTH,
  MINUTE_MS,
  SECOND_MS,
} from "./limits.ts";

const Attempts = z.int().min(1).max(MAX_ATTEMPTS);

/** A CEL expression over the outcome of an attempt; its grammar and types are checked at submit. */
const Expression = z
  .string()
  .min(1)
  .max(MAX_EXPRESSION_LENGTH)
  .meta({ examples: ["status == 503"] });

/** How long to wait after a failed attempt. What is left out is taken from the queue, then from the defaults. */
export const Backoff = z.strictObject({
  strategy: z.enum(["fixed", "linear", "exponential", "schedule"]).optional(),
  initial_interval: duration(1, MAX_INTERVAL_MS).optional(),
  multiplier: z.number().min(1).max(100).optional(),
  max_interval: duration(1, MAX_INTERVAL_MS).optional(),
  jitter: z.enum(["none", "full", "equal", "decorrelated"]).optional(),
  adaptive: z.enum(["off", "queue", "load"]).optional().meta({
    description:
      "Whether the wait follows the target's state: its load factor, or how many tasks wait for it",
  }),
  intervals: z
    .array(duration(0, MAX_INTERVAL_MS))
    .min(1)
    .max(MAX_INTERVALS)
    .optional()
    .meta({ description: "The waits of strategy `schedule`, in order; the last one repeats" }),
});
export type Backoff = z.infer<typeof Backoff>;

/** A readiness check: a GET that must answer 2xx `success_threshold` times in a row. */
export const Probe = z.strictObject({
  url: z.string().max(MAX_URL_LENGTH),
  period: duration(SECOND_MS, 60 * MINUTE_MS).default(10 * SECOND_MS),
  timeout: duration(1, MINUTE_MS).default(5 * SECOND_MS),
  success_threshold: z.int().min(1).max(10).default(1),
});
export type Probe = z.infer<typeof Probe>;

/** What a held task waits for: a probe that succeeds, or `POST /v1/tasks/{id}/resume`. */
export const Until = z.union([z.literal("signal"), z.strictObject({ probe: Probe })], {
  error: 'expected "signal" or { "probe": { "url": ... } }',
});
export type Until = z.infer<typeof Until>;

/** What to do with an outcome for which `when` holds. The first rule that matches decides. */
export const Rule = z
  .strictObject({
    when: Expression,
    do: z.enum(["retry", "fail", "hold", "succeed"]),
    max_attempts: Attempts.optional(),
    backoff: Backoff.optional(),
    log: z.boolean().optional(),
    until: Until.optional(),
  })
  .superRefine((rule, context) => {
    const refuse = (path: string, message: string) =>
      context.addIssue({ code: "custom", path: [path], message });
    if (rule.do === "hold" && rule.until === undefined) {
      refuse("until", 'expected "signal" or a probe where do is "hold", got nothing');
    }
    if (rule.do !== "hold" && rule.until !== undefined)
      refuse("until", 'only a rule whose do is "hold" has until');
    if (rule.do !== "retry" && rule.max_attempts !== undefined) {
      refuse("max_attempts", 'only a rule whose do is "retry" has max_attempts');
    }
    if (rule.do !== "retry" && rule.backoff !== undefined) {
      refuse("backoff", 'only a rule whose do is "retry" has backoff');
    }
  });
export type Rule = z.infer<typeof Rule>;

/** When, how often and how long a call is tried. What is left out is taken from the queue, then from the defaults. */
export const RetryPolicy = z.strictObject({
  max_attempts: Attempts.optional(),
  max_age: duration(MAX_AGE_MIN_MS, MAX_AGE_MAX_MS).optional(),
  max_retry_after: duration(0, MAX_INTERVAL_MS).optional(),
  backoff: Backoff.optional(),
  conditions: z.array(Expression).min(1).max(MAX_CONDITIONS).optional(),
  rules: z.array(Rule).max(MAX_RULES).optional(),
});
export type RetryPolicy = z.infer<typeof RetryPolicy>;

/** The retry policy of a callback: every failed delivery is tried again, but for 410 and a refused address. */
export const CallbackRetryPolicy = RetryPolicy.pick({ max_attempts: true, max_age: true, backoff: true });
export type CallbackRetryPolicy = z.infer<typeof CallbackRetryPolicy>;
