import type { z } from "zod";
import { show } from "./duration.ts";
import { nearest } from "./nearest.ts";
import type { ProblemIssue } from "./problem.ts";
import { count, numberOrShape, shapeOf, shownName } from "./shape.ts";

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
const NUMBERS = new Set(["number", "int"]);
const UNITS: Record<string, string> = { string: " characters", array: " items" };

/** As many as a problem shows. */
const MAX_SUGGESTED = 20;

/** How a schema's issues are worded: with `OPTIONS`, `safeParse` says what was expected and the shape of what came. Made once. */
export const OPTIONS = { error: messageOf, reportInput: true };

/**
 * A path as the API writes it, below `start`: `retry.rules[0].when`; "" for the whole. A name that does not look like one may
 * be a secret that stands in its place, and only its length is shown: `headers["(12 characters)"]`.
 */
export function pathText(path: readonly PropertyKey[], start = ""): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === "number") return `${text}[${part}]`;
    const name = shownName(String(part));
    if (name === null) return `${text}["(${count(String(part).length, "character")})"]`;
    if (!/^[A-Za-z_$][\w$-]*$/.test(name)) return `${text}[${JSON.stringify(name)}]`;
    return text === "" ? name : `${text}.${name}`;
  }, start);
}

/**
 * The wrong places of a value that a schema refused, as problems tell them. One for each unknown field, at the field itself;
 * of a union those of the member that was meant, where that can be told; of a header nothing but what was expected.
 */
export function issuesOf(error: z.ZodError): ProblemIssue[] {
  return error.issues.flatMap((issue) => placesOf(issue, []));
}

function placesOf(issue: z.core.$ZodIssue, above: readonly PropertyKey[]): ProblemIssue[] {
  const path = [...above, ...issue.path];
  if (issue.code === "unrecognized_keys") {
    const messages = issue.message.split("\n");
    return issue.keys.map((key, i) => ({
      path: pathText([...path, key]),
      message: messages[i] ?? unknownField(key),
    }));
  }
  const meant = issue.code === "invalid_union" ? meantMember(issue.errors) : null;
  if (meant !== null) return meant.flatMap((inner) => placesOf(inner, path));
  // Headers are where credentials stand: of what is wrong in them not even a number is repeated.
  const isHeader = path.slice(-2).includes("headers");
  const message = isHeader ? issue.message.replace(/, got .*/s, "") : withShape(issue);
  return [{ path: pathText(path), message }];
}

/**
 * The faults of the one member of a union that fits at its root, and is wrong further in; else of the one that is wrong
 * by unknown fields only. Null: none fits, or more than one.
 */
function meantMember(members: readonly z.core.$ZodIssue[][]): z.core.$ZodIssue[] | null {
  const atRoot = (issue: z.core.$ZodIssue) => issue.path.length === 0;
  const fitting = members.filter((issues) => !issues.some(atRoot));
  const near = members.filter((issues) =>
    issues.every((issue) => !atRoot(issue) || issue.code === "unrecognized_keys"),
  );
  const [meant, ...others] = fitting.length > 0 ? fitting : near;
  return meant === undefined || others.length > 0 ? null : meant;
}

/** Messages that a schema has of its own for a format say only what was expected. */
function withShape({ code, message, input }: z.core.$ZodIssue): string {
  const saysAll = !message.startsWith("expected") || message.includes(", got ");
  return saysAll || input === undefined || (code !== "invalid_format" && code !== "invalid_union")
    ? message
    : `${message}, got ${shapeOf(input)}`;
}

/** What was expected and what came; undefined leaves the wording to the schema library, which quotes nothing. */
function messageOf(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case "invalid_type": {
      const expected = `expected ${NAMES[issue.expected] ?? issue.expected}`;
      if (Number.isNaN(issue.input)) return expected;
      return `${expected}, got ${NUMBERS.has(issue.expected) ? numberOrShape(issue.input) : shapeOf(issue.input)}`;
    }
    case "invalid_value":
      return choice(issue.values, issue.input);
    case "too_small":
      return bound("at least", issue.origin, issue.minimum, issue.input);
    case "too_big":
      return bound("at most", issue.origin, issue.maximum, issue.input);
    case "invalid_format":
      return `expected ${issue.format}, got ${shapeOf(issue.input)}`;
    case "unrecognized_keys":
      return unknownFields(issue.keys, fieldsOf(issue.inst));
    default:
      return undefined;
  }
}

function choice(values: readonly unknown[], came: unknown): string {
  const choices = values.map((value) => show(value)).join(", ");
  const near = typeof came === "string" ? nearest(came, values.map(String)) : null;
  const advice = near === null ? "" : `, did you mean ${JSON.stringify(near)}?`;
  return `expected ${values.length > 1 ? "one of " : ""}${choices}, got ${shapeOf(came)}${advice}`;
}

function bound(word: string, origin: string, limit: number | bigint, input: unknown): string {
  const came = typeof input === "string" || Array.isArray(input) ? input.length : input;
  return `expected ${word} ${limit}${UNITS[origin] ?? ""}, got ${numberOrShape(came)}`;
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
    .map((field) => {
      const near = nearest(field, known);
      return near === null
        ? unknownField(field)
        : `${unknownField(field)}, did you mean ${JSON.stringify(near)}?`;
    })
    .join("\n");
}

function unknownField(field: string): string {
  const name = shownName(field);
  return name === null
    ? `unknown field of ${count(field.length, "character")}`
    : `unknown field ${JSON.stringify(name)}`;
}
