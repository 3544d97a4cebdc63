import { describe, expect, test } from "vitest";
import { invalid } from "../../src/protocol/refusal.ts";

describe("invalid", () => {
  test.each([
    [[{ path: "url", message: "expected a URL" }], "url: expected a URL"],
    [[{ path: "", message: "expected an object" }], "expected an object"],
    [
      [
        { path: "a", message: "x" },
        { path: "b", message: "y" },
        { path: "c", message: "z" },
      ],
      "a: x (and 2 more)",
    ],
    [[], "invalid request"],
  ])("tells the first wrong place of %j", (errors, detail) => {
    expect(invalid(errors)).toEqual({ ok: false, code: "invalid_request", detail, errors });
  });
});
