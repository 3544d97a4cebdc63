import { describe, expect, test } from "vitest";
import { z } from "zod";
import { issuesOf, OPTIONS } from "../../src/schema/issues.ts";

function messagesOf(schema: z.ZodType, value: unknown): string[] {
  const { error } = schema.safeParse(value, OPTIONS);
  return error === undefined ? [] : issuesOf(error).map(({ message }) => message);
}

describe("issuesOf", () => {
  test("names a type that it has no words for as the schema library does", () => {
    expect(messagesOf(z.bigint(), "secret")).toEqual(["expected bigint, got a string of 6 characters"]);
  });

  test("counts what has no unit by its number alone", () => {
    expect(messagesOf(z.number().min(5), 1)).toEqual(["expected at least 5, got 1"]);
  });
});

describe("OPTIONS", () => {
  test.each([undefined, {}, { _zod: {} }, { _zod: { def: {} } }])(
    "words an unknown field of a schema whose fields are not known: %j",
    (inst) => {
      const issue = { code: "unrecognized_keys", keys: ["extra"], input: {}, inst };
      expect(OPTIONS.error(issue as never)).toBe('unknown field "extra"');
    },
  );
});
