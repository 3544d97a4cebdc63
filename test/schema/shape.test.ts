import { describe, expect, test } from "vitest";
import { nearest } from "../../src/schema/nearest.ts";
import { noQueueText, numberOrShape, shapeOf, shownName } from "../../src/schema/shape.ts";

describe("shapeOf", () => {
  test.each<[unknown, string]>([
    [undefined, "nothing"],
    [null, "null"],
    [true, "true"],
    ["", "an empty string"],
    ["x", "a string of 1 character"],
    ["secret", "a string of 6 characters"],
    [5, "a number"],
    [[], "an empty array"],
    [["secret"], "an array of 1 item"],
    [[1, 2], "an array of 2 items"],
    [{ authorization: "secret" }, "an object"],
    [Symbol("odd"), "a symbol"],
  ])("of %s is %s", (value, shape) => {
    expect(shapeOf(value)).toBe(shape);
  });

  test("shows numbers where they belong", () => {
    expect([numberOrShape(5), numberOrShape("5"), numberOrShape(Number.NaN)]).toEqual([
      "5",
      "a string of 1 character",
      "a number",
    ]);
  });
});

describe("shownName", () => {
  test.each([
    "url",
    "max_attempts",
    "X-Api-Key",
    "x-b3-traceid",
    "body_base64",
    "__proto__",
    "eu-west-1",
    "a.b",
    "$schema",
  ])("takes %s for a name", (name) => {
    expect(shownName(name)).toBe(name);
  });

  test.each([
    "",
    "Bearer x",
    "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
    "550e8400-e29b-41d4-a716-446655440000",
    "4111-1111-1111-1111",
    "x-4111-1111-1111-1111",
    "aGVsbG8gd29ybGQgaGVsbG8gd29ybGQ",
    "user@example.com",
    "a:b",
    "x".repeat(65),
    "-".repeat(65),
    `${"-".repeat(63)}!`,
  ])("hides %s", (text) => {
    expect(shownName(text)).toBeNull();
  });

  test("is what a queue that is not there is told by", () => {
    expect(noQueueText("eu")).toBe('there is no queue "eu"');
    expect(noQueueText("s3cr3tm4rk3r")).toBe("there is no queue of this name");
  });
});

describe("nearest", () => {
  test.each([
    ["get", ["GET", "POST"], "GET"],
    ["bodi", ["body"], "body"],
    ["max_attemps", ["url", "max_attempts"], "max_attempts"],
    ["xy", ["ab"], null],
    ["anything", [], null],
    ["x".repeat(1_000), ["xxxx"], null],
  ])("of %j in %j is %j", (text, known, near) => {
    expect(nearest(text, known)).toBe(near);
  });
});
