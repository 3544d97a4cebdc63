const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const COMMA = 0x2c;
/** As many digits as a double keeps of any number whose power of ten is not extreme; with sign and point no more. */
const ALWAYS_EXACT_LENGTH = 15;
const NUMBER = /^([+-]?)(\d*)\.?(\d*)(?:[eE]([+-]?\d+))?$/;

/** Takes a field's value, which begins at `at`, and says where that value ends. */
export type VisitField = (name: string, at: number) => number;

/**
 * Goes over the fields of the object that begins at `at`, in the order in which they stand; gives where it ends. This
 * and all of this module expects a text that JSON.parse has taken.
 */
export function eachField(text: string, at: number, visit: VisitField): number {
  let next = pastSpace(text, at + 1);
  while (text.charCodeAt(next) !== CLOSE_OBJECT) {
    const nameEnd = pastString(text, next);
    const colon = pastSpace(text, nameEnd);
    next = afterItem(text, visit(nameOf(text, next, nameEnd), pastSpace(text, colon + 1)));
  }
  return next + 1;
}

/** Goes over the items of the list that begins at `at`; gives where it ends. */
export function eachItem(text: string, at: number, visit: (at: number, index: number) => number): number {
  let next = pastSpace(text, at + 1);
  for (let index = 0; text.charCodeAt(next) !== CLOSE_LIST; index++) {
    next = afterItem(text, visit(next, index));
  }
  return next + 1;
}

/** Where the first character is that is no space of JSON. */
export function pastSpace(text: string, at: number): number {
  let next = at;
  while (isSpace(text.charCodeAt(next))) next++;
  return next;
}

/** Where the value that begins at `at` ends. */
export function pastValue(text: string, at: number): number {
  const first = text.charCodeAt(at);
  if (first === QUOTE) return pastString(text, at);
  if (first === OPEN_OBJECT || first === OPEN_LIST) return pastContainer(text, at);
  let end = at + 1;
  while (end < text.length && !endsScalar(text.charCodeAt(end))) end++;
  return end;
}

/** True where an object begins. */
export function isObjectAt(text: string, at: number): boolean {
  return text.charCodeAt(at) === OPEN_OBJECT;
}

/** True where a list begins. */
export function isListAt(text: string, at: number): boolean {
  return text.charCodeAt(at) === OPEN_LIST;
}

/** A JSON text without the spaces between its parts. */
export function compactJson(text: string): string {
  return text.replace(/("(?:[^"\\]|\\.)*")|[ \t\n\r]+/g, "$1");
}

/** True where parsing a JSON text loses nothing: every number is a double exactly, and no object has a name twice. */
export function isExactJson(text: string): boolean {
  let exact = true;
  const walk = (at: number): number => {
    if (isListAt(text, at)) return eachItem(text, at, walk);
    if (isObjectAt(text, at)) {
      const names = new Set<string>();
      return eachField(text, at, (name, value) => {
        exact &&= !names.has(name);
        names.add(name);
        return walk(value);
      });
    }
    const end = pastValue(text, at);
    exact &&= isExactScalar(text.slice(at, end));
    return end;
  };
  walk(pastSpace(text, 0));
  return exact;
}

/** True for the text of a decimal number that JavaScript writes as the same number again. */
export function isExactNumber(source: string): boolean {
  const value = Number(source);
  return Number.isFinite(value) && decimalOf(source) === decimalOf(String(value));
}

function isExactScalar(source: string): boolean {
  const first = source.charCodeAt(0);
  const isNumber = first === 0x2d || (first >= 0x30 && first <= 0x39);
  return !isNumber || isShortDecimal(source) || isExactNumber(source);
}

/** True for a JSON number that is exact by its length: most are, and need no second look. */
function isShortDecimal(source: string): boolean {
  return source.length <= ALWAYS_EXACT_LENGTH && !source.includes("e") && !source.includes("E");
}

/** Digits and a power of ten, in one way for each number. */
function decimalOf(source: string): string | null {
  const parts = NUMBER.exec(source);
  if (parts === null) return null;
  const [, sign, whole, fraction, exponent] = parts as unknown as [string, string, string, string, string?];
  const digits = (whole + fraction).replace(/^0+/, "");
  const significant = digits.replace(/0+$/, "");
  if (significant === "") return "0";
  const power = Number(exponent ?? 0) - fraction.length + digits.length - significant.length;
  return `${sign === "-" ? "-" : ""}${significant}e${power}`;
}

function afterItem(text: string, end: number): number {
  const next = pastSpace(text, end);
  return text.charCodeAt(next) === COMMA ? pastSpace(text, next + 1) : next;
}

function nameOf(text: string, at: number, end: number): string {
  const inner = text.slice(at + 1, end - 1);
  return inner.includes("\\") ? JSON.parse(text.slice(at, end)) : inner;
}

function pastString(text: string, at: number): number {
  for (let end = text.indexOf('"', at + 1); ; end = text.indexOf('"', end + 1)) {
    let before = end - 1;
    while (text.charCodeAt(before) === BACKSLASH) before--;
    if ((end - before) % 2 === 1) return end + 1;
  }
}

function pastContainer(text: string, at: number): number {
  let depth = 0;
  for (let next = at; ; next++) {
    const unit = text.charCodeAt(next);
    if (unit === QUOTE) next = pastString(text, next) - 1;
    else if (unit === OPEN_OBJECT || unit === OPEN_LIST) depth++;
    else if ((unit === CLOSE_OBJECT || unit === CLOSE_LIST) && --depth === 0) return next + 1;
  }
}

function isSpace(unit: number): boolean {
  return unit === 0x20 || unit === 0x0a || unit === 0x0d || unit === 0x09;
}

function endsScalar(unit: number): boolean {
  return unit === COMMA || unit === CLOSE_OBJECT || unit === CLOSE_LIST || isSpace(unit);
}
