import { expect, test } from "vitest";
import { repeatedParameters } from "../../../src/core/text/repeated-parameters.ts";

test.each([
  ["", []],
  ["a=1&b=2", []],
  ["a=1&a=2", ["a"]],
  ["a=1&b=1&b=1&a=1&b=1", ["b", "a"]],
  ["a=1&%61=2", ["a"]],
  ["a+b=1&a%20b=2", ["a b"]],
  ["a&a", ["a"]],
  ["=1&=2", [""]],
  ["__proto__=1&__proto__=2", ["__proto__"]],
  ["%zz=1&%zz=2", ["%zz"]],
])("of %j the repeated names are %j", (query, names) => {
  expect(repeatedParameters(query)).toEqual(names);
});
