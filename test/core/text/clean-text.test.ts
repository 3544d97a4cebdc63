import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { cleanText } from "../../../src/core/text/clean-text.ts";

/** Any text, halves of surrogate pairs included. */
const units = fc.array(fc.nat(0xffff)).map((codes) => String.fromCharCode(...codes));

describe("cleanText", () => {
  test("makes one space of control characters and line separators, and trims", () => {
    expect(cleanText(" a\r\n\u0000b\u2028c\u007f ", 50)).toBe("a b c");
  });

  test("cuts a long text without leaving half a character", () => {
    expect(cleanText("abc".repeat(10), 4)).toBe("abca");
    expect(cleanText("ab😀", 3)).toBe("ab\ufffd");
  });

  test("is well-formed, without control characters and not too long, whatever the text", () => {
    fc.assert(
      fc.property(units, fc.integer({ min: 1, max: 50 }), (text, maxLength) => {
        const clean = cleanText(text, maxLength);
        expect(clean.length).toBeLessThanOrEqual(maxLength);
        expect(clean.isWellFormed()).toBe(true);
        expect(clean).not.toMatch(/\p{Cc}/u);
      }),
    );
  });
});
