import { describe, expect, test } from "vitest";
import { ERROR_CODES, Problem } from "../../src/schema/problem.ts";
import { issuesOf } from "../support/issues.ts";

const problem = {
  type: "about:blank",
  title: "Bad Request",
  status: 400,
  code: "invalid_request",
  detail: "the request is not valid",
  errors: [{ path: "retry.max_attempts", message: "expected 1 to 100, got 0" }],
  request_id: "req_1",
};

describe("Problem", () => {
  test.each(ERROR_CODES)("can have the code %s", (code) => {
    expect(Problem.parse({ ...problem, code })).toEqual({ ...problem, code });
  });

  test("has no code that is not listed", () => {
    expect(issuesOf(Problem, { ...problem, code: "oops" })).toEqual([expect.stringMatching(/^code: /)]);
  });

  test("lists each code once, in the shape that the documentation says", () => {
    expect(new Set(ERROR_CODES).size).toBe(ERROR_CODES.length);
    expect(ERROR_CODES.filter((code) => !/^[a-z]+(_[a-z]+)*$/.test(code))).toEqual([]);
  });
});
