import { parseDocument } from "yaml";
import { AppError } from "./app-error.ts";

/** A few anchors are handy; many are how a small text becomes a huge value. */
const MAX_ALIASES = 20;

/**
 * Reads one YAML 1.2 document (core schema: no custom tags, no merge keys, text keys only) as a JSON value. Throws
 * AppError `malformed_body` with line and column.
 */
export function parseYaml(text: string): unknown {
  try {
    const document = parseDocument(text, { schema: "core", version: "1.2", stringKeys: true, merge: false });
    // A warning is a tag that is not known: what was meant cannot be kept.
    const fault = document.errors[0] ?? document.warnings[0];
    if (fault === undefined) return document.toJS({ maxAliasCount: MAX_ALIASES });
    const [place] = fault.linePos ?? [];
    const message = fault.message.split(/ at line \d+|\n/)[0] ?? "";
    throw malformed(message, place === undefined ? "" : ` at line ${place.line} column ${place.col}`);
  } catch (error) {
    if (error instanceof AppError) throw error;
    // Too many aliases, an alias without anchor, or nesting that exhausts the parser's stack.
    throw malformed(error instanceof Error ? error.message : String(error), "");
  }
}

function malformed(message: string, place: string): AppError {
  return new AppError("malformed_body", `expected YAML, got ${message || "something else"}${place}`, {
    errors: [{ path: "", message: `${message}${place}` }],
  });
}
