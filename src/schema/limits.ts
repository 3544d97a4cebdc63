/** Every bound on what Redrive accepts, by name. Times are milliseconds, sizes are bytes. */

export const SECOND_MS = 1_000;
export const MINUTE_MS = 60 * SECOND_MS;
export const HOUR_MS = 60 * MINUTE_MS;
export const DAY_MS = 24 * HOUR_MS;

/** `max_attempts` counts the first attempt. */
export const MAX_ATTEMPTS = 100;
/** The furthest a task may be put off by `delay` or `run_at`. */
export const MAX_DELAY_MS = 30 * DAY_MS;
export const MAX_AGE_MIN_MS = 1_000;
export const MAX_AGE_MAX_MS = 30 * DAY_MS;
/** The longest wait between two attempts, and the most that a target's `Retry-After` may ask for. */
export const MAX_INTERVAL_MS = 7 * DAY_MS;
export const MAX_TIMEOUT_MS = 10 * MINUTE_MS;
export const MAX_INTERVALS = 50;
export const MAX_RULES = 20;
export const MAX_CONDITIONS = 20;
/** Characters of one CEL expression. */
export const MAX_EXPRESSION_LENGTH = 1_000;
export const MAX_URL_LENGTH = 4_096;
export const MAX_HEADERS = 64;
/** Names and values of a task's headers together. */
export const MAX_HEADER_BYTES = 32 * 1_024;
export const MAX_BODY_BYTES = 1_048_576;
export const MAX_BATCH = 1_000;
export const MAX_BATCH_BYTES = 8 * 1_048_576;
/** One task as JSON: its body, in base64 at worst, and everything else. */
export const MAX_TASK_BYTES = 2 * 1_048_576;
/** Bodies of all other requests (queues, keys, filters). */
export const MAX_SETTINGS_BYTES = 256 * 1_024;
export const MAX_LABELS = 16;
export const MAX_LABEL_LENGTH = 64;
/** A request's body in YAML: reading it costs some microseconds a byte. */
export const MAX_YAML_BYTES = 64 * 1_024;
/** `metadata` as JSON. */
export const MAX_METADATA_BYTES = 8 * 1_024;
export const MAX_IDEMPOTENCY_KEY_LENGTH = 255;
export const MAX_BREAKER_KEY_LENGTH = 128;
export const MAX_REDIRECTS = 10;
/** What is kept of a target's answer. */
export const MAX_RESPONSE_BYTES = 64 * 1_024;
/** Attempts kept in a task's history; older ones are counted, not kept. */
export const MAX_HISTORY = 50;
export const MAX_SHARDS = 256;
export const MAX_CONCURRENCY = 10_000;
export const MAX_RETENTION_MS = 90 * DAY_MS;
export const MAX_PAGE = 200;
export const DEFAULT_PAGE = 50;
export const MAX_KEY_NAME_LENGTH = 64;
export const MAX_KEY_QUEUES = 64;
