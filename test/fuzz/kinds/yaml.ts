import { stringify } from "yaml";
import type { Chance } from "./chance.ts";
import { hostileText, mutateText } from "./texts.ts";
import { mutateValue } from "./values.ts";

/** Pieces that are worst when there are many of them; what they make grows with the text, or with its square. */
const REPEATED = [
  ...["[", "{", "{a: ", "- ", "? ", "? a\n: ", ": ", ",", "[,", "a,", "&a ", "*a ", "!x ", "!<x> ", "!!str ", "#\n", "\n", "\t"],
  ...["---\n", "...\n", "%YAML 1.2\n", "%TAG ! x\n", "- &a 1\n", "- *a\n", "a: 1\n", "- - ", "\\x", " \n", "|\n", ">\n", "'", '"'],
  ...["k: &k {<<: *k}\n", "- {a: [", "? [", "a:\n", "0", "1e", "~", "@", "`", "- |\n x\n", "- a\n  b: c\n", "\u2028", "\ufeff"],
]; // biome-ignore format: a list of pieces

/** A YAML text: a mutated value, aliases that multiply, deep nesting, huge scalars, or pieces in bulk. */
export function hostileYaml(chance: Chance, base: unknown): string {
  const kind = chance.below(100);
  if (kind < 40) return mutateText(chance, yamlOf(chance, base));
  if (kind < 60) return yamlOf(chance, mutateValue(chance, base));
  if (kind < 70) return bomb(chance);
  if (kind < 78) return anchored(chance);
  if (kind < 84) return indented(chance);
  if (kind < 90)
    return `a: ${chance.pick(["|\n ", ">-\n ", '"', "'", ""])}${hostileText(chance).repeat(1 + chance.below(50))}`;
  return bulk(chance);
}

function yamlOf(chance: Chance, value: unknown): string {
  // Values may be deeper than the printer's stack: JSON is YAML too.
  if (chance.is(0.5)) return JSON.stringify(value) ?? "";
  try {
    return stringify(value, {
      aliasDuplicateObjects: chance.is(0.5),
      version: chance.pick(["1.1", "1.2"] as const),
    });
  } catch {
    return JSON.stringify(value) ?? "";
  }
}

/** "Billion laughs": each level is some aliases of the one before. */
function bomb(chance: Chance): string {
  const width = 2 + chance.below(9);
  const isMap = chance.is(0.3);
  const lines = [`a0: &a0 [${Array(width).fill("x").join(",")}]`];
  for (let level = 1; level <= 1 + chance.below(40); level++) {
    const items = Array.from({ length: width }, (_, i) =>
      isMap ? `k${i}: *a${level - 1}` : `*a${level - 1}`,
    ).join(", ");
    lines.push(`a${level}: &a${level} ${isMap ? `{${items}}` : `[${items}]`}`);
  }
  return lines.join("\n");
}

/** Anchors where they hardly belong: of themselves, twice, as keys, in merges, never set. */
function anchored(chance: Chance): string {
  return Array.from({ length: 1 + chance.below(6) }, () =>
    chance.pick([
      ...["a: &a [*a]", "b: &b {c: *b}", "*a : 1", "<<: *a", "<<: [*a, *b]", "? &k x\n: *k", "e: *none", "- &a *a", "a: &a"],
      ...["f: !!binary aGk=", "g: !!set {x, y}", "h: !!omap [a: 1]", "i: !!js/function 'x'", "j: !!timestamp 2026-01-01"],
      ...["<<: {a: 1, __proto__: {x: 1}}", "url: &u https://api.redrive.invalid/\ncallback: {url: *u}", "k: .inf", "l: .nan"],
    ]),
  ).join("\n"); // biome-ignore format: a list of lines
}

function indented(chance: Chance): string {
  const sign = chance.pick(["a:", "-", "? ", "- a:"]);
  return Array.from({ length: 1 + chance.below(120) }, (_, i) => " ".repeat(i) + sign).join("\n");
}

/** Mostly short; one in some hundred as long as a request in YAML may be. */
function bulk(chance: Chance): string {
  const length = chance.is(0.02) ? 65_000 : 1 + chance.below(400);
  const piece = chance.pick(REPEATED);
  const closing = chance.pick(["", "", "]", "}", "\na: 1"]);
  return (
    chance.pick(["", "", "a: ", "[", "{", '"']) + piece.repeat(Math.ceil(length / piece.length)) + closing
  );
}
