import { describe, expect, test } from "vitest";
import { parseExactJson } from "../../../src/core/expression/exact-json.ts";
import { compileExpression } from "../../../src/core/expression/expression.ts";

function holds(expression: string, body: string): unknown {
  const compiled = compileExpression(expression);
  if (!compiled.ok) return compiled.message;
  return compiled.run({
    status: 200,
    errorType: null,
    errorCode: null,
    attempt: 1,
    latencyMs: 1,
    headers: {},
    body: () => parseExactJson(body),
    bodyError: null,
  });
}

describe("numbers of an answer in rules", () => {
  test.each([
    ["body.id == 9007199254740992", '{"id":9007199254740993}', false],
    ["body.id == 9007199254740993", '{"id":9007199254740993}', true],
    ["body.id > 9007199254740992", '{"id":9007199254740993}', true],
    ["body.id == -9007199254740993", '{"id":-9007199254740993}', true],
    ["body.id + 1 == 9007199254740994", '{"id":9007199254740993}', true],
    ["body.id == 9223372036854775807", '{"id":9223372036854775808}', false],
    ['string(body.id) == "18446744073709551615"', '{"id":18446744073709551615}', true],
    ["body.ids.exists(id, id == 1970670598291982290)", '{"ids":[1970670598291982290]}', true],
    ["body.x == 0.5 && body.n == 3", '{"x":0.5,"n":3,"id":12345678901234567}', true],
    ["body.id == 0", `{"id":1${"0".repeat(60)}}`, false],
  ])("%s of %s", (expression, body, expected) => {
    expect(holds(expression, body)).toBe(expected);
  });

  test("past 64 bits they compare, but are no ints to count with", () => {
    expect(holds("int(body.id) == 1", '{"id":18446744073709551615}')).toEqual({ failed: "integer overflow" });
  });

  test("refuses a literal past 64 bits", () => {
    expect(compileExpression("body.id == 9223372036854775809")).toMatchObject({ ok: false });
  });
});
