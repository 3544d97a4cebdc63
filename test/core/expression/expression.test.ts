import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  compileExpression,
  type ExpressionInput,
  stepBudget,
} from "../../../src/core/expression/expression.ts";
import type { Value } from "../../../src/core/expression/value.ts";
import { ERROR_TYPES } from "../../../src/schema/task.ts";

const build = (over: Partial<ExpressionInput> = {}): ExpressionInput => ({
  status: 503,
  errorType: "server_error",
  errorCode: "busy",
  attempt: 2,
  latencyMs: 120,
  bodyError: null,
  headers: { "x-region": "eu", server: "nginx" },
  body: () => null,
  ...over,
});

function run(text: string, body: Value = null, over: Partial<ExpressionInput> = {}) {
  const compiled = compileExpression(text);
  if (!compiled.ok) throw new Error(`${text}: ${compiled.message} at ${compiled.position}`);
  return compiled.run(build({ body: () => body, ...over }));
}

describe("compileExpression", () => {
  test.each([
    "status == 503",
    "status in [502, 503] && attempt < 3",
    'error_type == server_error && error_type == "server_error"',
    'error_code == "busy"',
    "latency_ms > 100 && latency_ms <= 120 && latency_ms >= 120",
    'headers["x-region"] == "eu" && headers.server.startsWith("ng") && "server" in headers',
    "body == null",
  ])("holds: %s", (text) => {
    expect(run(text)).toBe(true);
  });

  test("declares every error type as a constant", () => {
    for (const errorType of ERROR_TYPES) {
      expect(run(`error_type == ${errorType}`, null, { errorType })).toBe(true);
      expect(run(`error_type == ${errorType}`, null, { errorType: "other" })).toBe(false);
    }
  });

  test("knows rate_limited as an error code too", () => {
    expect(run("error_code == rate_limited", null, { errorCode: "rate_limited" })).toBe(true);
  });

  test("shows a success as empty texts", () => {
    expect(run('error_type == "" && error_code == ""', null, { errorType: null, errorCode: null })).toBe(
      true,
    );
  });

  test("takes what is no whole number for one", () => {
    expect(run("latency_ms == 1 && status == 0", null, { latencyMs: 1.9, status: Number.NaN })).toBe(true);
  });

  test.each([
    ["status =", 8, "unexpected character: ="],
    ["status == ", 11, "unexpected token: EOF"],
    ["status == 'x'", 1, "no such overload: int == string"],
    ["true && statsu == 503", 9, "unknown variable: statsu; known are status, error_type, error_code"],
    ["true && status.code == 1", 16, "cannot index type 'int'"],
    ["status + 1", 1, "expected an expression that is true or false, got int"],
    ['true || "a".matches("(a+)+$")', 9, "matches() is not available"],
    ["body.all(x, x.all(y, y == 1))", 13, "all() inside another comprehension is not available"],
    ["body.map(x, [x].filter(y, true)) == []", 13, "filter() inside another comprehension is not available"],
    ["timestamp(0) == timestamp(0)", 1, "timestamp() is not available"],
    ["cel.bind(x, body, x == 1)", 1, "bind() is not available"],
    ["type(body) == int", 1, "type() is not available"],
    ["body == int", 9, "int is not available"],
    ['body == {"a": 1}', 9, "a map is not available"],
    ['b"a" == b"a"', 1, "bytes and unsigned numbers are not available"],
    ["body == 5u", 9, "bytes and unsigned numbers are not available"],
    ['body.split(",")[0] == "a"', 1, "split() is not available"],
    [`${"(".repeat(30)}true${")".repeat(30)}`, 25, "exceeded maxDepth (24)"],
    [`body in [${"1,".repeat(120)}1]`, 210, "exceeded maxListElements (100)"],
    [`true${" && true".repeat(400)}`, 1, "exceeded maxAstNodes (500)"],
  ])("refuses %s at column %d: %s", (text, position, message) => {
    const compiled = compileExpression(text);
    expect(compiled).toMatchObject({ ok: false, position });
    expect(compiled.ok ? "" : compiled.message).toContain(message);
  });

  test("refuses what exhausts the parser", () => {
    expect(compileExpression(`${"!".repeat(100_000)}true`)).toMatchObject({ ok: false, position: 1 });
  });

  test.each([
    ["body.code == 5", { status: 5 }, "no such key: code"],
    ['headers["x-none"] == "1"', null, "no such key: x-none"],
    ["body.a", { a: 5 }, "expected bool, got double"],
    ["body.code == 5", null, "no such key: code of null"],
  ])("says why %s fails on %j", (text, body, failed) => {
    expect(run(text, body as Value)).toEqual({ failed });
  });

  test("cleans and cuts why it failed", () => {
    const result = run("body[body.key] == 1", { key: `a\n${"k".repeat(500)}` });
    expect(result).toEqual({ failed: `no such key: a ${"k".repeat(62)}` });
  });

  test("parses no body that the expression does not ask for", () => {
    const body = (): Value => {
      throw new Error("asked for");
    };
    expect(run("status == 503 || body.a", null, { body })).toBe(true);
  });

  test("compiles a text once, and lets go of the oldest of 500", () => {
    const first = compileExpression("status == 100000");
    expect(compileExpression("status == 100000")).toBe(first);
    for (let i = 1; i <= 500; i++) compileExpression(`status == ${100_000 + i}`);
    expect(compileExpression("status == 100000")).not.toBe(first);
    expect(compileExpression("status == 100500")).toBe(compileExpression("status == 100500"));
  });

  test("fails a run that takes too many steps, even where half of it would hold", () => {
    const many = Array(30_000).fill(1);
    expect(run("body.all(x, x == 1)", many)).toEqual({ failed: "too many steps for this answer" });
    expect(run("body.exists(x, x == 2) || status == 503", many)).toMatchObject({
      failed: expect.any(String),
    });
  });

  test("shares the steps of a budget, and leaves enough for a plain comparison", () => {
    const budget = stepBudget();
    const input = build({ body: () => Array(12_000).fill(1) });
    const runs = ["7 in body", "8 in body", "status == 503"].map((text) => {
      const compiled = compileExpression(text);
      return compiled.ok && compiled.run(input, budget);
    });
    expect(runs).toEqual([false, { failed: "too many steps for this answer" }, true]);
  });

  test("never throws, whatever the expression and the answer", () => {
    const words =
      "status body headers error_type timeout == != < in && || ! ( ) [ ] . \"x\" 1 2.5 5u b'a' null true";
    const more =
      "{ } : , ? has( size( body.all(x, x ) - + * / % \\ ' 1e999 0x // int( string( body.a headers.a ]";
    const token = fc.constantFrom(...words.split(" "), ...more.split(" "));
    const texts = fc.oneof(
      fc.array(token, { maxLength: 12 }).map((tokens) => tokens.join(" ")),
      fc.array(token, { maxLength: 6 }).map((tokens) => tokens.join("")),
      fc.string(),
    );
    fc.assert(
      fc.property(texts, fc.jsonValue(), (text, body) => {
        const compiled = compileExpression(text);
        if (!compiled.ok) {
          expect(compiled.position).toBeGreaterThanOrEqual(1);
          return;
        }
        const result = compiled.run(build({ body: () => body as Value }));
        expect(typeof result === "boolean" || typeof result.failed === "string").toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });
});
