import type { Chance } from "./chance.ts";
import { hostileText, mutateText } from "./texts.ts";

const ATOMS = [
  ...["status", "attempt", "latency_ms", "error_type", "error_code", "headers", "body", "body_error", "timeout", "true", "false", "null"],
  ...["0", "1", "503", "9223372036854775807", "-9223372036854775808", "9223372036854775808", "1.5", "1e308", "0u", "'x'"],
  ...['"a"', "b'x'", "r'\\'", "[]", "{}", "[1, 'a', [2]]", "{'a': 1}", "body.items", "body.a.b.c", 'headers["x-one"]', "body[0]"],
  ...["size(body)", "body.text.size()", "int('9')", "double('x')", "string(1)", "dyn(1)", "matches('a', '(a+)+$')", "timestamp('x')"],
]; // biome-ignore format: a list of atoms
const OPERATORS = [
  "==",
  "!=",
  "<",
  "<=",
  ">",
  ">=",
  "&&",
  "||",
  "+",
  "-",
  "*",
  "/",
  "%",
  "in",
  "?",
  ":",
  ".",
  ",",
];
const MACROS = ["all", "exists", "exists_one", "filter", "map"];
const CALLS = [
  "contains",
  "startsWith",
  "endsWith",
  "lowerAscii",
  "upperAscii",
  "trim",
  "matches",
  "size",
  "none",
];

/** A CEL expression: well formed and deep or wide, or broken. */
export function hostileExpression(chance: Chance): string {
  const kind = chance.below(100);
  const text = expression(chance, 1 + chance.below(6));
  if (kind < 55) return text;
  if (kind < 75) return mutateText(chance, text);
  if (kind < 85) return hostileText(chance);
  const piece = chance.pick([
    "(",
    "!",
    "-",
    "[",
    "{",
    "true?",
    "1+",
    "body.",
    "a.all(b,",
    "'",
    '"""',
    "//",
    "[0]",
    "{'a':",
    "\\",
  ]);
  return piece.repeat(1 + chance.below(400)) + text;
}

function expression(chance: Chance, depth: number): string {
  if (depth === 0) return chance.pick(ATOMS);
  const part = () => expression(chance, depth - 1);
  switch (chance.below(8)) {
    case 0:
      return `(${part()}) ${chance.pick(OPERATORS)} (${part()})`;
    case 1:
      return `${part()} ${chance.pick(OPERATORS)} ${part()}`;
    case 2:
      return `${chance.pick(["body", "body.items", "[1, 2, 3]", "headers"])}.${chance.pick(MACROS)}(i, ${part()})`;
    case 3:
      return `${part()}.${chance.pick(CALLS)}(${part()})`;
    case 4:
      return `${part()} ? ${part()} : ${part()}`;
    case 5:
      return `has(${part()}.x)`;
    case 6:
      return `${chance.pick(["!", "-", "!!", "size", "int", "double", "string", "dyn"])}(${part()})`;
    default:
      return `${chance.pick(ATOMS)} ${chance.pick(["==", "!=", "<", "in"])} ${chance.pick(ATOMS)}`;
  }
}
