import {
  type Document,
  type ErrorCode,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  type Scalar,
  visit,
} from "yaml";
import { isExactNumber } from "../../core/json/json-source.ts";
import { pathText } from "../../schema/issues.ts";
import { AppError, invalidRequest } from "./app-error.ts";

/** A few anchors are handy; many are how a small text becomes a huge value. */
const MAX_ALIASES = 20;

/** What a fault of the library means. Its own messages quote what they are about, which may be a secret. */
const FAULTS: Readonly<Record<ErrorCode, string>> = {
  ALIAS_PROPS: "an alias with an anchor or a tag of its own",
  BAD_ALIAS: "an alias that is none",
  BAD_COLLECTION_TYPE: "a tag that is not for this kind of value",
  BAD_DIRECTIVE: "a directive that is not known",
  BAD_DQ_ESCAPE: "an escape in a quoted text that is none",
  BAD_INDENT: "lines that are not indented alike",
  BAD_PROP_ORDER: "an anchor or a tag in the wrong place",
  BAD_SCALAR_START: "a text that begins with a reserved character: quote it",
  BLOCK_AS_IMPLICIT_KEY: "a nested map on one line: quote a text with a colon in it",
  BLOCK_IN_FLOW: "a block inside of brackets or braces",
  DUPLICATE_KEY: "a key that is given twice",
  IMPOSSIBLE: "something else",
  KEY_OVER_1024_CHARS: "a key of over 1024 characters",
  MISSING_CHAR: "a comma, a colon, a space, a quotation mark or a bracket missing",
  MULTILINE_IMPLICIT_KEY: "a key of more than one line",
  MULTIPLE_ANCHORS: "a value with more than one anchor",
  MULTIPLE_DOCS: "more than one document",
  MULTIPLE_TAGS: "a value with more than one tag",
  NON_STRING_KEY: "a key that is no text",
  RESOURCE_EXHAUSTION: "nesting that is too deep",
  TAB_AS_INDENT: "a tab that indents",
  TAG_RESOLVE_FAILED: "a tag that is not known or does not fit its value",
  UNEXPECTED_TOKEN: "a character where none of its kind may stand",
};

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
    const [message, offset] =
      fault === undefined ? repeatedKey(document) : [FAULTS[fault.code], fault.pos[0]];
    if (message === null) {
      const changed = inexactNumber(document.contents, []);
      if (changed !== null) throw inexact(changed);
      return document.toJS({ maxAliasCount: MAX_ALIASES });
    }
    const { line, col } = lineCounter.linePos(offset);
    throw malformed(message, ` at line ${line} column ${col}`);
  } catch (error) {
    if (error instanceof AppError) throw error;
    throw malformed(lateFault(error), "");
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
  return at === null ? [null, 0] : [FAULTS.DUPLICATE_KEY, at];
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

/** What keeps a document from becoming a value; of all else the parser's stack is exhausted. */
function lateFault(error: unknown): string {
  if (!(error instanceof ReferenceError)) return FAULTS.RESOURCE_EXHAUSTION;
  const isMany = error.message.startsWith("Excessive alias count");
  return isMany ? `aliases for over ${MAX_ALIASES} values` : "an alias without an anchor before it";
}

function malformed(came: string, place: string): AppError {
  const message = `expected YAML, got ${came}${place}`;
  return new AppError("malformed_body", message, { errors: [{ path: "", message }] });
}
