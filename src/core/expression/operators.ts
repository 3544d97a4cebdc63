import type { BinaryOperator } from "@marcbachmann/cel-js";
import {
  asMap,
  CHARACTERS_PER_STEP,
  EXHAUSTED,
  Fault,
  int64,
  isNumber,
  keysOf,
  type Meter,
  noOverload,
  type Operation,
  spend,
  type Value,
} from "./value.ts";

const MAX_DEPTH = 32;

/**
 * Every binary operator. Ints and doubles go together, since all numbers of JSON are doubles: they are equal
 * where they are the same number, and an arithmetic of both is done in doubles. Values of different types are
 * not equal.
 */
export const OPERATORS: Record<BinaryOperator, Operation> = {
  "==": (meter, a, b) => equal(meter, a, b, 0),
  "!=": (meter, a, b) => {
    const same = equal(meter, a, b, 0);
    return same instanceof Fault ? same : !same;
  },
  "<": (meter, a, b) => compare("<", meter, a, b),
  "<=": (meter, a, b) => compare("<=", meter, a, b),
  ">": (meter, a, b) => compare(">", meter, a, b),
  ">=": (meter, a, b) => compare(">=", meter, a, b),
  in: isIn,
  "+": (meter, a, b) => (isNumber(a) ? arithmetic("+", a, b) : join(meter, a, b)),
  "-": (_meter, a, b) => arithmetic("-", a, b),
  "*": (_meter, a, b) => arithmetic("*", a, b),
  "/": (_meter, a, b) => arithmetic("/", a, b),
  "%": (_meter, a, b) => arithmetic("%", a, b),
};

/** `-a` */
export function negate(value: Value): Value | Fault {
  if (typeof value === "bigint") return int64(-value);
  return typeof value === "number" ? -value : noOverload("-", value);
}

function equal(meter: Meter, a: Value, b: Value, depth: number): boolean | Fault {
  if (!spend(meter, 1)) return EXHAUSTED;
  if (typeof a === "string" && typeof b === "string") {
    if (a.length !== b.length) return false;
    return spend(meter, a.length / CHARACTERS_PER_STEP) ? a === b : EXHAUSTED;
  }
  if (isNumber(a) && isNumber(b)) return a <= b && a >= b;
  if (depth === MAX_DEPTH) return new Fault("nested too deeply to compare");
  if (Array.isArray(a) && Array.isArray(b)) return equalLists(meter, a, b, depth + 1);
  const [left, right] = [asMap(a), asMap(b)];
  return left === null || right === null ? a === b : equalMaps(meter, left, right, depth + 1);
}

function equalLists(meter: Meter, a: readonly Value[], b: readonly Value[], depth: number): boolean | Fault {
  if (a.length !== b.length) return false;
  for (const [i, item] of a.entries()) {
    const same = equal(meter, item, b[i] as Value, depth);
    if (same !== true) return same;
  }
  return true;
}

type Entries = Readonly<Record<string, Value>>;

function equalMaps(meter: Meter, a: Entries, b: Entries, depth: number): boolean | Fault {
  const [keys, others] = [keysOf(meter, a), keysOf(meter, b)];
  if (keys instanceof Fault || others instanceof Fault) return EXHAUSTED;
  if (keys.length !== others.length) return false;
  for (const key of keys) {
    if (!Object.hasOwn(b, key)) return false;
    const same = equal(meter, a[key] as Value, b[key] as Value, depth);
    if (same !== true) return same;
  }
  return true;
}

type Comparison = "<" | "<=" | ">" | ">=";

function compare(operator: Comparison, meter: Meter, a: Value, b: Value): Value | Fault {
  if (typeof a === "string" && typeof b === "string") {
    const characters = Math.min(a.length, b.length);
    return spend(meter, characters / CHARACTERS_PER_STEP) ? ordered(operator, a, b) : EXHAUSTED;
  }
  return isNumber(a) && isNumber(b) ? ordered(operator, a, b) : noOverload(operator, a, b);
}

function ordered<T extends string | number | bigint>(operator: Comparison, a: T, b: T): boolean {
  switch (operator) {
    case "<":
      return a < b;
    case "<=":
      return a <= b;
    case ">":
      return a > b;
    case ">=":
      return a >= b;
  }
}

function isIn(meter: Meter, a: Value, b: Value): Value | Fault {
  const map = asMap(b);
  if (map !== null && typeof a === "string") {
    return spend(meter, a.length / CHARACTERS_PER_STEP) ? Object.hasOwn(map, a) : EXHAUSTED;
  }
  if (!Array.isArray(b)) return noOverload("in", a, b);
  for (const item of b) {
    const same = equal(meter, a, item, 0);
    if (same !== false) return same;
  }
  return false;
}

function join(meter: Meter, a: Value, b: Value): Value | Fault {
  if (typeof a === "string" && typeof b === "string") {
    return spend(meter, (a.length + b.length) / CHARACTERS_PER_STEP) ? a + b : EXHAUSTED;
  }
  if (!Array.isArray(a) || !Array.isArray(b)) return noOverload("+", a, b);
  return spend(meter, a.length + b.length) ? [...a, ...b] : EXHAUSTED;
}

type Arithmetic = "+" | "-" | "*" | "/" | "%";

function arithmetic(operator: Arithmetic, a: Value, b: Value): Value | Fault {
  if (!isNumber(a) || !isNumber(b)) return noOverload(operator, a, b);
  if (typeof a === "number" || typeof b === "number") return ofDoubles(operator, Number(a), Number(b));
  const divides = operator === "/" || operator === "%";
  return divides && b === 0n ? new Fault("division by zero") : int64(ofInts(operator, a, b));
}

function ofInts(operator: Arithmetic, a: bigint, b: bigint): bigint {
  switch (operator) {
    case "+":
      return a + b;
    case "-":
      return a - b;
    case "*":
      return a * b;
    case "/":
      return a / b;
    case "%":
      return a % b;
  }
}

function ofDoubles(operator: Arithmetic, a: number, b: number): number {
  switch (operator) {
    case "+":
      return a + b;
    case "-":
      return a - b;
    case "*":
      return a * b;
    case "/":
      return a / b;
    case "%":
      return a % b;
  }
}
