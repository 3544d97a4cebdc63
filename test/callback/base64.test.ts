import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { base64ToBytes, bytesToBase64 } from "../../src/callback/base64.ts";

describe("bytesToBase64", () => {
  test("agrees with Node on any bytes, and base64ToBytes gives them back", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const text = bytesToBase64(bytes);
        expect(text).toBe(Buffer.from(bytes).toString("base64"));
        expect(base64ToBytes(text)).toEqual(bytes);
      }),
    );
  });

  test("encodes more bytes than a call has room for arguments", () => {
    const bytes = new Uint8Array(1_048_577).fill(200);

    expect(bytesToBase64(bytes)).toBe(Buffer.from(bytes).toString("base64"));
  });
});

describe("base64ToBytes", () => {
  test.each(["A", "AB", "ABC", "AB=", "A===", "AB==CDEF", "AB CD", "AB\nC", "-_-_"])("refuses %j", (text) => {
    expect(base64ToBytes(text)).toBeNull();
  });
});
