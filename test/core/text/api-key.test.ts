import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { API_KEY_BYTES, apiKeyId, makeApiKey } from "../../../src/core/text/api-key.ts";

const bytes = fc.uint8Array({ minLength: API_KEY_BYTES, maxLength: API_KEY_BYTES });

describe("makeApiKey", () => {
  test("makes a key that apiKeyId reads back", () => {
    fc.assert(
      fc.property(bytes, (random) => {
        const key = makeApiKey(random);
        expect(apiKeyId(key.text)).toBe(key.id);
      }),
    );
  });

  test("has the documented shape", () => {
    expect(makeApiKey(new Uint8Array(API_KEY_BYTES)).text).toMatch(/^rdk_0{12}_0{32}[0-9a-z]{7}$/);
  });
});

describe("apiKeyId", () => {
  test("refuses a key with one character changed", () => {
    fc.assert(
      fc.property(bytes, fc.nat(), (random, at) => {
        const { text } = makeApiKey(random);
        const index = 4 + (at % (text.length - 4));
        const other = text[index] === "x" ? "y" : "x";
        expect(apiKeyId(text.slice(0, index) + other + text.slice(index + 1))).toBeNull();
      }),
    );
  });

  test.each(["", "rdk_", "root-key", "rdk_000000000000_short", "tsk_000000000000_0"])(
    "refuses %j",
    (text) => {
      expect(apiKeyId(text)).toBeNull();
    },
  );
});
