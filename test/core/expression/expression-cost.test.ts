import { describe, expect, test } from "vitest";
import { compileExpression } from "../../../src/core/expression/expression.ts";
import { MAX_EXPRESSION_LENGTH, MAX_RESPONSE_BYTES } from "../../../src/schema/limits.ts";
import { cpuMs } from "../../support/server/cpu-time.ts";

/** Alone on a fast machine a run ends within a millisecond; this bound holds for a busy one, and tells from a run away. */
const MAX_MS = 15;
const EXHAUSTED = { failed: "too many steps for this answer" };

/** As often as it fits into an expression. */
function repeated(part: string, joint: string): string {
  const count = Math.floor((MAX_EXPRESSION_LENGTH + joint.length) / (part.length + joint.length));
  return Array(Math.min(count, 100)).fill(part).join(joint);
}

const keys = Object.fromEntries(Array.from({ length: 5_000 }, (_, i) => [`k${i}`, i]));
const halfKeys = Object.fromEntries(Object.entries(keys).slice(0, 2_500));
const ones = Array(32_000).fill(1);
const letters = "x".repeat(65_000);
const nested = (depth: number) => JSON.parse(`${"[".repeat(depth)}1${"]".repeat(depth)}`);

describe("the cost of an expression on 64 KB of answer", () => {
  test.each<[string, unknown, string]>([
    ["goes over a long list again and again", ones, repeated("body.exists(x, x == 2)", "||")],
    ["goes over a list of faults", ones, repeated("body.all(x, x.a)", "||")],
    ["has a long predicate", ones, `body.all(x, ${repeated("x == 1", "&&").slice(0, 900)} && true)`],
    ["chains comprehensions", ones, `body${".map(x, x)".repeat(20)}.size() == 0`],
    ["chains filters", ones, `body${".filter(x, true)".repeat(20)}.size() == 0`],
    ["counts to one", ones, repeated("body.exists_one(x, x == 2)", "||")],
    ["searches a list again and again", ones, repeated("7 in body", "||")],
    ["makes lists longer", ones, `size(${repeated("body", "+").slice(0, 199)}) == 0`],
    ["makes texts longer", { a: letters }, repeated("body.a+body.a==body.a", "||")],
    ["counts keys again and again", keys, repeated("size(body) < 0", "||")],
    ["goes over keys again and again", keys, repeated('body.exists(x, x == "")', "||")],
    [
      "compares long lists",
      { a: ones.slice(0, 16_000), b: ones.slice(0, 16_000) },
      repeated("body.a != body.b", "||"),
    ],
    ["compares large maps", { a: halfKeys, b: { ...halfKeys } }, repeated("body.a != body.b", "||")],
    [
      "compares long texts",
      { a: letters.slice(0, 32_000), b: `${letters.slice(0, 31_999)}y` },
      repeated("body.a == body.b", "||"),
    ],
    [
      "orders long texts",
      { a: letters.slice(0, 32_000), b: letters.slice(0, 32_000) },
      repeated("body.a < body.b", "||"),
    ],
    [
      "searches a text for a part of it",
      { a: letters.slice(0, 40_000), b: `${letters.slice(0, 20_000)}y` },
      repeated("body.a.contains(body.b)", "||"),
    ],
    [
      "searches a text for a literal",
      { a: letters },
      `body.a.contains("${"x".repeat(450)}y${"x".repeat(450)}")`,
    ],
    ["searches a text again and again", { a: letters }, repeated('body.a.contains("xxxxxy")', "||")],
    ["compares beginnings", { a: letters }, repeated("!body.a.startsWith(body.a)", "||")],
    ["measures a text again and again", { a: letters }, repeated("size(body.a) < 0", "||")],
    [
      "changes letters again and again",
      { a: "é".repeat(32_000) },
      repeated('body.a.upperAscii() == ""', "||"),
    ],
    ["looks up a long key", { a: letters }, repeated("body.a in body && body[body.a] == 1", "||")],
  ])("is bounded where it %s", (_name, body, text) => {
    expect(text.length).toBeLessThanOrEqual(MAX_EXPRESSION_LENGTH);
    const json = JSON.stringify(body);
    expect(json.length).toBeLessThanOrEqual(MAX_RESPONSE_BYTES);
    const compiled = compileExpression(text);
    if (!compiled.ok) throw new Error(compiled.message);
    const times: number[] = [];
    for (let i = 0; i < 5; i++) {
      const parsed = JSON.parse(json);
      const startedAt = cpuMs();
      const result = compiled.run({
        status: 503,
        errorType: null,
        errorCode: null,
        attempt: 1,
        latencyMs: 1,
        bodyError: null,
        headers: {},
        body: () => parsed,
      });
      times.push(cpuMs() - startedAt);
      expect([true, EXHAUSTED]).toContainEqual(result);
    }
    expect(Math.min(...times)).toBeLessThan(MAX_MS);
  });

  test("is bounded where it compares deep values", () => {
    const compiled = compileExpression(repeated("body[0] == body[1]", "||"));
    if (!compiled.ok) throw new Error(compiled.message);
    const body = [nested(16_000), nested(16_000)];
    const startedAt = cpuMs();
    const result = compiled.run({
      status: 0,
      errorType: null,
      errorCode: null,
      attempt: 1,
      latencyMs: 1,
      bodyError: null,
      headers: {},
      body: () => body,
    });
    expect(result).toEqual({ failed: "nested too deeply to compare" });
    expect(cpuMs() - startedAt).toBeLessThan(MAX_MS);
  });
});
