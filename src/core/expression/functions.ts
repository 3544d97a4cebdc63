import {
  asMap,
  CHARACTERS_PER_STEP,
  EXHAUSTED,
  Fault,
  int64,
  keysOf,
  type Meter,
  noOverload,
  type Operation,
  spend,
  type Value,
} from "./value.ts";

/** Longer texts are no numbers. */
const MAX_NUMBER_LENGTH = 40;
const CHARACTERS_COUNTED_PER_STEP = 16;

/** The functions that an expression can call, each with one argument. */
export const FUNCTIONS: ReadonlyMap<string, Operation> = new Map<string, Operation>([
  ["size", sizeOf],
  ["int", (_meter, value) => toInt(value)],
  ["double", (_meter, value) => toDouble(value)],
  ["string", (_meter, value) => toText(value)],
  ["dyn", (_meter, value) => value],
]);

/** The methods that an expression can call: the receiver is the first value. */
export const METHODS: ReadonlyMap<string, Operation> = new Map<string, Operation>([
  ["size", sizeOf],
  ["contains", ofTexts("contains", searchSteps, (text, part) => text.includes(part))],
  ["startsWith", ofTexts("startsWith", comparisonSteps, (text, part) => text.startsWith(part))],
  ["endsWith", ofTexts("endsWith", comparisonSteps, (text, part) => text.endsWith(part))],
  ["lowerAscii", ofText("lowerAscii", (text) => text.toLowerCase())],
  ["upperAscii", ofText("upperAscii", (text) => text.toUpperCase())],
  ["trim", ofText("trim", (text) => text.trim())],
]);

/** Of a text its code points, of a list its items, of a map its keys. */
function sizeOf(meter: Meter, value: Value): Value | Fault {
  if (typeof value === "string") return textSize(meter, value);
  if (Array.isArray(value)) return BigInt(value.length);
  const map = asMap(value);
  if (map === null) return noOverload("size", value);
  const keys = keysOf(meter, map);
  return keys instanceof Fault ? keys : BigInt(keys.length);
}

function textSize(meter: Meter, text: string): Value | Fault {
  if (!spend(meter, text.length / CHARACTERS_COUNTED_PER_STEP)) return EXHAUSTED;
  let size = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    const isSecondHalf = unit >= 0xdc00 && unit <= 0xdfff;
    if (!isSecondHalf) size++;
  }
  return BigInt(size);
}

function toInt(value: Value): Value | Fault {
  if (typeof value === "bigint") return int64(value);
  if (typeof value === "number" && Number.isFinite(value)) return int64(BigInt(Math.trunc(value)));
  const isText = typeof value === "string" && value.length <= MAX_NUMBER_LENGTH && /^[+-]?\d+$/.test(value);
  return isText ? int64(BigInt(value.replace("+", ""))) : new Fault("int() of what is no whole number");
}

function toDouble(value: Value): Value | Fault {
  if (typeof value === "number" || typeof value === "bigint") return Number(value);
  const isText = typeof value === "string" && value.length <= MAX_NUMBER_LENGTH && value.trim() !== "";
  const number = isText ? Number(value) : Number.NaN;
  return Number.isNaN(number) ? new Fault("double() of what is no number") : number;
}

function toText(value: Value): Value | Fault {
  if (value === null || typeof value === "object") return noOverload("string", value);
  return String(value);
}

/** What a search for a part costs at worst: measured, and quadratic where text and part repeat one character. */
function searchSteps(text: string, part: string): number {
  return 1 + text.length / 16 + (text.length * part.length) / 128;
}

function comparisonSteps(_text: string, part: string): number {
  return 1 + part.length / CHARACTERS_PER_STEP;
}

function ofTexts(
  name: string,
  steps: (text: string, part: string) => number,
  test: (text: string, part: string) => boolean,
): Operation {
  return (meter, text, part) => {
    if (typeof text !== "string" || typeof part !== "string") return noOverload(name, text, part);
    return spend(meter, steps(text, part)) ? test(text, part) : EXHAUSTED;
  };
}

function ofText(name: string, change: (text: string) => string): Operation {
  return (meter, text) => {
    if (typeof text !== "string") return noOverload(name, text);
    return spend(meter, 1 + text.length / CHARACTERS_PER_STEP) ? change(text) : EXHAUSTED;
  };
}
