import { z } from "zod";

/**
 * A value as any release may have stored it, with the default of each field that was added to its schema since, at
 * every depth. What is there stays as it is, a field that this release does not know too. Nothing is checked: a field
 * without a default is not made up. A value of a union stays as it is.
 */
export function complete(schema: z.core.$ZodType, stored: unknown): unknown {
  const inner = unwrapped(schema);
  if (inner instanceof z.ZodArray && Array.isArray(stored))
    return stored.map((item) => complete(inner.element, item));
  if (!(inner instanceof z.ZodObject) || !isObject(stored)) return stored;
  const whole: Record<string, unknown> = { ...stored };
  for (const [name, field] of Object.entries<z.core.$ZodType>(inner.shape)) {
    const value = whole[name] === undefined ? defaultOf(field) : complete(field, whole[name]);
    if (value !== undefined) whole[name] = value;
  }
  return whole;
}

/** The schema of what is there, without what says that it may be left out or null. */
function unwrapped(schema: z.core.$ZodType): z.core.$ZodType {
  const mayBeLeftOut =
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault ||
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodNullable;
  return mayBeLeftOut ? unwrapped(schema.unwrap()) : schema;
}

/** What a field is that was left out; undefined: it has no default. */
function defaultOf(field: z.core.$ZodType): unknown {
  const hasDefault = field instanceof z.ZodDefault || field instanceof z.ZodPrefault;
  return hasDefault ? field.parse(undefined) : undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
