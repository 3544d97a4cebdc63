import { describe, expect, test } from "vitest";
import { checkHeaders, isTraceparent } from "../../src/intake/check-headers.ts";
import { MAX_HEADERS } from "../../src/schema/limits.ts";

describe("checkHeaders", () => {
  test("gives names in lower case", () => {
    expect(checkHeaders({ "Content-Type": "a/b", "X-One": "1" }, "headers")).toEqual({
      headers: { "content-type": "a/b", "x-one": "1" },
      issues: [],
    });
  });

  test.each([
    "Host",
    "content-length",
    "Connection",
    "keep-alive",
    "transfer-encoding",
    "upgrade",
    "TE",
    "trailer",
    "proxy-authorization",
    "Redrive-Task-Id",
    "idempotency-key",
    "X-Retry-Count",
    "webhook-id",
    "cf-connecting-ip",
  ])("refuses %s and says why", (name) => {
    const { issues } = checkHeaders({ [name]: "x" }, "headers");
    expect(issues).toEqual([
      {
        path: `headers.${name}`,
        message: expect.stringMatching(
          /^(the header [\w-]+ is|headers that begin with [\w-]+- are) not allowed: /,
        ),
      },
    ]);
  });

  test.each(["", "a b", "a:b", "naïve", "a\r\nb", "(x)"])("refuses the name %j", (name) => {
    expect(checkHeaders({ [name]: "x" }, "headers").issues).toHaveLength(1);
  });

  test.each(["a\r\nb: c", "a\nb", "\0", "é", "\x7f", "日"])(
    "refuses the value %j without showing it",
    (value) => {
      const { issues } = checkHeaders({ "x-a": value }, "callback.headers");
      expect(issues[0]?.path).toBe("callback.headers.x-a");
      expect(issues[0]?.message).toMatch(/^expected printable ASCII, got another character at position \d+$/);
    },
  );

  test("refuses a name that is given twice in different case", () => {
    expect(checkHeaders({ "X-A": "1", "x-a": "2" }, "headers").issues).toEqual([
      { path: "headers.x-a", message: "is given twice" },
    ]);
  });

  test("refuses what looks like a stored secret: it could be one that was taken from storage", () => {
    const { issues } = checkHeaders({ "x-a": "sealed:v1:key:AAAA" }, "headers");
    expect(issues).toEqual([
      { path: "headers.x-a", message: expect.stringContaining("does not begin with sealed:v1:") },
    ]);
  });

  test("refuses the placeholder that answers show in place of a secret", () => {
    expect(checkHeaders({ authorization: "[redacted]" }, "headers").issues).toHaveLength(1);
  });

  test("refuses too many headers and too many bytes of them", () => {
    const many = Object.fromEntries(Array.from({ length: MAX_HEADERS + 1 }, (_, i) => [`x-${i}`, ""]));
    expect(checkHeaders(many, "headers").issues).toEqual([
      { path: "headers", message: "expected at most 64 headers, got 65" },
    ]);
    expect(checkHeaders({ "x-a": "x".repeat(32_766) }, "headers").issues).toEqual([
      { path: "headers", message: "expected at most 32768 bytes of names and values, got 32769" },
    ]);
    expect(checkHeaders({ "x-a": "x".repeat(32_765) }, "headers").issues).toEqual([]);
  });
});

describe("isTraceparent", () => {
  const trace = "4bf92f3577b34da6a3ce929d0e0e4736";

  test.each([
    [`00-${trace}-00f067aa0ba902b7-01`, true],
    [`01-${trace}-00f067aa0ba902b7-01`, false],
    [`00-${"0".repeat(32)}-00f067aa0ba902b7-01`, false],
    [`00-${trace}-${"0".repeat(16)}-01`, false],
    ["", false],
  ])("%s: %s", (value, expected) => {
    expect(isTraceparent(value)).toBe(expected);
  });
});
