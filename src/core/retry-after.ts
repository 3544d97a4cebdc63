import { HOUR_MS, MINUTE_MS, SECOND_MS } from "../schema/limits.ts";

type Headers = Readonly<Record<string, string>>;

/** A status of our own by which a target says that no further try can help. */
const NO_RETRY_STATUS = 489;
/** Longer values are not read: no target needs more to name an instant. */
const MAX_VALUE_LENGTH = 200;

const DECIMAL = /^\d{1,20}(?:\.\d{1,20})?$/;
const HTTP_DATE = /^(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,? [\w -]+ \d\d:\d\d:\d\d/i;
const ISO_DATE = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/;
const GO_DURATION = /^(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?$/;
/** From here on a reset is an instant (seconds of the year 2001), and from there on one in milliseconds. */
const EPOCH_SECONDS = 1e9;
const EPOCH_MS = 1e11;

/**
 * How long the target asks to wait, in whole milliseconds, never negative; null where it does not say. That is
 * `Retry-After` (seconds or a date), else the RateLimit-Reset family: there a limit counts when nothing remains
 * of it; where none says so, all count with a 429, and with a 503 those that do not say what remains. Header names are lower case.
 * @see RFC 9110 10.2.3; draft-ietf-httpapi-ratelimit-headers
 */
export function retryAfterMs(status: number, headers: Headers, now: number): number | null {
  const asked = readRetryAfter(read(headers, "retry-after"), now);
  if (asked !== null) return asked;
  const limits = [structuredLimits(headers), plainLimits(headers, now), limitsByKind(headers)];
  return limits.map((family) => bindingMs(family, status)).find((waitMs) => waitMs !== null) ?? null;
}

/** True where the target says that it must not be called again for this task: status 489 or `Redrive-Retry: no`. */
export function saysNoRetry(status: number, headers: Headers): boolean {
  return status === NO_RETRY_STATUS || read(headers, "redrive-retry")?.toLowerCase() === "no";
}

function read(headers: Headers, name: string): string | null {
  const value = headers[name];
  return value === undefined || value.length > MAX_VALUE_LENGTH ? null : value.trim();
}

function readRetryAfter(value: string | null, now: number): number | null {
  if (value === null) return null;
  const seconds = readSeconds(value);
  if (seconds !== null) return seconds;
  const text = HTTP_DATE.test(value) && !/gmt|utc|[+-]\d{4}/i.test(value) ? `${value} GMT` : value;
  if (!HTTP_DATE.test(text) && !ISO_DATE.test(text)) return null;
  const at = Date.parse(text);
  return Number.isNaN(at) ? null : wholeMs(at - now);
}

/** One limit as the target tells it; null: it does not say. */
interface Limit {
  remaining: string | null;
  waitMs: number | null;
}

/** The longest wait of the limits that are used up; where none says so, of those that a refusal may come from. */
function bindingMs(limits: readonly Limit[], status: number): number | null {
  const used = limits.filter((limit) => limit.remaining !== null && /^0+$/.test(limit.remaining));
  if (used.length > 0) return longest(used);
  if (status === 429) return longest(limits);
  return status === 503 ? longest(limits.filter((limit) => limit.remaining === null)) : null;
}

/** `RateLimit: "default";r=0;t=30, "daily";r=900;t=3600` */
function structuredLimits(headers: Headers): Limit[] {
  const items = read(headers, "ratelimit")?.split(",") ?? [];
  return items.map((item) => ({
    remaining: /;\s*r=(\d+)/.exec(item)?.[1] ?? null,
    waitMs: readSeconds(/;\s*t=(\d+)/.exec(item)?.[1] ?? null),
  }));
}

/** `(X-)RateLimit-Reset`: seconds from now, or an instant; `X-RateLimit-Reset-After`: seconds from now. */
function plainLimits(headers: Headers, now: number): Limit[] {
  const remaining = read(headers, "ratelimit-remaining") ?? read(headers, "x-ratelimit-remaining");
  const names = ["ratelimit-reset", "x-ratelimit-reset-after", "x-ratelimit-reset"];
  const waits = names.map((name) => readReset(read(headers, name), now));
  return [{ remaining, waitMs: waits.find((waitMs) => waitMs !== null) ?? null }];
}

/** `X-RateLimit-Reset-Requests` and `-Tokens`, as durations such as `6m5s` or `250ms`. */
function limitsByKind(headers: Headers): Limit[] {
  return ["requests", "tokens"].map((kind) => ({
    remaining: read(headers, `x-ratelimit-remaining-${kind}`),
    waitMs: readGoDuration(read(headers, `x-ratelimit-reset-${kind}`)),
  }));
}

function readReset(value: string | null, now: number): number | null {
  const number = value !== null && DECIMAL.test(value) ? Number(value) : null;
  if (number === null || number < EPOCH_SECONDS) return readSeconds(value);
  return wholeMs((number < EPOCH_MS ? number * SECOND_MS : number) - now);
}

function readSeconds(value: string | null): number | null {
  return value !== null && DECIMAL.test(value) ? wholeMs(Number(value) * SECOND_MS) : null;
}

function readGoDuration(value: string | null): number | null {
  const parts = value === null || value === "" ? null : GO_DURATION.exec(value);
  if (parts === null) return readSeconds(value);
  const unitsMs = [HOUR_MS, MINUTE_MS, SECOND_MS, 1];
  return wholeMs(unitsMs.reduce((sum, unitMs, i) => sum + Number(parts[i + 1] ?? 0) * unitMs, 0));
}

function longest(limits: readonly Limit[]): number | null {
  const waits = limits.map((limit) => limit.waitMs).filter((waitMs) => waitMs !== null);
  return waits.length === 0 ? null : Math.max(...waits);
}

function wholeMs(ms: number): number {
  return Math.min(Number.MAX_SAFE_INTEGER, Math.max(0, Math.ceil(ms)));
}
