import { pathText } from "./parse.ts";

/** Deeper values could exhaust the stack of whatever handles them later. */
export const MAX_JSON_DEPTH = 100;

/**
 * Says what keeps a parsed value from being plain JSON that is safe to handle: nesting beyond MAX_JSON_DEPTH, or a
 * number that JSON cannot write (`1e999`, YAML's `.nan`). Null: nothing does.
 */
export function plainJsonFault(value: unknown): { path: string; message: string } | null {
  const fault = faultIn(value, 1);
  return fault === null ? null : { path: pathText(fault.path.reverse()), message: fault.message };
}

/** The path is built from the inside out. */
function faultIn(value: unknown, depth: number): { path: PropertyKey[]; message: string } | null {
  if (typeof value === "number" && !Number.isFinite(value)) {
    return { path: [], message: `expected a number that JSON can write, got ${value}` };
  }
  if (typeof value !== "object" || value === null) return null;
  if (depth > MAX_JSON_DEPTH) {
    return { path: [], message: `expected at most ${MAX_JSON_DEPTH} levels of nesting, got more` };
  }
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      const fault = faultIn(value[i], depth + 1);
      if (fault !== null) return { ...fault, path: [...fault.path, i] };
    }
    return null;
  }
  for (const key in value) {
    const fault = faultIn((value as Record<string, unknown>)[key], depth + 1);
    if (fault !== null) return { ...fault, path: [...fault.path, key] };
  }
  return null;
}
