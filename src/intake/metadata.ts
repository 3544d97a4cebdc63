import { compactJson } from "../core/json/json-source.ts";
import { MAX_METADATA_BYTES } from "../schema/limits.ts";
import type { ProblemIssue } from "../schema/problem.ts";

/**
 * The metadata as it was given, without spaces between its parts; null: `value` as JSON is the same. `source`: what was
 * written, null where it was no JSON. Its length counts as it is written.
 */
export function metadataFrom(
  value: object,
  source: string | null,
): { given: string | null; issues: ProblemIssue[] } {
  const plain = JSON.stringify(value);
  const given = source === null || source === plain ? plain : compactJson(source);
  const bytes = new TextEncoder().encode(given).byteLength;
  const message = `expected at most ${MAX_METADATA_BYTES} bytes of JSON, got ${bytes}`;
  const issues = bytes > MAX_METADATA_BYTES ? [{ path: "metadata", message }] : [];
  // An object with this name does not survive every copy.
  const isPlain = given === plain && !given.includes("__proto__");
  return { given: isPlain ? null : given, issues };
}
