/** Words of letters, each with a short number behind it, as names of fields and headers are: few tokens look so. */
const NAME = /^\$?(?!\d)[A-Za-z]{0,24}\d{0,4}(?:[-_.][A-Za-z]{0,24}\d{0,4})*$/;
const MAX_NAME_LENGTH = 64;
const MAX_DIGITS = 6;

/**
 * What a value is, without what it holds: it may be a header, a body, a query or a secret that stands in the wrong place. Types,
 * lengths, and true, false and null are told: `a string of 12 characters`, `an array of 3 items`, `an object`.
 */
export function shapeOf(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "string") return textShape(value);
  if (Array.isArray(value))
    return value.length === 0 ? "an empty array" : `an array of ${count(value.length, "item")}`;
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

/** The shape of a value where a number belongs: numbers are shown, all else is not. */
export function numberOrShape(value: unknown): string {
  return typeof value === "number" && !Number.isNaN(value) ? String(value) : shapeOf(value);
}

/** A name that the caller made up, as messages may show it; null: it does not look like a name, and may be a secret. */
export function shownName(name: string): string | null {
  const looksSo = name !== "" && name.length <= MAX_NAME_LENGTH && NAME.test(name);
  return looksSo && name.replace(/\D/g, "").length <= MAX_DIGITS ? name : null;
}

/** Says that there is no queue of a name, which it shows where it looks like one. */
export function noQueueText(name: string): string {
  const shown = shownName(name);
  return `there is no queue ${shown === null ? "of this name" : JSON.stringify(shown)}`;
}

/** `1 item`, `2 items`. */
export function count(length: number, what: string): string {
  return `${length} ${what}${length === 1 ? "" : "s"}`;
}

function textShape(text: string): string {
  return text === "" ? "an empty string" : `a string of ${count(text.length, "character")}`;
}
