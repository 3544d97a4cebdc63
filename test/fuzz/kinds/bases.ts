/** Hosts that no resolver knows, so that nothing is called that should not be. */
export const NOWHERE = "https://api.redrive.invalid";

/** A task with every field there is. */
export const FULL_TASK = {
  url: `${NOWHERE}/charge?a=b`,
  method: "POST",
  headers: { "x-one": "1", authorization: "Bearer of-a-target" },
  body: { amount: 5, items: [1, "two", null, { three: 3 }] },
  queue: "fuzzed",
  idempotency_key: "order-1",
  delay: "1h",
  run_at: "2026-11-23T10:00:00Z",
  priority: 3,
  timeout: "5s",
  max_redirects: 2,
  breaker_key: "pay:eu",
  retry: {
    max_attempts: 3,
    max_age: "1d",
    max_retry_after: "1h",
    backoff: { strategy: "exponential", initial_interval: "1s", multiplier: 2, max_interval: "1m", jitter: "full" },
    conditions: ["status == 503 || error_type == timeout"],
    rules: [
      { when: 'body.code == "x" && attempt < 3', do: "retry", max_attempts: 2, backoff: { strategy: "fixed" }, log: true },
      { when: "status == 401", do: "hold", until: { probe: { url: `${NOWHERE}/ready`, period: "5s", timeout: "1s" } } },
      { when: 'headers["x-final"] == "yes"', do: "fail" },
      { when: "status == 409", do: "hold", until: "signal" },
    ],
  },
  labels: ["a", "b"],
  metadata: { order: "991" },
  callback: {
    url: `${NOWHERE}/hook`,
    on: ["succeeded", "failed"],
    timeout: "3s",
    headers: { "x-hook": "1" },
    retry: { max_attempts: 3, backoff: { strategy: "schedule", intervals: ["1s", "5s"] } },
  },
}; // biome-ignore format: one field a line

/** The settings of a queue, every field. */
export const FULL_QUEUE = {
  retry: FULL_TASK.retry,
  timeout: "20s",
  callback: FULL_TASK.callback,
  concurrency: 16,
  retention: { succeeded: "1h", failed: "1d" },
  breaker: {
    enabled: true,
    share: "queue",
    failure_rate: 0.5,
    minimum: 10,
    window: "1m",
    consecutive_connect_failures: 5,
    consecutive_failures: 20,
    slow_rate: 0.8,
    slow_fraction: 0.8,
    open: "10s",
    max_open: "1m",
    half_open_successes: 3,
    readiness: { url: `${NOWHERE}/ready`, timeout: "1s" },
  },
  retry_budget: { enabled: true, ratio: 0.2, per_minute: 10 },
  rate: { limit: 10, per: "1s", burst: 20 },
  adaptive_concurrency: true,
  events: { url: `${NOWHERE}/events`, on: ["breaker.opened"] },
  shards: 2,
};

/** Every other body that a route takes. */
export const FULL_KEY = { name: "of a fuzz", scopes: ["read"], queues: ["fuzzed"] };
export const FULL_OPERATION = { reason: "they move tonight" };
export const FULL_BATCH = { tasks: [FULL_TASK, { url: NOWHERE, queue: "fuzzed" }, { url: 5 }] };
