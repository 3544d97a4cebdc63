import { bytesToBase64 } from "../callback/base64.ts";
import type { SealedWith } from "../core/call/call.ts";
import { parseSealed, parseWrapped, sealedText } from "../core/call/sealed.ts";
import { type DataKey, decrypt, encrypt, type Keyring, toBytes, UnsealError } from "./keyring.ts";

/** Bytes, sealed with a queue's data key and bound to a field: read as another field it is refused. */
export async function sealBytes(
  bytes: Uint8Array<ArrayBuffer>,
  field: string,
  key: DataKey,
): Promise<string> {
  const sealed = await encrypt(key.aes, bytes, valueContext(key.id, field));
  return sealedText({ keyId: key.id, data: bytesToBase64(sealed) });
}

/** A text, sealed as `sealBytes` does. */
export function seal(text: string, field: string, key: DataKey): Promise<string> {
  return sealBytes(toBytes(text), field, key);
}

/** The text of a sealed value. Throws as `unsealBytes`. */
export async function unseal(
  sealed: string,
  field: string,
  keyring: Keyring,
  keys: SealedWith,
): Promise<string> {
  return new TextDecoder("utf-8", { fatal: false, ignoreBOM: true }).decode(
    await unsealBytes(sealed, field, keyring, keys),
  );
}

/** The bytes of a sealed value. Throws UnsealError where it cannot be read with the queue's data keys. */
export async function unsealBytes(
  sealed: string,
  field: string,
  keyring: Keyring,
  { queue, keys }: SealedWith,
): Promise<Uint8Array<ArrayBuffer>> {
  const parsed = parseSealed(sealed);
  const wrapped = keys.find((key) => parseWrapped(key)?.id === parsed?.keyId);
  if (parsed === null || wrapped === undefined) {
    throw new UnsealError(`the ${field} is encrypted with a key that the queue does not have`);
  }
  const key = await keyring.open(wrapped, queue);
  const bytes = await decrypt(key.aes, parsed.data, valueContext(key.id, field));
  if (bytes === null)
    throw new UnsealError(`the ${field} is not what was encrypted: it was changed or moved`);
  return bytes;
}

/** A hash of a text, hex, that nobody without the data key can try guesses on. */
export async function keyedHash(text: string, key: DataKey): Promise<string> {
  const digest = await crypto.subtle.sign("HMAC", key.mac, toBytes(text));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function valueContext(keyId: string, field: string): string {
  return `redrive value ${field} under ${keyId}`;
}
