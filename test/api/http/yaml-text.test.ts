import { describe, expect, test } from "vitest";
import { AppError } from "../../../src/api/http/app-error.ts";
import { parseYaml } from "../../../src/api/http/yaml-text.ts";
import { leastCpuMs } from "../../support/server/cpu-time.ts";

function problemOf(text: string): AppError {
  try {
    parseYaml(text);
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
  throw new Error(`expected a refusal of ${text.slice(0, 80)}`);
}

describe("parseYaml", () => {
  test("reads the policy of the documentation", () => {
    const text = [
      "retry:",
      "  max_attempts: 3",
      "  backoff: { strategy: exponential, initial_interval: 1s }",
      "  conditions:",
      '    - "status == 503"',
      "  rules:",
      '    - when: "error_type == timeout"',
      "      do: retry",
      "      log: true",
    ].join("\n");
    expect(parseYaml(text)).toEqual({
      retry: {
        max_attempts: 3,
        backoff: { strategy: "exponential", initial_interval: "1s" },
        conditions: ["status == 503"],
        rules: [{ when: "error_type == timeout", do: "retry", log: true }],
      },
    });
  });

  test("expands a few aliases", () => {
    expect(parseYaml("a: &x [1]\nb: *x")).toEqual({ a: [1], b: [1] });
  });

  test("refuses a text whose aliases would make a huge value", () => {
    const levels = ["a: &a [x,x,x,x,x,x,x,x,x]"];
    for (const [from, to] of ["ab", "bc", "cd", "de", "ef", "fg", "gh", "hi"]) {
      levels.push(`${to}: &${to} [${Array(9).fill(`*${from}`).join(",")}]`);
    }
    expect(problemOf(levels.join("\n")).code).toBe("malformed_body");
  });

  test("refuses nesting that would exhaust the stack", () => {
    expect(problemOf("[".repeat(100_000)).code).toBe("malformed_body");
  });

  test("keeps prototype keys harmless", () => {
    const value = parseYaml("__proto__: { polluted: true }\nconstructor: 1") as Record<string, unknown>;
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
    expect(Object.hasOwn(value, "__proto__")).toBe(true);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  test.each([
    ["a custom tag", "a: !!js/function 'x'"],
    ["a local tag", "a: !thing 1"],
    ["a duplicate key", "a: 1\na: 2"],
    ["two documents", "a: 1\n---\nb: 2"],
    ["a key that is no text", "? [1, 2]\n: 3"],
    ["an alias without anchor", "a: *x"],
    ["a tab as indentation", "a:\n\tb: 1"],
  ])("refuses %s", (_, text) => {
    expect(problemOf(text).code).toBe("malformed_body");
  });

  test.each([
    ["as many errors as characters", `[${",".repeat(60_000)}`],
    ["as many errors in one quoted text", `"${"\\x".repeat(30_000)}"`],
    ["as many tags for one value", "!<x> ".repeat(12_000)],
    ["as many keys as fit", `{${Array.from({ length: 9_000 }, (_, i) => `k${i}`).join(",")}}`],
    ["one key as often as fits", `{${"a,".repeat(30_000)}}`],
    ["the deepest nesting", "{a: ".repeat(15_000)],
  ])("takes about a second at most for %s", (_, text) => {
    const parseOnce = () => {
      try {
        parseYaml(text);
      } catch (error) {
        expect(error).toBeInstanceOf(AppError);
      }
    };
    // A core whose caches other suites share takes half as long again.
    expect(leastCpuMs(parseOnce)).toBeLessThan(1_500);
  });

  test("names the place of a repeated key, however deep", () => {
    expect(problemOf("a: 1\nb:\n  - { c: 1, d: 2,\n      c: 3 }").message).toBe(
      "expected YAML, got a key that is given twice at line 4 column 7",
    );
  });

  test.each([`a: !${"x".repeat(10_000)} 1`, `a: *${"x".repeat(10_000)}`, `*${"*".repeat(10_000)}`])(
    "does not repeat a long text in its message: %.20s",
    (text) => {
      const { message, errors } = problemOf(text);
      expect(message.length).toBeLessThan(300);
      expect(errors[0]?.message.length).toBeLessThan(300);
    },
  );

  test("names line and column", () => {
    expect(problemOf("a: 1\nb: [1, 2").message).toMatch(/at line 2 column \d+/);
  });
});
