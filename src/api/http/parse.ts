import type { z } from "zod";
import { issuesOf, OPTIONS } from "../../schema/issues.ts";
import { invalidRequest } from "./app-error.ts";

/** The value as its schema gives it. Throws AppError `invalid_request` that names every wrong place, and no value. */
export function parse<S extends z.ZodType>(schema: S, value: unknown): z.output<S> {
  const result = safeParse(schema, value);
  if (result.success) return result.data;
  throw invalidRequest(issuesOf(result.error));
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
