import { describe, expect, test } from "vitest";
import {
  headerField,
  isSealed,
  keyPlan,
  parseSealed,
  parseWrapped,
  sealedText,
  wrappedText,
} from "../../../src/core/call/sealed.ts";

const wrapped = (wrappedBy: string, id = "key-1") => wrappedText({ wrappedBy, id, data: "AAAA" });

describe("sealed values", () => {
  test("are read as they were written", () => {
    const sealed = { keyId: "a-_9", data: "AA+/==" };
    expect(parseSealed(sealedText(sealed))).toEqual(sealed);
    expect(isSealed(sealedText(sealed))).toBe(true);
  });

  test.each([
    "",
    "Bearer x",
    "sealed:v1:",
    "sealed:v1:id",
    "sealed:v1:id:data:more",
    "sealed:v2:id:data",
    " sealed:v1:a:b",
  ])("%j is none", (text) => {
    expect(parseSealed(text)).toBeNull();
  });

  test("of a header are bound to whose header it is and to its name", () => {
    const fields = [
      headerField("call", "cookie"),
      headerField("callback", "cookie"),
      headerField("call", "x"),
    ];
    expect(new Set(fields).size).toBe(3);
  });
});

describe("wrapped keys", () => {
  test("are read as they were written", () => {
    const key = { wrappedBy: "s1", id: "k1", data: "AA==" };
    expect(parseWrapped(wrappedText(key))).toEqual(key);
  });

  test.each(["", "key:v1:", "key:v1:s", "key:v1:s:k", "key:v1:s:k:d:more", "sealed:v1:k:d"])(
    "%j is none",
    (text) => {
      expect(parseWrapped(text)).toBeNull();
    },
  );
});

describe("keyPlan", () => {
  const secrets = { current: "now", previous: "before" };
  const only = { current: "now", previous: null };

  test.each<[string, string[], typeof secrets | typeof only, boolean, string[], boolean]>([
    ["makes the first key", [], only, false, [], true],
    ["leaves a key of the current secret", [wrapped("now")], secrets, false, [], false],
    ["wraps a key of the previous secret anew", [wrapped("before")], secrets, false, [wrapped("before")], false],
    ["leaves a key of an unknown secret", [wrapped("other")], secrets, false, [], false],
    ["leaves what is no key", ["nonsense"], secrets, false, [], false],
    ["makes a key where the newest one's secret is lost", [wrapped("other")], only, true, [], true],
    ["makes none where nothing is lost", [wrapped("now"), wrapped("other", "k0")], only, true, [], false],
    ["makes none where the previous secret is not lost", [wrapped("before")], secrets, true, [wrapped("before")], false],
    ["wraps older keys anew too", [wrapped("now"), wrapped("before", "k0")], secrets, false, [wrapped("before", "k0")], false],
    ["has nothing to wrap where both secrets are the same", [wrapped("now")], { current: "now", previous: "now" }, false, [], false],
  ])("%s", (_, keys, known, isLost, rewrap, make) => {
    expect(keyPlan(keys, known, isLost)).toEqual({ rewrap, make });
  }); // biome-ignore format: one case a line
});
