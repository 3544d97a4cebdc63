import { longest, partsOf, readWait, readWaitMs } from "./wait-value.ts";

type Headers = Readonly<Record<string, string>>;

/** A status of our own by which a target says that no further try can help. */
const NO_RETRY_STATUS = 489;
const UNAVAILABLE = 503;
const TOO_MANY_REQUESTS = 429;
/**
 * Statuses by which some targets refuse for a limit that is used up: GitHub's 403, Twitter's old 420, Shopify's 430. With
 * any other, a limit that is used up says nothing of the call that used it up.
 */
const REFUSES_BY_LIMIT: ReadonlySet<number> = new Set([403, 420, TOO_MANY_REQUESTS, 430]);

/** Header families that go by names, in the order in which they are believed. */
const PREFIXES = ["ratelimit", "x-ratelimit", "x-rate-limit"];
const RESETS = ["ratelimit-reset", ...PREFIXES.flatMap((name) => [`${name}-reset-after`, `${name}-reset`])];

/**
 * How long the target asks to wait, in whole milliseconds, never negative; null where it does not say. That is
 * `Retry-After` or `Retry-After-Ms`, whichever is longer, else the RateLimit family: there a limit counts when nothing
 * remains of it; where none says so, all count with a 429, and with a 503 those that do not say what remains. Values
 * are read as readWait does. Header names are lower case.
 * @see RFC 9110 10.2.3; draft-ietf-httpapi-ratelimit-headers, its versions 07 and 10
 */
export function retryAfterMs(status: number, headers: Headers, now: number): number | null {
  const asked = askedMs(headers, now);
  if (asked !== null) return asked;
  const waits = limitsOf(headers, now).map((family) => bindingMs(family, status));
  return waits.find((waitMs) => waitMs !== null) ?? null;
}

/**
 * True for a refusal that is only for now: a 429, a 503 or any 4xx that says by a `Retry-After` when to come back, and
 * a 403, 420 or 430 whose limit is used up.
 */
export function isPutOff(status: number, headers: Headers, now: number): boolean {
  if (status === TOO_MANY_REQUESTS) return true;
  if (status !== UNAVAILABLE && (status < 400 || status > 499)) return false;
  if (askedMs(headers, now) !== null) return true;
  return REFUSES_BY_LIMIT.has(status) && limitsOf(headers, now).flat().some(isUsedUp);
}

/** True where a refusal that is only for now speaks for the whole target, not just for the call that was refused. */
export function speaksForTarget(status: number): boolean {
  return status === UNAVAILABLE || REFUSES_BY_LIMIT.has(status);
}

/** True where the target says that it must not be called again for this task: status 489 or `Redrive-Retry: no`. */
export function saysNoRetry(status: number, headers: Headers): boolean {
  return status === NO_RETRY_STATUS || partsOf(headers["redrive-retry"]).some(isNo);
}

function isNo(value: string): boolean {
  return value.toLowerCase() === "no";
}

function askedMs(headers: Headers, now: number): number | null {
  const inMs = ["retry-after-ms", "x-ms-retry-after-ms"].map((name) => readWaitMs(headers[name]));
  return longest([readWait(headers["retry-after"], now), ...inMs]);
}

/** One limit as the target tells it; null: it does not say. */
interface Limit {
  remaining: string | null;
  waitMs: number | null;
}

function isUsedUp({ remaining }: Limit): boolean {
  return remaining !== null && /^0+$/.test(remaining);
}

/** The families of limits, in the order in which they are believed. */
function limitsOf(headers: Headers, now: number): Limit[][] {
  return [structuredLimits(headers, now), plainLimits(headers, now), limitsByKind(headers, now)];
}

/** The longest wait of the limits that are used up; where none says so, of those that a refusal may come from. */
function bindingMs(limits: readonly Limit[], status: number): number | null {
  const used = limits.filter(isUsedUp);
  if (used.length > 0) return longestOf(used);
  if (status === TOO_MANY_REQUESTS) return longestOf(limits);
  return status === UNAVAILABLE ? longestOf(limits.filter(({ remaining }) => remaining === null)) : null;
}

function longestOf(limits: readonly Limit[]): number | null {
  return longest(limits.map(({ waitMs }) => waitMs));
}

/** `RateLimit: "default";r=0;t=30, "daily";r=900;t=3600`; before, `RateLimit: limit=100, remaining=0, reset=600`. */
function structuredLimits(headers: Headers, now: number): Limit[] {
  const items = partsOf(headers.ratelimit);
  const remaining = items.flatMap((item) => valueIn(item, "remaining") ?? []);
  const resets = items.flatMap((item) => valueIn(item, "reset") ?? []);
  if (resets.length > 0) {
    return resets.map((reset, i) => ({ remaining: remaining[i] ?? null, waitMs: readWait(reset, now) }));
  }
  return items.map((item) => ({
    remaining: valueIn(item, "r"),
    waitMs: readWait(valueIn(item, "t") ?? undefined, now),
  }));
}

/** The number after `name=` in one item of a RateLimit header. */
function valueIn(item: string, name: "r" | "t" | "remaining" | "reset"): string | null {
  const fields = item.split(";").map((field) => field.trim());
  return fields.find((field) => field.startsWith(`${name}=`))?.slice(name.length + 1) ?? null;
}

/** `RateLimit-Reset` with and without `X-`, also spelled `X-Rate-Limit-`; `-Reset-After` is of the same kind. */
function plainLimits(headers: Headers, now: number): Limit[] {
  const said = PREFIXES.map((name) => partsOf(headers[`${name}-remaining`])).find(
    (parts) => parts.length > 0,
  );
  const remaining = said?.find((part) => /^0+$/.test(part)) ?? said?.[0] ?? null;
  const waits = RESETS.map((name) => readWait(headers[name], now));
  return [{ remaining, waitMs: waits.find((waitMs) => waitMs !== null) ?? null }];
}

/** `X-RateLimit-Reset-Requests` and `-Tokens`. */
function limitsByKind(headers: Headers, now: number): Limit[] {
  return ["requests", "tokens"].map((kind) => ({
    remaining: partsOf(headers[`x-ratelimit-remaining-${kind}`])[0] ?? null,
    waitMs: readWait(headers[`x-ratelimit-reset-${kind}`], now),
  }));
}
