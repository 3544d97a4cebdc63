import { describe, expect, test } from "vitest";
import { loggedError, loggedStack } from "../../../src/core/text/logged-error.ts";

const SECRET = "s3cr3tM4rk3r9f";

describe("loggedError", () => {
  test.each([
    ["Network connection lost.", "Error: Network connection lost."],
    [
      "Durable Object is overloaded. Requests queued for too long.",
      "Error: Durable Object is overloaded. Requests queued for too long.",
    ],
    [
      "broken.outputGateBroken; SQLITE_FULL: disk is full",
      "Error: broken.outputGateBroken; SQLITE_FULL: disk is full",
    ],
    ["internal error; reference = nr95k2j3h4k5j6", "Error: internal error; reference = nr95k2j3h4k5j6"],
    ["took 30000 ms", "Error: took 30000 ms"],
    ["", "Error"],
  ])("keeps what the platform says: %s", (message, line) => {
    expect(loggedError(new Error(message))).toBe(line);
  });

  test.each([
    `Unexpected token 'B', "Bearer ${SECRET} and more" is not valid JSON`,
    `Unexpected token 'B', "Bearer ${SECRET}`,
    `Invalid header value: Bearer ${SECRET}`,
    `Invalid URL: https://user:${SECRET}@a.example/${SECRET}?k=${SECRET}`,
    `https://exa mple/${SECRET}`,
    `it was '${SECRET} so`,
    `reference = ${SECRET}`,
    `\`${SECRET}\``,
    `a/${SECRET}/b, (${SECRET}), [${SECRET}], x=${SECRET}.`,
  ])("shows nothing of a secret in %s", (message) => {
    expect(loggedError(new Error(message))).not.toContain(SECRET);
    expect(loggedError(message)).not.toContain(SECRET);
  });

  test("leaves of a URL its host", () => {
    expect(loggedError(new Error("cannot reach https://api.example.com/a?b=c now"))).toBe(
      "Error: cannot reach api.example.com now",
    );
    expect(loggedError("https://[x")).toBe("...");
  });

  test("cuts what is long", () => {
    expect(loggedError(new Error("word ".repeat(1_000))).length).toBeLessThan(320);
  });
});

describe("loggedStack", () => {
  test("is of frames only", () => {
    const error = new SyntaxError(`bad ${SECRET}\n    at "${SECRET}"`);
    const stack = loggedStack(error);
    expect(stack).toMatch(/^ +at /);
    expect(stack).not.toContain(SECRET);
  });

  test("is null where there is none", () => {
    const bare = new Error("x");
    delete bare.stack;
    expect([loggedStack(bare), loggedStack("text")]).toEqual([null, null]);
  });
});
