import { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS } from "../../schema/limits.ts";
import { readDate } from "./http-date.ts";

/** No API means a longer wait than this: it is a mistake, or a unit that is not known. */
const LONGEST_MS = 366 * DAY_MS;
/** Longer values are not read: no target needs more to name an instant, even where it sends one header several times. */
const MAX_VALUE_LENGTH = 1_000;

const NUMBER = /^\d+(?:\.\d+)?$/;
const AMOUNT = /(\d{1,20}(?:\.\d{1,20})?) ?([a-zµμ]+)(?: |$|(?=\d))/y;
/** Go's units and what people write; both letters that look like micro are in use. */
const UNITS: ReadonlyMap<string, number> = new Map([
  ...["d", "day", "days"].map((name) => [name, DAY_MS] as const),
  ...["h", "hr", "hrs", "hour", "hours"].map((name) => [name, HOUR_MS] as const),
  ...["m", "min", "mins", "minute", "minutes"].map((name) => [name, MINUTE_MS] as const),
  ...["s", "sec", "secs", "second", "seconds"].map((name) => [name, SECOND_MS] as const),
  ...["ms", "millisecond", "milliseconds"].map((name) => [name, 1] as const),
  ...["us", "µs", "μs"].map((name) => [name, 1e-3] as const),
  ["ns", 1e-6],
]);
/** From each on a number is an instant, in units of so many ms: seconds of 2001, then milli-, micro-, nanoseconds of 1973. */
const EPOCHS: readonly (readonly [number, number])[] = [
  [1e17, 1e-6],
  [1e14, 1e-3],
  [1e11, 1],
  [1e9, SECOND_MS],
];
const WEEKDAY_ALONE = /^(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*$/i;

/**
 * How long a header asks to wait, in whole milliseconds, never negative: seconds, a duration with units (`600s`,
 * `6m5s`, `250ms`), an instant in epoch seconds, milli-, micro- or nanoseconds, an HTTP date or an ISO 8601 instant. Of
 * a header that came several times, the longest that can be read. Null: none can, or each is over a year ahead.
 */
export function readWait(value: string | undefined, now: number): number | null {
  return longest(partsOf(value).map((part) => waitOf(part, now)));
}

/** As readWait, of a header whose plain number is in milliseconds and never an instant. */
export function readWaitMs(value: string | undefined): number | null {
  const numbers = partsOf(value).filter((part) => NUMBER.test(part));
  return longest(numbers.map((part) => plausible(Number(part))));
}

/** The longest of those that are known; null: none is. */
export function longest(waits: readonly (number | null)[]): number | null {
  const known = waits.filter((waitMs) => waitMs !== null);
  return known.length === 0 ? null : Math.max(...known);
}

/** The values of a header that came once or several times, joined by commas; a date's own comma is not one of these. */
export function partsOf(value: string | undefined): string[] {
  if (value === undefined || value.length > MAX_VALUE_LENGTH) return [];
  const parts: string[] = [];
  let weekday = "";
  for (const piece of value.split(",").map((text) => text.trim())) {
    if (WEEKDAY_ALONE.test(piece)) weekday = `${piece}, `;
    else {
      parts.push(weekday + piece);
      weekday = "";
    }
  }
  return parts;
}

function waitOf(part: string, now: number): number | null {
  if (!NUMBER.test(part)) {
    const durationMs = readDuration(part.toLowerCase());
    if (durationMs !== null) return plausible(durationMs);
    const at = readDate(part, now);
    return at === null ? null : plausible(at - now);
  }
  const number = Number(part);
  const unitMs = EPOCHS.find(([from]) => number >= from)?.[1];
  return plausible(unitMs === undefined ? number * SECOND_MS : number * unitMs - now);
}

function readDuration(text: string): number | null {
  let totalMs = 0;
  AMOUNT.lastIndex = 0;
  for (let at = 0; at < text.length; at = AMOUNT.lastIndex) {
    const [, amount, unit = ""] = AMOUNT.exec(text) ?? [];
    const unitMs = UNITS.get(unit);
    if (unitMs === undefined) return null;
    totalMs += Number(amount) * unitMs;
  }
  return text === "" ? null : totalMs;
}

function plausible(ms: number): number | null {
  return ms > LONGEST_MS ? null : Math.max(0, Math.ceil(ms));
}
