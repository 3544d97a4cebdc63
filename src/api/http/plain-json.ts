import { pathText } from "../../schema/issues.ts";

/** Deeper values could exhaust the stack of whatever handles them later. */
export const MAX_JSON_DEPTH = 100;

/** At which level of a request the tasks are, whose `body` and `metadata` are taken as they are written; 0: none. */
export type TaskLevel = 0 | 1 | 3;

const AS_WRITTEN = new Set(["body", "metadata"]);

interface Fault {
  /** From the inside out. */
  path: PropertyKey[];
  message: string;
}

/**
 * Says what keeps a parsed value from being plain JSON that is safe to handle: nesting beyond MAX_JSON_DEPTH, and,
 * outside of what is taken as it is written, a number that JSON cannot write (`1e999`, YAML's `.nan`) or a field named
 * `__proto__`, which copies of an object lose without a word. Null: nothing does.
 */
export function plainJsonFault(
  value: unknown,
  taskLevel: TaskLevel = 0,
): { path: string; message: string } | null {
  const fault = faultIn(value, 1, taskLevel, false);
  return fault === null ? null : { path: pathText(fault.path.reverse()), message: fault.message };
}

function faultIn(value: unknown, depth: number, taskLevel: TaskLevel, asWritten: boolean): Fault | null {
  if (typeof value === "number" && !asWritten && !Number.isFinite(value)) {
    return { path: [], message: `expected a number that JSON can write, got ${value}` };
  }
  if (typeof value !== "object" || value === null) return null;
  if (depth > MAX_JSON_DEPTH) {
    return { path: [], message: `expected at most ${MAX_JSON_DEPTH} levels of nesting, got more` };
  }
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      const fault = faultIn(value[i], depth + 1, taskLevel, asWritten);
      if (fault !== null) return { ...fault, path: [...fault.path, i] };
    }
    return null;
  }
  for (const key in value) {
    if (!asWritten && key === "__proto__") {
      return { path: [key], message: "expected another name: __proto__ is not allowed here" };
    }
    const inside = asWritten || (depth === taskLevel && AS_WRITTEN.has(key));
    const fault = faultIn((value as Record<string, unknown>)[key], depth + 1, taskLevel, inside);
    if (fault !== null) return { ...fault, path: [...fault.path, key] };
  }
  return null;
}
