import { compactJson, isExactJson } from "../core/json/json-source.ts";
import type { TaskSource } from "../core/json/task-source.ts";

/** A JSON value as text in which the order of an object's fields makes no difference. */
export function canonicalJson(value: unknown): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  const object = value as Record<string, unknown>;
  const fields: string[] = [];
  // The order of code units: what hashes that are stored already were made with.
  for (const name of Object.keys(object).sort()) {
    if (object[name] !== undefined) fields.push(`${JSON.stringify(name)}:${canonicalJson(object[name])}`);
  }
  return `{${fields.join(",")}}`;
}

/**
 * SHA-256, in hex, of a parsed request without its idempotency key: tells a repeat of a submit from another request
 * under the same key. Where parsing has lost what was written (digits beyond a double, a name that stands twice), the
 * `source` counts too.
 */
export async function requestHash(
  request: { idempotency_key?: string | undefined; body?: unknown; metadata?: unknown },
  source: TaskSource | null = null,
): Promise<string> {
  const inexact: string[] = [];
  for (const name of ["body", "metadata"] as const) {
    const written = source?.[name] ?? null;
    if (written !== null && isInexact(written, request[name])) inexact.push(compactJson(written));
  }
  const text = [canonicalJson({ ...request, idempotency_key: undefined }), ...inexact].join("\n");
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** What JSON.stringify writes is exact, and most callers write that; comparing is a fraction of a scan. */
function isInexact(source: string, parsed: unknown): boolean {
  return source !== JSON.stringify(parsed) && !isExactJson(source);
}
