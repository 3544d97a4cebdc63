import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { findJsonFault } from "../../../src/api/http/json-fault.ts";

describe("findJsonFault", () => {
  test.each([
    ["", 0],
    ["  ", 2],
    ['{"a":}', 5],
    ['{"a":1,}', 7],
    ["{'a':1}", 1],
    ["[1,2", 4],
    ["[1,,2]", 3],
    ["[1,]", 3],
    ['{"a" 1}', 5],
    ['{"a":1]', 6],
    ["hello", 0],
    ["1 2", 2],
    ["01", 1],
    ['"a\nb"', 2],
    ['"a\\x"', 2],
    ['"abc', 4],
    ["}", 0],
    ['{"a":nul}', 5],
  ])("finds in %j the place %d", (text, offset) => {
    expect(() => JSON.parse(text)).toThrow();
    expect(findJsonFault(text).offset).toBe(offset);
  });

  test("counts lines and columns from 1", () => {
    expect(findJsonFault('{\n  "a": 1,\n  "b": x\n}')).toEqual({ offset: 19, line: 3, column: 8 });
  });

  test("finds the end of any JSON text that was cut short", () => {
    const textsOnly = (_: string, value: unknown) =>
      typeof value === "object" && value !== null ? value : "x";
    fc.assert(
      fc.property(fc.array(fc.jsonValue(), { minLength: 1 }), fc.nat(), (value, seed) => {
        const text = JSON.stringify(JSON.parse(JSON.stringify(value), textsOnly));
        fc.pre(!text.includes("\\"));
        const cut = text.slice(0, seed % text.length);
        expect(findJsonFault(cut).offset).toBe(cut.length);
      }),
    );
  });

  test("reads a string of a megabyte without exhausting anything", () => {
    const text = `["${"\\n".repeat(500_000)}", x]`;
    expect(findJsonFault(text).offset).toBe(text.length - 2);
  });
});
