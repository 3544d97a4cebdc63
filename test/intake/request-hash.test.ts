import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { canonicalJson, requestHash } from "../../src/intake/request-hash.ts";

describe("canonicalJson", () => {
  test("does not depend on the order of fields", () => {
    expect(canonicalJson({ b: [1, { d: 1, c: null }], a: "x" })).toBe('{"a":"x","b":[1,{"c":null,"d":1}]}');
  });

  test("leaves out what is undefined", () => {
    expect(canonicalJson({ a: undefined, b: 1 })).toBe('{"b":1}');
  });

  test("parses back to the same value", () => {
    fc.assert(
      fc.property(fc.jsonValue({ noUnicodeString: false } as never), (value) => {
        const text = canonicalJson(value);
        expect(canonicalJson(JSON.parse(text))).toBe(text);
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });
});

describe("requestHash", () => {
  test("ignores the key and nothing else", async () => {
    const hash = await requestHash({ idempotency_key: "a", url: "x", body: { b: 1, a: 2 } } as never);
    expect(hash).toMatch(/^[0-9a-f]{64}$/);
    expect(await requestHash({ idempotency_key: "b", body: { a: 2, b: 1 }, url: "x" } as never)).toBe(hash);
    expect(await requestHash({ url: "x", body: { a: 2, b: 2 } } as never)).not.toBe(hash);
  });

  test("goes by what was written only where parsing has lost it", async () => {
    const hashOf = (body: string) =>
      requestHash({ url: "x", body: JSON.parse(body) } as never, { body, metadata: null });
    const hash = await requestHash({ url: "x", body: { a: 1.1, b: 2 } } as never);
    expect(await hashOf('{"a":1.1,"b":2}')).toBe(hash);
    expect(await hashOf('{ "b": 2, "a": 1.10 }')).toBe(hash);
    expect(await hashOf('{"a":1,"a":1.1,"b":2}')).not.toBe(hash);
    expect(await hashOf("[9007199254740993]")).not.toBe(await hashOf("[9007199254740992]"));
    expect(await hashOf("[ 9007199254740993 ]")).toBe(await hashOf("[9007199254740993]"));
  });
});
