import { describe, expect, test } from "vitest";
import type { SealedWith } from "../../src/core/call/call.ts";
import { headerField, parseSealed, parseWrapped, sealedText } from "../../src/core/call/sealed.ts";
import { keyringOf } from "../../src/sealing/env-keyring.ts";
import { Keyring, UnsealError } from "../../src/sealing/keyring.ts";
import { keyedHash, seal, unseal } from "../../src/sealing/seal.ts";

const SECRET = "a deployment secret of many characters";
const OTHER = "another deployment secret, just as long";
const FIELD = headerField("call", "authorization");
const VALUE = "Bearer target-secret ünïcode \u{1f511}";

/** A queue with one data key, and a value sealed with it. */
async function sealedValue(keyring = new Keyring([SECRET]), queue = "pay") {
  const wrapped = await keyring.make(queue);
  const sealed = await seal(VALUE, FIELD, await keyring.open(wrapped, queue));
  return { sealed, wrapped, keys: { queue, keys: [wrapped] } satisfies SealedWith };
}

describe("a sealed value", () => {
  test("is read with the queue's key, by another keyring with the same secret too", async () => {
    const { sealed, keys } = await sealedValue();
    expect(await unseal(sealed, FIELD, new Keyring([SECRET]), keys)).toBe(VALUE);
  });

  test("says nothing of what it holds, and is another each time", async () => {
    const keyring = new Keyring([SECRET]);
    const key = await keyring.open(await keyring.make("pay"), "pay");
    const values = await Promise.all(Array.from({ length: 50 }, () => seal(VALUE, FIELD, key)));
    expect(new Set(values).size).toBe(50);
    for (const value of values) expect(value).not.toContain("target-secret");
  });

  test("is sealed in full, an empty text and a long one too", async () => {
    const keyring = new Keyring([SECRET]);
    const wrapped = await keyring.make("pay");
    const key = await keyring.open(wrapped, "pay");
    for (const text of ["", "x".repeat(100_000), "sealed:v1:a:b"]) {
      const sealed = await seal(text, FIELD, key);
      expect(await unseal(sealed, FIELD, keyring, { queue: "pay", keys: [wrapped] })).toBe(text);
    }
  });

  test("is refused as another field", async () => {
    const { sealed, keys } = await sealedValue();
    const reading = unseal(sealed, headerField("callback", "authorization"), new Keyring([SECRET]), keys);
    await expect(reading).rejects.toThrow("was changed or moved");
  });

  test("is refused in another queue, whose key it does not name", async () => {
    const { sealed } = await sealedValue();
    const other = await sealedValue(undefined, "other");
    await expect(unseal(sealed, FIELD, new Keyring([SECRET]), other.keys)).rejects.toThrow(
      "with a key that the queue does not have",
    );
  });

  test("is refused in another queue that is given its key as well", async () => {
    const { sealed, wrapped } = await sealedValue();
    const moved = { queue: "other", keys: [wrapped] };
    await expect(unseal(sealed, FIELD, new Keyring([SECRET]), moved)).rejects.toThrow("is another queue's");
  });

  test("is refused wherever one character of it is changed", async () => {
    const { sealed, keys } = await sealedValue();
    const { keyId, data } = parseSealed(sealed) ?? { keyId: "", data: "" };
    for (let at = 0; at < data.length - 2; at += 7) {
      const letter = data[at] === "A" ? "B" : "A";
      const changed = sealedText({ keyId, data: data.slice(0, at) + letter + data.slice(at + 1) });
      await expect(unseal(changed, FIELD, new Keyring([SECRET]), keys)).rejects.toThrow(UnsealError);
    }
    for (const nonsense of [
      "sealed:v1:x",
      sealedText({ keyId, data: "AAAA" }),
      sealedText({ keyId, data: "#" }),
    ]) {
      await expect(unseal(nonsense, FIELD, new Keyring([SECRET]), keys)).rejects.toThrow(UnsealError);
    }
  });

  test("is refused without the secret, and with another, by sentences that say so", async () => {
    const { sealed, keys } = await sealedValue();
    await expect(unseal(sealed, FIELD, new Keyring([]), keys)).rejects.toThrow(
      "REDRIVE_ENCRYPTION_KEY is not set",
    );
    await expect(unseal(sealed, FIELD, new Keyring([OTHER]), keys)).rejects.toThrow(
      "REDRIVE_ENCRYPTION_KEY is another one",
    );
    const nonsense = { ...keys, keys: [`${keys.keys[0]}x`] };
    await expect(unseal(sealed, FIELD, new Keyring([SECRET]), nonsense)).rejects.toThrow(UnsealError);
  });
});

describe("the deployment's secret", () => {
  test("is rotated without a sealed value being written again", async () => {
    const { sealed, wrapped, keys } = await sealedValue();
    const rotating = new Keyring([OTHER, SECRET]);
    expect(await unseal(sealed, FIELD, rotating, keys)).toBe(VALUE);
    const again = await rotating.rewrap(wrapped, "pay");
    const { current, previous } = (await rotating.secretIds()) ?? {};
    expect([parseWrapped(again)?.wrappedBy, parseWrapped(wrapped)?.wrappedBy]).toEqual([current, previous]);
    expect(parseWrapped(again)?.id).toBe(parseWrapped(wrapped)?.id);
    expect(await unseal(sealed, FIELD, new Keyring([OTHER]), { queue: "pay", keys: [again] })).toBe(VALUE);
  });

  test("is needed to make a key", async () => {
    await expect(new Keyring([]).make("pay")).rejects.toThrow(UnsealError);
    expect(await new Keyring([]).secretIds()).toBeNull();
    expect([new Keyring([]).isOn, new Keyring([SECRET]).isOn]).toEqual([false, true]);
  });

  test("is read from the environment once, and refused where it is short", () => {
    const env = { REDRIVE_ENCRYPTION_KEY: SECRET };
    expect(keyringOf(env)).toBe(keyringOf({ ...env }));
    expect(keyringOf({ ...env, REDRIVE_ENCRYPTION_KEY_PREVIOUS: OTHER })).not.toBe(keyringOf(env));
    expect(keyringOf({ REDRIVE_ENCRYPTION_KEY_PREVIOUS: SECRET }).isOn).toBe(false);
    expect(keyringOf({}).isOn).toBe(false);
    expect(() => keyringOf({ REDRIVE_ENCRYPTION_KEY: "short" })).toThrow(
      "REDRIVE_ENCRYPTION_KEY: expected at least 32",
    );
    const short = { ...env, REDRIVE_ENCRYPTION_KEY_PREVIOUS: "short" };
    expect(() => keyringOf(short)).toThrow("REDRIVE_ENCRYPTION_KEY_PREVIOUS: expected at least 32");
  });
});

describe("a keyed hash", () => {
  test("is the same for the same text and key, and another for another of either", async () => {
    const keyring = new Keyring([SECRET]);
    const [one, two] = await Promise.all(
      ["a", "b"].map(async (queue) => keyring.open(await keyring.make(queue), queue)),
    );
    if (one === undefined || two === undefined) throw new Error("no key");
    const hashes = await Promise.all([
      keyedHash("x", one),
      keyedHash("x", one),
      keyedHash("y", one),
      keyedHash("x", two),
    ]);
    expect(hashes[0]).toBe(hashes[1]);
    expect(new Set(hashes).size).toBe(3);
    expect(hashes[0]).toMatch(/^[0-9a-f]{64}$/);
  });
});
