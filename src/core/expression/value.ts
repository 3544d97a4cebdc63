/** A value of an expression. `int` is a bigint, `double` a number: what JSON has; a map is a plain object. */
export type Value =
  | null
  | boolean
  | bigint
  | number
  | string
  | readonly Value[]
  | { readonly [key: string]: Value };

/** Why an expression has no value. A value itself, not an exception: a target could make thousands of them. */
export class Fault {
  readonly reason: string;
  constructor(reason: string) {
    this.reason = reason;
  }
}

/** Why a variable has no value: it was there and could not be read, so that not even `has` can tell what it held. */
export class Unreadable extends Fault {}

/** How many steps a run may still take; what costs more than a few nanoseconds takes steps before it is done. */
export interface Meter {
  left: number;
}

/** The fault of a run that took all its steps. */
export const EXHAUSTED = new Fault("too many steps for this answer");

/** A function of one or two values; a method's first is its receiver. */
export type Operation = (meter: Meter, a: Value, b: Value) => Value | Fault;

/** Characters that are compared or copied in one step. */
export const CHARACTERS_PER_STEP = 32;
const STEPS_PER_KEY = 3;
const MAX_SHOWN_LENGTH = 64;

/** Takes steps; false where none are left: then what they are for must not be done. */
export function spend(meter: Meter, steps: number): boolean {
  meter.left -= steps;
  return meter.left >= 0;
}

/** The name of a value's type, as messages show it. */
export function kindOf(value: Value): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "list";
  const kinds: Record<string, string> = {
    boolean: "bool",
    bigint: "int",
    number: "double",
    string: "string",
  };
  return kinds[typeof value] ?? "map";
}

/** The entries of a map by name; null where the value is no map. */
export function asMap(value: Value): Readonly<Record<string, Value>> | null {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
  return value as Readonly<Record<string, Value>>;
}

/** What a comprehension goes over: a list's items or a map's keys. */
export function itemsOf(meter: Meter, value: Value): readonly Value[] | Fault {
  if (Array.isArray(value)) return value;
  const map = asMap(value);
  return map === null ? new Fault(`expected a list or a map, got ${kindOf(value)}`) : keysOf(meter, map);
}

/** `map.key`, `map["key"]` or `list[0]`. */
export function elementOf(meter: Meter, value: Value, key: Value): Value | Fault {
  if (Array.isArray(value)) {
    const element = isNumber(key) ? value[Number(key)] : undefined;
    return element === undefined ? new Fault(`no such index: ${show(key)}`) : element;
  }
  const map = asMap(value);
  if (map === null) return new Fault(`no such key: ${show(key)} of ${kindOf(value)}`);
  if (
    typeof key !== "string" ||
    !spend(meter, key.length / CHARACTERS_PER_STEP) ||
    !Object.hasOwn(map, key)
  ) {
    return new Fault(`no such key: ${show(key)}`);
  }
  return map[key] ?? null;
}

/** The fault of an operation on types that it is not for. */
export function noOverload(operation: string, ...values: Value[]): Fault {
  return new Fault(`no such overload: ${operation} of ${values.map(kindOf).join(" and ")}`);
}

/** The keys of a map. How many they are is known only after, so the steps may be spent below zero, once. */
export function keysOf(meter: Meter, map: Readonly<Record<string, Value>>): readonly string[] | Fault {
  if (!spend(meter, 1)) return EXHAUSTED;
  const keys = Object.keys(map);
  meter.left -= STEPS_PER_KEY * keys.length;
  return keys;
}

/** True for an int or a double. */
export function isNumber(value: Value): value is bigint | number {
  return typeof value === "bigint" || typeof value === "number";
}

/** An int, or the fault of one past 64 bits. */
export function int64(value: bigint): Value | Fault {
  return BigInt.asIntN(64, value) === value ? value : new Fault("integer overflow");
}

function show(key: Value): string {
  if (typeof key === "string") return key.slice(0, MAX_SHOWN_LENGTH);
  return isNumber(key) ? String(key) : kindOf(key);
}
