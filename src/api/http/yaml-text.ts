import { type Document, isMap, isScalar, isSeq, LineCounter, parseDocument, type Scalar, visit } from "yaml";
import { isExactNumber } from "../../core/json/json-source.ts";
import { pathText } from "../../core/text/path-text.ts";
import { AppError, invalidRequest } from "./app-error.ts";

/** A few anchors are handy; many are how a small text becomes a huge value. */
const MAX_ALIASES = 20;
/** The library's messages quote what they are about, however long it is. */
const MAX_MESSAGE_LENGTH = 200;

/**
 * The library tells every error with its surroundings, and looks at all keys before it for each key: both take a time
 * that grows with the square of the text: 35 s for 255,000 commas. So it does neither, and the first error and repeated
 * keys are found here.
 */
const OPTIONS = {
  schema: "core",
  version: "1.2",
  stringKeys: true,
  merge: false,
  prettyErrors: false,
  uniqueKeys: false,
} as const;

/**
 * Reads one YAML 1.2 document (core schema: no custom tags, no merge keys, text keys only, none twice) as a JSON value.
 * Throws AppError `malformed_body` with line and column.
 */
export function parseYaml(text: string): unknown {
  try {
    const lineCounter = new LineCounter();
    const document = parseDocument(text, { ...OPTIONS, lineCounter });
    // A warning is a tag that is not known: what was meant cannot be kept.
    const fault = document.errors[0] ?? document.warnings[0];
    const [message, offset] = fault === undefined ? repeatedKey(document) : [fault.message, fault.pos[0]];
    if (message === null) {
      const changed = inexactNumber(document.contents, []);
      if (changed !== null) throw inexact(changed);
      return document.toJS({ maxAliasCount: MAX_ALIASES });
    }
    const { line, col } = lineCounter.linePos(offset);
    throw malformed(message, ` at line ${line} column ${col}`);
  } catch (error) {
    if (error instanceof AppError) throw error;
    // Too many aliases, an alias without anchor, or nesting that exhausts the parser's stack.
    throw malformed(error instanceof Error ? error.message : String(error), "");
  }
}

/** The first key that stands in its map before, and its offset; null: none. */
function repeatedKey(document: Document): [message: string | null, offset: number] {
  let at: number | null = null;
  visit(document, {
    Map: (_, map) => {
      const keys = new Set<unknown>();
      for (const { key } of map.items) {
        if (!isScalar(key)) continue;
        if (keys.has(key.value)) {
          at = key.range?.[0] ?? 0;
          return visit.BREAK;
        }
        keys.add(key.value);
      }
      return undefined;
    },
  });
  return at === null ? [null, 0] : ["Map keys must be unique", at];
}

/** The path to the first number that a double does not hold as it is written; null: none. */
function inexactNumber(node: unknown, path: PropertyKey[]): PropertyKey[] | null {
  if (isScalar(node)) return isKept(node) ? null : path;
  if (isMap(node)) {
    for (const { key, value } of node.items) {
      const found = inexactNumber(value, [...path, isScalar(key) ? String(key.value) : ""]);
      if (found !== null) return found;
    }
  }
  if (isSeq(node)) {
    for (const [i, item] of node.items.entries()) {
      const found = inexactNumber(item, [...path, i]);
      if (found !== null) return found;
    }
  }
  return null;
}

/** What is not finite is refused with all that JSON cannot write. */
function isKept({ value, source }: Scalar): boolean {
  if (typeof value !== "number" || source === undefined || !Number.isFinite(value)) return true;
  return /^[-+]?0[xo]/.test(source) ? Number.isSafeInteger(value) : isExactNumber(source);
}

function inexact(path: PropertyKey[]): AppError {
  const message =
    "expected a number that can be kept exactly, got more digits: write it as text, or send JSON";
  return invalidRequest([{ path: pathText(path), message }]);
}

function malformed(told: string, place: string): AppError {
  const message = told.slice(0, MAX_MESSAGE_LENGTH);
  return new AppError("malformed_body", `expected YAML, got ${message || "something else"}${place}`, {
    errors: [{ path: "", message: `${message}${place}` }],
  });
}
