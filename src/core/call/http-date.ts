const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAY = /^(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*$/;
/** Hours from UTC of the zones that RFC 822 names; what others mean depends on who says them. */
const ZONES: ReadonlyMap<string, number> = new Map([
  ["gmt", 0],
  ["utc", 0],
  ["ut", 0],
  ["z", 0],
  ["est", -5],
  ["edt", -4],
  ["cst", -6],
  ["cdt", -5],
  ["mst", -7],
  ["mdt", -6],
  ["pst", -8],
  ["pdt", -7],
]);
const ISO = /^(\d{4})-(\d\d)-(\d\d)t(\d\d:\d\d:\d\d)(?:[.,]\d{1,9})? ?(z|utc|gmt|[+-]\d\d(?::?\d\d)?)?$/;
const OFFSET = /^(?:gmt|utc)?([+-])(\d\d):?(\d\d)?$/;
const TIME = /^(\d\d):(\d\d):(\d\d)$/;
const MAX_WORDS = 8;
/** A two-digit year this far ahead is of the century before (RFC 9110 5.6.7). */
const MAX_YEARS_AHEAD = 50;

/** The parts of a date as they were found, in text; null: not yet. */
interface Parts {
  day: number | null;
  month: number | null;
  year: number | null;
  time: string | null;
  /** Minutes ahead of UTC. */
  offset: number | null;
}

/**
 * An instant in epoch milliseconds, to the second, from an HTTP date in any of its three forms, what RFC 5322 or `date`
 * make of one, or ISO 8601. UTC where no zone is named. Null: it is none, the day does not exist, or the zone is not
 * known, so that no time of another zone is read as UTC. `now` is what a year of two digits is measured by.
 * @see RFC 9110 5.6.7
 */
export function readDate(value: string, now: number): number | null {
  const text = value.trim().toLowerCase();
  const iso = ISO.exec(text);
  if (iso !== null) {
    const [, year, month, day, time, zone] = iso;
    const offset = zone === undefined ? 0 : readZone(zone);
    return instant({
      year: Number(year),
      month: Number(month),
      day: Number(day),
      time: String(time),
      offset,
    });
  }
  const words = text.split(/,? +|,|(?<=\d)-(?=[a-z])|(?<=-[a-z]{3,9})-(?=\d)/, MAX_WORDS + 1);
  return words.length > MAX_WORDS ? null : readWords(words, now);
}

/** The parts in any order: which is which shows by their looks, but for the day, which comes before a year of two digits. */
function readWords(words: readonly string[], now: number): number | null {
  const parts: Parts = { day: null, month: null, year: null, time: null, offset: null };
  for (const [i, word] of words.entries()) {
    if (i === 0 && WEEKDAY.test(word)) continue;
    if (!takeWord(parts, word, now)) return null;
  }
  const { day, month, year, time, offset } = parts;
  if (day === null || month === null || year === null || time === null) return null;
  return instant({ day, month, year, time, offset: offset ?? 0 });
}

/** False for a word that is none of a date's, or one too many. */
function takeWord(parts: Parts, word: string, now: number): boolean {
  if (TIME.test(word)) return put(parts, "time", word);
  if (/^\d{4}$/.test(word)) return put(parts, "year", Number(word));
  if (/^\d{1,2}$/.test(word)) {
    if (parts.day === null) return put(parts, "day", Number(word));
    return word.length === 2 && put(parts, "year", fullYear(Number(word), now));
  }
  const month = MONTHS.indexOf(word.slice(0, 3)) + 1;
  if (month > 0 && /^[a-z]+$/.test(word)) return put(parts, "month", month);
  return put(parts, "offset", readZone(word));
}

function put<K extends keyof Parts>(parts: Parts, name: K, value: Parts[K]): boolean {
  if (parts[name] !== null || value === null) return false;
  parts[name] = value;
  return true;
}

function fullYear(twoDigits: number, now: number): number {
  const thisYear = new Date(now).getUTCFullYear();
  const year = thisYear - (thisYear % 100) + twoDigits;
  return year > thisYear + MAX_YEARS_AHEAD ? year - 100 : year;
}

/** Minutes ahead of UTC; null: not known. */
function readZone(zone: string): number | null {
  const named = ZONES.get(zone);
  if (named !== undefined) return named * 60;
  const [, sign, hours, minutes] = OFFSET.exec(zone) ?? [];
  if (hours === undefined) return null;
  return (sign === "-" ? -1 : 1) * (Number(hours) * 60 + Number(minutes ?? 0));
}

/** Null where there is no such day or time, or the zone is null. A leap second is the second after. */
function instant(parts: {
  year: number;
  month: number;
  day: number;
  time: string;
  offset: number | null;
}): number | null {
  const { year, month, day, time, offset } = parts;
  const [hours, minutes, seconds] = time.split(":").map(Number) as [number, number, number];
  if (offset === null || hours > 23 || minutes > 59 || seconds > 60) return null;
  const at = Date.UTC(year, month - 1, day);
  const date = new Date(at);
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return null;
  return at + ((hours * 60 + minutes - offset) * 60 + seconds) * 1_000;
}
