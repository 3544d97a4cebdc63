import { z } from "zod";
import { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS } from "./limits.ts";
import { numberOrShape } from "./shape.ts";

const UNITS = [
  ["d", DAY_MS],
  ["h", HOUR_MS],
  ["m", MINUTE_MS],
  ["s", SECOND_MS],
  ["ms", 1],
] as const;

/** A number with a unit as people write it, though not as `parseDuration` reads it: `10 seconds`, `5 min`, `-1s`, `90`. */
const NEARLY =
  /^[-+]?\d{1,6}(?:\.\d{1,3})? ?(?:ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?)?$/i;

const SHAPE = /^(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d{1,3})?)s)?(?:(\d+)ms)?$/;

/**
 * Reads a duration as people write it: `"250ms"`, `"1.5s"`, `"90s"`, `"1d10h"`, or a whole number of
 * milliseconds. Units stand from the largest to the smallest, each once. Returns milliseconds, or null
 * where the value is none of these or too large to be exact.
 */
export function parseDuration(value: string | number): number | null {
  if (typeof value === "number") return Number.isSafeInteger(value) && value >= 0 ? value : null;
  if (value === "" || value.length > 64) return null;
  const parts = SHAPE.exec(value);
  if (parts === null) return null;
  const total = UNITS.reduce((sum, [, unitMs], i) => sum + Math.round(Number(parts[i + 1] ?? 0) * unitMs), 0);
  return Number.isSafeInteger(total) ? total : null;
}

/** Writes whole milliseconds in the shortest form that `parseDuration` reads back: 90000 is `"1m30s"`. */
export function formatDuration(durationMs: number): string {
  let rest = durationMs;
  let text = "";
  for (const [unit, unitMs] of UNITS) {
    const count = Math.floor(rest / unitMs);
    if (count === 0) continue;
    text += `${count}${unit}`;
    rest -= count * unitMs;
  }
  return text === "" ? "0ms" : text;
}

/** A schema for a duration between two bounds (inclusive, milliseconds); its output is milliseconds. */
export function duration(minMs: number, maxMs: number) {
  const expected = `expected a duration such as "250ms", "90s" or "1d10h", or a whole number of milliseconds`;
  return z
    .union([z.string(), z.number()], { error: (issue) => `${expected}, got ${shownDuration(issue.input)}` })
    .transform((value, context) => {
      const ms = parseDuration(value);
      if (ms === null) {
        context.addIssue({ code: "custom", message: `${expected}, got ${shownDuration(value)}` });
        return z.NEVER;
      }
      if (ms < minMs || ms > maxMs) {
        const range = `${formatDuration(minMs)} and ${formatDuration(maxMs)}`;
        context.addIssue({
          code: "custom",
          message: `expected a duration between ${range}, got ${shownDuration(value)}`,
        });
        return z.NEVER;
      }
      return ms;
    })
    .meta({
      description: `A duration from ${formatDuration(minMs)} to ${formatDuration(maxMs)}`,
      examples: ["90s"],
    });
}

/** What came in place of a duration: shown where it is a number or looks like a duration, else by its shape. */
function shownDuration(value: unknown): string {
  if (typeof value !== "string") return numberOrShape(value);
  return parseDuration(value) !== null || NEARLY.test(value) ? JSON.stringify(value) : numberOrShape(value);
}

/** A value of ours as a message or a page shows it: JSON, cut to 80 characters. Not for what a caller gave. */
export function show(value: unknown): string {
  const text = value === undefined ? "nothing" : (JSON.stringify(value) ?? String(value));
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
