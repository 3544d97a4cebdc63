import type { z } from "zod";
import { pathText } from "../../core/text/path-text.ts";
import { show } from "../../schema/duration.ts";
import type { ProblemIssue } from "../../schema/problem.ts";
import { invalidRequest } from "./app-error.ts";

const NAMES: Record<string, string> = {
  string: "a string",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "an array",
  object: "an object",
  record: "an object",
  null: "null",
};

const UNITS: Record<string, string> = { string: " characters", array: " items" };

/** As many as a problem shows. */
const MAX_SUGGESTED = 20;

/** Made once: it is on the path of every submit. */
const OPTIONS = { error: messageOf, reportInput: true };

/** The value as its schema gives it. Throws AppError `invalid_request` that names every wrong place. */
export function parse<S extends z.ZodType>(schema: S, value: unknown): z.output<S> {
  const result = safeParse(schema, value);
  if (result.success) return result.data;
  throw invalidRequest(result.error.issues.flatMap(issuesOf));
}

/** The library compares a `length` before it knows that there is an array: one that is no primitive makes it throw. */
function safeParse<S extends z.ZodType>(schema: S, value: unknown) {
  try {
    return schema.safeParse(value, OPTIONS);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw invalidRequest([
      { path: "", message: "expected an array or a string, got an object with a length" },
    ]);
  }
}

/** One issue for each unknown field, at the field itself; others as they are. */
function issuesOf(issue: z.core.$ZodIssue): ProblemIssue[] {
  if (issue.code !== "unrecognized_keys") {
    const { path, message, input } = issue;
    return [
      { path: pathText(path), message: mayShow(path) ? withInput(message, input) : withoutInput(message) },
    ];
  }
  const messages = issue.message.split("\n");
  return issue.keys.map((key, i) => ({
    path: pathText([...issue.path, key]),
    message: messages[i] ?? `unknown field ${JSON.stringify(key)}`,
  }));
}

/** Headers are where credentials stand: of what is wrong in them nothing is repeated. */
function mayShow(path: readonly PropertyKey[]): boolean {
  return !path.slice(-2).includes("headers");
}

function withoutInput(message: string): string {
  return message.replace(/, got .*/s, "");
}

/** Messages that a schema has of its own may say only what was expected. */
function withInput(message: string, input: unknown): string {
  const saysAll = !message.startsWith("expected") || message.includes(", got ");
  return saysAll || input === undefined || Number.isNaN(input) ? message : `${message}, got ${show(input)}`;
}

/** What was expected and what came; undefined leaves the wording to the schema library. */
function messageOf(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case "invalid_type": {
      const expected = `expected ${NAMES[issue.expected] ?? issue.expected}`;
      return Number.isNaN(issue.input) ? expected : `${expected}, got ${show(issue.input)}`;
    }
    case "invalid_value": {
      const choices = issue.values.map((value) => show(value)).join(", ");
      return `expected ${issue.values.length > 1 ? "one of " : ""}${choices}, got ${show(issue.input)}`;
    }
    case "too_small":
      return bound("at least", issue.origin, issue.minimum, issue.input);
    case "too_big":
      return bound("at most", issue.origin, issue.maximum, issue.input);
    case "invalid_format":
      return `expected ${issue.format}, got ${show(issue.input)}`;
    case "unrecognized_keys":
      return unknownFields(issue.keys, fieldsOf(issue.inst));
    default:
      return undefined;
  }
}

function bound(word: string, origin: string, limit: number | bigint, input: unknown): string {
  const came = typeof input === "string" || Array.isArray(input) ? input.length : input;
  return `expected ${word} ${limit}${UNITS[origin] ?? ""}, got ${show(came)}`;
}

/** The field names that an object schema knows. */
function fieldsOf(schema: unknown): string[] {
  const { shape } = (schema as { _zod?: { def?: { shape?: object } } } | undefined)?._zod?.def ?? {};
  return Object.keys(shape ?? {});
}

/** A line for each, up to MAX_SUGGESTED: looking for what was meant costs more than reading the field did. */
function unknownFields(fields: readonly string[], known: readonly string[]): string {
  return fields
    .slice(0, MAX_SUGGESTED)
    .map((field) => unknownField(field, known))
    .join("\n");
}

function unknownField(field: string, known: readonly string[]): string {
  const message = `unknown field ${show(field)}`;
  const near = known.find((name) => isClose(field.slice(0, 64).toLowerCase(), name));
  return near === undefined ? message : `${message}, did you mean ${JSON.stringify(near)}?`;
}

/** At most two single-character changes apart, and not most of a short word. */
function isClose(a: string, b: string): boolean {
  const limit = Math.min(2, Math.floor(b.length / 3));
  return Math.abs(a.length - b.length) <= limit && editDistance(a, b) <= limit;
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(swap, (previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1));
    }
    previous = row;
  }
  return previous[b.length] ?? 0;
}
