import { describe, expect, test } from "vitest";
import { z } from "zod";
import { complete } from "../../src/schema/complete.ts";

const Inner = z.strictObject({ on: z.boolean().default(true), note: z.string().optional() });
const Schema = z.strictObject({
  size: z.int().default(7),
  group: Inner.prefault({}),
  list: z.array(Inner).optional(),
  maybe: Inner.nullable().default(null),
  needed: z.string(),
});

describe("complete", () => {
  test("gives what is left out its default, and makes nothing up that has none", () => {
    expect(complete(Schema, {})).toEqual({ size: 7, group: { on: true }, maybe: null });
  });

  test("leaves what is there as it is, unchecked and unknown too", () => {
    const stored = { size: "large", group: { on: false, mood: "calm" }, needed: 1, more: [1] };
    expect(complete(Schema, stored)).toEqual({ ...stored, maybe: null });
  });

  test("completes what is nested, under null and in lists too", () => {
    expect(complete(Schema, { maybe: { note: "a" }, list: [{}, { on: false }] })).toEqual({
      size: 7,
      group: { on: true },
      maybe: { note: "a", on: true },
      list: [{ on: true }, { on: false }],
    });
  });

  test.each([null, 3, "text", [[]]])("leaves %j in place of an object", (stored) => {
    expect(complete(Schema, stored)).toEqual(stored);
    expect(complete(Schema, { group: stored })).toMatchObject({ group: stored });
  });

  test("changes nothing of what it is given", () => {
    const stored = Object.freeze({ group: Object.freeze({ note: "a" }) });
    expect(complete(Schema, stored)).toMatchObject({ group: { note: "a", on: true } });
  });
});
