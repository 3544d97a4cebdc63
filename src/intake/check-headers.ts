import { isSealed, SEALED_PREFIX } from "../core/call/sealed.ts";
import { REDACTED } from "../core/call/secret-headers.ts";
import { pathText } from "../schema/issues.ts";
import { MAX_HEADER_BYTES, MAX_HEADERS } from "../schema/limits.ts";
import type { ProblemIssue } from "../schema/problem.ts";

/** Names that a task may not set, and why. Lower case. */
const FORBIDDEN = new Map([
  ["host", "it comes from the URL"],
  ["content-length", "it comes from the body"],
  ["x-retry-count", "Redrive sets it"],
  ["idempotency-key", "use the field idempotency_key"],
  ...["connection", "keep-alive", "transfer-encoding", "upgrade", "te", "trailer"].map(
    (name) => [name, "it belongs to one connection"] as const,
  ),
]);
const FORBIDDEN_PREFIXES = [
  ["redrive-", "Redrive sets it"],
  ["webhook-", "Redrive sets it"],
  ["proxy-", "it belongs to one connection"],
  ["cf-", "the platform sets it"],
] as const;

/** @see RFC 9110 5.6.2: a token. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** @see RFC 9110 5.5: a field value, without the obsolete bytes beyond ASCII. */
const VALUE = /^[\t\x20-\x7e]*$/;
const TRACEPARENT = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

/** Headers as they will be sent, names in lower case, and every place that is wrong with them. */
export interface CheckedHeaders {
  headers: Record<string, string>;
  issues: ProblemIssue[];
}

/** Checks the headers that a request wants to be sent to a target; issues' paths begin with `path`. */
export function checkHeaders(headers: Record<string, string>, path: string): CheckedHeaders {
  const checked: Record<string, string> = {};
  const issues: ProblemIssue[] = [];
  let count = 0;
  let bytes = 0;
  for (const [name, value] of Object.entries(headers)) {
    const lower = name.toLowerCase();
    const message = headerFault(lower, value) ?? (Object.hasOwn(checked, lower) ? "is given twice" : null);
    if (message !== null) issues.push({ path: pathText([name], path), message });
    checked[lower] = value;
    count += 1;
    bytes += name.length + value.length;
  }
  if (count > MAX_HEADERS)
    issues.push({ path, message: `expected at most ${MAX_HEADERS} headers, got ${count}` });
  if (bytes > MAX_HEADER_BYTES) {
    const message = `expected at most ${MAX_HEADER_BYTES} bytes of names and values, got ${bytes}`;
    issues.push({ path, message });
  }
  return { headers: checked, issues };
}

/** True for a W3C trace context of version 00. */
export function isTraceparent(value: string): boolean {
  return TRACEPARENT.test(value);
}

/** True for what may stand in a header's value: printable ASCII, spaces and tabs. */
export function isHeaderValue(value: string): boolean {
  return VALUE.test(value);
}

/** What is wrong with one header; null: nothing. Values are never shown: they may be secrets. */
function headerFault(lower: string, value: string): string | null {
  if (!TOKEN.test(lower)) return "expected a header name of letters, digits and !#$%&'*+-.^_`|~";
  const reason = FORBIDDEN.get(lower);
  if (reason !== undefined) return `the header ${lower} is not allowed: ${reason}`;
  const [prefix, why] = FORBIDDEN_PREFIXES.find(([start]) => lower.startsWith(start)) ?? [];
  if (prefix !== undefined) return `headers that begin with ${prefix} are not allowed: ${why}`;
  if (!isHeaderValue(value)) {
    const at = [...value].findIndex((character) => !isHeaderValue(character));
    return `expected printable ASCII, got another character at position ${at}`;
  }
  if (lower === "traceparent" && !isTraceparent(value)) return "expected a W3C trace context of version 00";
  if (isSealed(value))
    return `expected a value that does not begin with ${SEALED_PREFIX}, as stored secrets do`;
  return value === REDACTED ? `expected the header's value, got the placeholder ${REDACTED}` : null;
}
