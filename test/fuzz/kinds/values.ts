import type { Chance } from "./chance.ts";
import { hostileText } from "./texts.ts";

const FIELDS = [
  "url", "method", "headers", "body", "body_base64", "queue", "idempotency_key", "delay", "run_at", "priority", "timeout",
  "max_redirects", "breaker_key", "retry", "labels", "metadata", "callback", "on", "tasks", "max_attempts", "max_age",
  "max_retry_after", "backoff", "strategy", "initial_interval", "multiplier", "max_interval", "jitter", "adaptive",
  "intervals", "rules", "conditions", "when", "do", "until", "probe", "period", "success_threshold", "concurrency",
  "retention", "succeeded", "failed", "breaker", "share", "failure_rate", "minimum", "window", "readiness", "open",
  "retry_budget", "ratio", "rate", "limit", "per", "burst", "events", "name", "scopes", "queues", "reason",
  "__proto__", "constructor", "toString", "toJSON", "then", "length", "", "0", "a b", "retrz",
] as const; // biome-ignore format: a list of words
const NUMBERS = [
  0,
  -0,
  1,
  2,
  3,
  4,
  -1,
  0.5,
  1.5,
  9,
  10,
  99,
  1_000,
  1e6,
  1e21,
  1e308,
  -1e308,
  5e-324,
  2 ** 53,
  2 ** 31,
];

/** Any JSON value, near-right ones among them, a few levels deep. */
export function hostileValue(chance: Chance, depth = 0): unknown {
  const kind = chance.below(depth >= 4 ? 5 : 8);
  if (kind === 0) return null;
  if (kind === 1) return chance.is(0.5);
  if (kind === 2) return chance.pick(NUMBERS);
  if (kind <= 4) return hostileText(chance);
  if (kind === 5) return Array.from({ length: chance.below(4) }, () => hostileValue(chance, depth + 1));
  if (kind === 6) return hostileObject(chance, depth);
  return chance.is(0.1) ? nested(chance) : hostileValue(chance, depth + 1);
}

/** The value with one to four of its places replaced, removed, repeated or given a field more. */
export function mutateValue(chance: Chance, value: unknown): unknown {
  let mutated = structuredClone(value);
  for (let times = 1 + chance.below(4); times > 0; times--) mutated = mutateOnce(chance, mutated);
  return mutated;
}

function hostileObject(chance: Chance, depth: number): Record<string, unknown> {
  const entries = Array.from({ length: chance.below(5) }, () => [
    fieldName(chance),
    hostileValue(chance, depth + 1),
  ]);
  return Object.fromEntries(entries);
}

function fieldName(chance: Chance): string {
  return chance.is(0.9) ? chance.pick(FIELDS) : hostileText(chance);
}

/** Up to a few thousand levels, or very many neighbours. */
function nested(chance: Chance): unknown {
  if (chance.is(0.3)) return Array.from({ length: chance.below(2_000) }, () => chance.pick(NUMBERS));
  let value: unknown = chance.pick(NUMBERS);
  const isArray = chance.is(0.5);
  for (let level = chance.below(chance.is(0.9) ? 110 : 2_000); level > 0; level--) {
    value = isArray ? [value] : { a: value };
  }
  return value;
}

function mutateOnce(chance: Chance, value: unknown): unknown {
  if (typeof value !== "object" || value === null || chance.is(0.03)) return hostileValue(chance);
  const holder = value as Record<string, unknown>;
  const keys = Object.keys(value);
  const key = keys.length === 0 ? null : chance.pick(keys);
  if (key === null || chance.is(0.15)) return setField(holder, fieldName(chance), hostileValue(chance, 1));
  if (chance.is(0.5)) return setField(holder, key, mutateOnce(chance, holder[key]));
  if (!chance.is(0.3)) return setField(holder, key, hostileValue(chance, 1));
  delete holder[key];
  return value;
}

/** Also a field named `__proto__`, as JSON.parse makes it; on an array an item more. */
function setField(holder: Record<string, unknown>, key: string, value: unknown): unknown {
  if (Array.isArray(holder) && !/^\d+$/.test(key)) holder.push(value);
  else Object.defineProperty(holder, key, { value, enumerable: true, configurable: true, writable: true });
  return holder;
}
