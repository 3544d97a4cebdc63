import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compileExpression } from "../../../src/core/expression/expression.ts";
import type { Value } from "../../../src/core/expression/value.ts";

const BODY: Value = {
  code: 5,
  seven: 7,
  rate: 1.5,
  state: "Processing",
  text: " a😀 ",
  flag: true,
  none: null,
  list: [1, 2, 3],
  same: [1, 2, 3],
  other: [1, 2, 4],
  items: [{ id: 1, ok: true }, { id: 2 }, { id: 3, ok: false }],
  map: { a: 1, b: [1] },
  twin: { b: [1], a: 1 },
  near: { a: 1, c: [1] },
  far: { a: 1, b: [2] },
  number: "12",
};

function run(text: string, body: Value = BODY) {
  const compiled = compileExpression(text);
  if (!compiled.ok) throw new Error(`${text}: ${compiled.message} at ${compiled.position}`);
  const input = {
    status: 200,
    errorType: null,
    errorCode: null,
    attempt: 1,
    latencyMs: 7,
    bodyError: null,
    headers: {},
  };
  return compiled.run({ ...input, body: () => body });
}

describe("the expression language", () => {
  test.each([
    "body.code == 5 && body.code != 6 && body.code == 5.0",
    "body.code < 6 && body.code <= 5 && body.code > 4 && body.code >= 5",
    "body.code in [4, 5] && !(body.code in [6])",
    "body.code + 1 == 6 && body.code - 1 == 4 && body.code * 2 == 10 && body.code % 2 == 1",
    "body.seven / 2 > 3.4 && 7 / 2 == 3 && 7 % 4 == 3 && 7.0 / 2.0 == 3.5",
    "2 + 3 == 5 && 2 - 3 == -1 && 2 * 3 == 6 && -latency_ms == -7 && -body.rate == -1.5",
    'body.state == "Processing" && body.state != 5 && body.none == null && body.flag',
    'body.state < "Q" && body.state >= "P"',
    'body.state + "!" == "Processing!" && [1] + [2] == [1, 2]',
    'body.state.contains("cess") && body.state.startsWith("Pro") && body.state.endsWith("ing")',
    'body.state.lowerAscii() == "processing" && body.state.upperAscii() == "PROCESSING"',
    'body.text.trim() == "a😀" && size(body.text) == 4 && body.text.size() == 4',
    "size(body.list) == 3 && body.list.size() == 3 && size(body.map) == 2",
    'int(body.number) == 12 && int("-3") == -3 && int("+3") == 3 && int(body.rate) == 1 && int(7) == 7',
    'double(body.number) == 12.0 && double(7) == 7.0 && double("1.5") == body.rate',
    'string(body.code) == "5" && string(12) == "12" && string(true) == "true" && string("x") == "x"',
    "dyn(1) == 1.0",
    "body.list == body.same && body.list != body.other && body.list != [1, 2]",
    "body.map == body.twin && body.map != body.near && body.map != body.far && body.map != body",
    "body.map != body.list && body.none != body.map",
    "body.list[0] == 1 && body.items[1].id == 2 && body.list[body.list[0]] == 2",
    'body["state"] == "Processing" && "state" in body && !("nope" in body)',
    "has(body.map.a) && !has(body.map.z) && !has(body.nope.z.y) && !has(body.none.z) && !has(body.list.z)",
    "body.list.all(x, x > 0) && !body.list.all(x, x > 1)",
    "body.list.exists(x, x == 3) && !body.list.exists(x, x == 4)",
    "body.list.exists_one(x, x == 3) && !body.list.exists_one(x, x > 1)",
    "body.list.filter(x, x > 1) == [2, 3] && body.list.map(x, x * 2) == [2, 4, 6]",
    "body.list.map(x, x > 1, x * 2) == [4, 6]",
    'body.map.exists(key, key == "b") && body.map.map(key, key).size() == 2',
    "body.items.filter(x, has(x.ok)).map(x, x.id) == [1, 3]",
    "body.list.all(status, status < 4) && status == 200",
    "body.list.all(timeout, timeout < 4)",
    "body.flag ? status == 200 : body.nope == 1",
    "!(body.none == null) ? body.nope == 1 : true",
  ])("holds: %s", (text) => {
    expect(run(text)).toBe(true);
  });

  test.each([
    "true || body.nope",
    "body.nope || true",
    "!(false && body.nope)",
    "!(body.nope && false)",
    "body.items.exists(x, x.ok)",
    "!body.items.all(x, x.ok)",
    "body.code || true",
  ])("lets what decides outweigh a fault: %s", (text) => {
    expect(run(text)).toBe(true);
  });

  test.each([
    ["false || body.nope", "no such key: nope"],
    ["true && body.nope == 1", "no such key: nope"],
    ["body.nope && body.nix", "no such key: nope"],
    ["body.code && true", "expected bool, got double"],
    ["!body.nope", "no such key: nope"],
    ["!body.state", "expected bool, got string"],
    ["body.nope ? true : false", "no such key: nope"],
    ["body.list ? true : false", "expected bool, got list"],
    ["body.items.all(x, x.id > 0 && x.nope)", "no such key: nope"],
    ["body.items.exists_one(x, x.ok)", "no such key: ok"],
    ["body.items.map(x, x.ok) == []", "no such key: ok"],
    ["body.items.filter(x, x.id) == []", "expected bool, got double"],
    ["body.nope.all(x, true)", "no such key: nope"],
    ["body.nope.map(x, x) == []", "no such key: nope"],
    ["body.code.all(x, true)", "expected a list or a map, got double"],
    ["body.code.map(x, x) == []", "expected a list or a map, got double"],
    ["[body.nope] == [1]", "no such key: nope"],
    ["1 == body.nope", "no such key: nope"],
    ["body.list[9] == 1", "no such index: 9"],
    ["body.list[-1] == 1", "no such index: -1"],
    ["body.list.first == 1", "no such index: first"],
    ["body.map[body.list] == 1", "no such key: list"],
    ["body.map[1] == 1", "no such key: 1"],
    ["body.code < body.state", "no such overload: < of double and string"],
    ["body.code + body.state == 1", "no such overload: + of double and string"],
    ["body.state + body.code == 1", "no such overload: + of string and double"],
    ["body.list + body.state == 1", "no such overload: + of list and string"],
    ["body.state - body.map == 1", "no such overload: - of string and map"],
    ["-body.flag == 1", "no such overload: - of bool"],
    ["body.none in body.code", "no such overload: in of null and double"],
    ["body.code in body.map", "no such overload: in of double and map"],
    ["size(body.code) == 1", "no such overload: size of double"],
    ["string(body.none) == ''", "no such overload: string of null"],
    ["string(body.map) == ''", "no such overload: string of map"],
    ["body.code.contains('x')", "no such overload: contains of double and string"],
    ["body.state.contains(body.code)", "no such overload: contains of string and double"],
    ["body.code.trim() == ''", "no such overload: trim of double"],
    ["int(body.state) == 1", "int() of what is no whole number"],
    ["int(body.flag) == 1", "int() of what is no whole number"],
    ["int(1.0 / 0.0) == 1", "int() of what is no whole number"],
    ["double(body.state) == 1.0", "double() of what is no number"],
    ["double(body.none) == 1.0", "double() of what is no number"],
    ["double(' ') == 1.0", "double() of what is no number"],
    ["1 / 0 == 1", "division by zero"],
    ["1 % 0 == 1", "division by zero"],
    ["9223372036854775807 + 1 > 0", "integer overflow"],
    ["int(1e300) > 0", "integer overflow"],
  ])("fails: %s with %s", (text, failed) => {
    expect(run(text)).toEqual({ failed });
  });

  test("reads no key that an object has by nature", () => {
    expect(run('"constructor" in body || has(body.toString)')).toBe(false);
    expect(run("body.__proto__ == 1")).toEqual({ failed: "no such key: __proto__" });
  });

  test("reads keys of any name from the body", () => {
    expect(run('body["__proto__"] == 1', JSON.parse('{"__proto__":1}'))).toBe(true);
  });

  test("does not compare what is nested too deeply", () => {
    const nested = (depth: number) => JSON.parse(`${"[".repeat(depth)}1${"]".repeat(depth)}`);
    const failed = { failed: "nested too deeply to compare" };
    expect(run("body[0] == body[1]", [nested(20), nested(20)])).toBe(true);
    expect(run("body[0] == body[1]", [nested(9_999), nested(9_999)])).toEqual(failed);
  });

  test("compares whole numbers of JSON as numbers", () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), fc.maxSafeInteger(), (a, b) => {
        expect(run("body.a == body.b", { a, b })).toBe(a === b);
        expect(run("int(body.a) < body.b", { a, b })).toBe(a < b);
        expect(run("int(body.a) == body.a", { a, b })).toBe(true);
      }),
    );
  });

  test("agrees with JSON on what is equal", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 3 }), fc.jsonValue({ maxDepth: 3 }), (a, b) => {
        const copy = JSON.parse(JSON.stringify(a)) as Value;
        expect(run("body.a == body.b", { a: a as Value, b: copy })).toBe(true);
        const differs = JSON.stringify(a) !== JSON.stringify(b);
        const sorted = run("body.a == body.b", { a: a as Value, b: b as Value });
        if (!differs) expect(sorted).toBe(true);
        else if (typeof a !== "object" || typeof b !== "object")
          expect(sorted).toBe(Object.is(a, b) || a === b);
      }),
    );
  });
});
