import type { Value } from "./value.ts";

/** Where so many digits stand together, a whole number may be past what a double holds. */
const MANY_DIGITS = /\d{16}/;
/** Longer ones stay doubles: they are beyond every int, and a text of any length must cost no more than its length. */
const INTEGER = /^-?\d{1,40}$/;

/** JSON.parse's reviver is given the text that a value was made of. */
type Reviver = (this: unknown, key: string, value: unknown, context: { source: string }) => unknown;

const keepIntegers: Reviver = (_key, value, context) => {
  if (typeof value !== "number" || Number.isSafeInteger(value)) return value;
  return INTEGER.test(context.source) ? BigInt(context.source) : value;
};

/** Parses JSON for expressions: whole numbers past 2^53 of up to 40 digits are bigints, exact. Throws SyntaxError. */
export function parseExactJson(text: string): Value {
  if (!MANY_DIGITS.test(text)) return JSON.parse(text);
  return JSON.parse(text, keepIntegers as (this: unknown, key: string, value: unknown) => unknown);
}
