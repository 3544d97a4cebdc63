import type { Chance } from "./chance.ts";

/** Texts that mean something somewhere: delimiters, near-right values, code points that parsers stumble over. */
const PIECES = [
  ...["", " ", "\t", "\n", "\r\n", "\u0000", "\u001f", "\u007f", "\u0085", "\u00a0", "\u2028", "\ufeff", "\ufffe"],
  ...["\ud800", "\udfff", "\u{1f600}", "e\u0301", "\u202e", "\u0130", "\u212a", "ﬃ", "ß", "ｅ", "é".repeat(300)],
  ...["'", '"', "\\", "`", "$", "%", "%00", "%0d%0a", "%c0%ae", "%", "..", "../..", "/", "//", "?", "#", "&", "=", ";"],
  ...["{", "}", "[", "]", "(", ")", "<", ">", ":", ",", "|", "*", "&a", "*a", "!", "!!", "---", "...", "<<", "~"],
  ...["null", "true", "false", "NaN", "Infinity", "-0", "1e999", "0x10", "1_000", "9".repeat(400), "1e-400", "-1"],
  ...["1h", "1d10h", "90s", "1.5ms", "-1s", "1h1h", "P1D", "2026-11-23T10:00:00Z", "2026-02-30T25:61:61+99:99"],
  ...["__proto__", "constructor", "prototype", "toString", "hasOwnProperty", "length", "then", "toJSON"],
  ...["status", "headers", "body", "signal", "hold", "retry", "admin", "default", "fuzzed", "key:fuzzed/x"],
  ...["tsk_", "tsk_01KBR0000000000000000000000", "rdk_", "Bearer", "Bearer x", "application/json", "[redacted]"],
  ...["'; DROP TABLE tasks; --", "$" + "{7*7}", "{{7*7}}", "<script>", "$(id)", "\u001b[31m", "javascript:alert(1)"],
]; // biome-ignore format: a list of words

/** A text of a few pieces and random characters; now and then one piece a thousand times. */
export function hostileText(chance: Chance): string {
  if (chance.is(0.01)) return chance.pick(PIECES).repeat(1 + chance.below(1_000));
  let text = "";
  for (let parts = 1 + chance.below(4); parts > 0; parts--) {
    text += chance.is(0.7)
      ? chance.pick(PIECES)
      : String.fromCharCode(chance.below(chance.is(0.8) ? 128 : 65_536));
  }
  return text;
}

/** The text with some of its characters removed, repeated, swapped or replaced, or cut. */
export function mutateText(chance: Chance, text: string): string {
  let mutated = text;
  for (let times = 1 + chance.below(4); times > 0; times--) mutated = mutateOnce(chance, mutated);
  return mutated;
}

function mutateOnce(chance: Chance, text: string): string {
  const at = chance.below(text.length + 1);
  const end = Math.min(text.length, at + 1 + chance.below(12));
  const [before, part, after] = [text.slice(0, at), text.slice(at, end), text.slice(end)];
  switch (chance.below(6)) {
    case 0:
      return before + after;
    case 1:
      return before + part + part + after;
    case 2:
      return before + hostileText(chance) + part + after;
    case 3:
      return before + hostileText(chance) + after;
    case 4:
      return before;
    default:
      return before + part.repeat(1 + chance.below(60)) + after;
  }
}
