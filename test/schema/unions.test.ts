import { describe, expect, test } from "vitest";
import { z } from "zod";
import { BreakerSettings } from "../../src/schema/breaker.ts";
import { issuesOf, OPTIONS } from "../../src/schema/issues.ts";
import { KeyRequest } from "../../src/schema/key.ts";
import { Until } from "../../src/schema/policy.ts";
import { QueueSettings } from "../../src/schema/queue.ts";
import { RekeyRequest } from "../../src/schema/rekey.ts";
import { BatchRequest, TaskQuery, TaskRequest } from "../../src/schema/task.ts";

type Schema = z.core.$ZodType;

/** Every union below the schemas, with the path it was met at; what takes any JSON apart. */
function unionsIn(schema: Schema, path: string, met = new Set<Schema>()): [string, z.core.$ZodUnion][] {
  if (met.has(schema)) return [];
  met.add(schema);
  const { def } = schema._zod as unknown as { def: Record<string, unknown> & { type: string } };
  if (def.type === "lazy") return [];
  const inner = ["innerType", "in", "out", "element", "valueType", "keyType"].flatMap((key) =>
    def[key] === undefined ? [] : unionsIn(def[key] as Schema, path, met),
  );
  const fields = Object.entries((def.shape ?? {}) as Record<string, Schema>).flatMap(([name, field]) =>
    unionsIn(field, `${path}.${name}`, met),
  );
  const options = ((def.options ?? []) as Schema[]).flatMap((option) => unionsIn(option, path, met));
  const own: [string, z.core.$ZodUnion][] = def.type === "union" ? [[path, schema as z.core.$ZodUnion]] : [];
  return [...own, ...inner, ...fields, ...options];
}

const SCHEMAS = {
  TaskRequest,
  QueueSettings,
  KeyRequest,
  RekeyRequest,
  BatchRequest,
  TaskQuery,
  BreakerSettings,
};
const UNIONS = Object.entries(SCHEMAS).flatMap(([name, schema]) => unionsIn(schema, name));
/** Objects are the members that can be wrong further in. */
const WITH_OBJECTS = UNIONS.flatMap(([path, union]) => {
  return union._zod.def.options.filter(isObject).map((member) => ({ path, union, member }));
});

function isObject(schema: Schema): schema is z.ZodObject {
  return schema._zod.def.type === "object";
}

function told(schema: Schema, value: unknown): string[] {
  const result = (schema as z.ZodType).safeParse(value, OPTIONS);
  return result.success ? [] : issuesOf(result.error).map(({ path, message }) => `${path}: ${message}`);
}

describe("every union of a request", () => {
  test("is looked at", () => {
    expect(UNIONS.some(([path]) => path === "TaskRequest.timeout")).toBe(true);
    expect(WITH_OBJECTS.some(({ union }) => union === (Until as Schema))).toBe(true);
  });

  test.each(WITH_OBJECTS)(
    "names at $path each wrong field of the member that is meant",
    ({ union, member }) => {
      for (const field of Object.keys(member.shape)) {
        for (const wrong of [Symbol("of no type"), []]) {
          const errors = told(union, { [field]: wrong });
          expect(errors.length).toBeGreaterThan(0);
          for (const error of errors) expect(error).toMatch(/^[a-z_]/);
          expect(errors.some((error) => error.startsWith(field))).toBe(true);
        }
      }
    },
  );

  test.each(UNIONS)("says at %s what it may be where no member is meant", (_path, union) => {
    const [error, ...others] = told(union, Symbol("of no type"));
    expect(others).toEqual([]);
    expect(error).toMatch(/^: expected /);
  });
});

describe("a union of objects", () => {
  const Pair = z.union([z.strictObject({ a: z.string() }), z.strictObject({ b: z.string() })]);

  test("names the field of the one that knows it", () => {
    expect(told(z.object({ x: Pair }), { x: { a: 1 } })).toEqual(["x.a: expected a string, got a number"]);
  });

  test("says no more where more than one may be meant", () => {
    const Same = z.union([z.strictObject({ a: z.string() }), z.strictObject({ a: z.boolean() })]);
    expect(told(z.object({ x: Same }), { x: { a: 1 } })).toEqual(["x: Invalid input"]);
  });
});
