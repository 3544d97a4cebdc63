import { base64ToBytes, bytesToBase64 } from "../callback/base64.ts";
import { putLast } from "../core/bounded-map.ts";
import { parseWrapped, wrappedText } from "../core/call/sealed.ts";

const NONCE_BYTES = 12;
const KEY_BYTES = 32;
/** Short enough for every value that names it; two of one queue must not meet. */
const ID_BYTES = 6;
/** Keys kept in memory: more queues than an isolate meets at once, few enough to forget about. */
const MAX_CACHED = 256;
const SALT = "redrive encryption v1";

export type Key = Awaited<ReturnType<typeof crypto.subtle.importKey>>;

/** A queue's data key, unwrapped, as two keys derived from it. */
export interface DataKey {
  id: string;
  /** AES-GCM, for values. */
  aes: Key;
  /** HMAC-SHA-256, for hashes that nobody without the key can try guesses on. */
  mac: Key;
}

/** Something that is encrypted cannot be read, or written, with the secrets that this deployment has. */
export class UnsealError extends Error {
  override name = "UnsealError";
}

/** A deployment secret's wrapping key, and the id that it is known by. */
interface WrappingKey {
  id: string;
  aes: Key;
}

/**
 * The deployment's secrets for encryption, current first, and in memory the keys that were unwrapped with them. Only
 * resolved keys are kept: on Workers a promise must not be awaited by another request than its own.
 */
export class Keyring {
  readonly #secrets: readonly string[];
  #wrapping: readonly WrappingKey[] | null = null;
  readonly #dataKeys = new Map<string, DataKey>();

  constructor(secrets: readonly string[]) {
    this.#secrets = secrets;
  }

  /** False where the deployment has no secret: nothing is encrypted. */
  get isOn(): boolean {
    return this.#secrets.length > 0;
  }

  /** The ids of the current secret and of the one before; null: there is none. */
  async secretIds(): Promise<{ current: string; previous: string | null } | null> {
    const [current, previous] = await this.#wrappingKeys();
    return current === undefined ? null : { current: current.id, previous: previous?.id ?? null };
  }

  /** A queue's data key. Throws UnsealError where none of the secrets unwraps it, or it is another queue's. */
  async open(wrapped: string, queue: string): Promise<DataKey> {
    const name = `${queue} ${wrapped}`;
    const cached = this.#dataKeys.get(name);
    if (cached !== undefined) return cached;
    const { id, bytes } = await this.#unwrap(wrapped, queue);
    const key = { id, ...(await derivedKeys(bytes)) };
    putLast(this.#dataKeys, MAX_CACHED, name, key);
    return key;
  }

  /** A new data key for a queue, wrapped under the current secret. Throws UnsealError where there is none. */
  make(queue: string): Promise<string> {
    const random = (length: number) => crypto.getRandomValues(new Uint8Array(length));
    return this.#wrap(toId(random(ID_BYTES)), random(KEY_BYTES), queue);
  }

  /** The same data key, wrapped under the current secret. Throws as `open`. */
  async rewrap(wrapped: string, queue: string): Promise<string> {
    const { id, bytes } = await this.#unwrap(wrapped, queue);
    return this.#wrap(id, bytes, queue);
  }

  async #wrap(id: string, bytes: Uint8Array<ArrayBuffer>, queue: string): Promise<string> {
    const [current] = await this.#wrappingKeys();
    if (current === undefined) throw noSecret();
    const data = bytesToBase64(await encrypt(current.aes, bytes, wrapContext(id, queue)));
    return wrappedText({ wrappedBy: current.id, id, data });
  }

  async #unwrap(wrapped: string, queue: string): Promise<{ id: string; bytes: Uint8Array<ArrayBuffer> }> {
    const parsed = parseWrapped(wrapped);
    if (parsed === null) throw new UnsealError("the queue's data key is not one: its row was changed");
    const secrets = await this.#wrappingKeys();
    if (secrets.length === 0) throw noSecret();
    const secret = secrets.find(({ id }) => id === parsed.wrappedBy);
    if (secret === undefined) {
      throw new UnsealError(
        "REDRIVE_ENCRYPTION_KEY is another one than the queue's data key was encrypted with",
      );
    }
    const bytes = await decrypt(secret.aes, parsed.data, wrapContext(parsed.id, queue));
    if (bytes === null) throw new UnsealError("the queue's data key is another queue's, or was changed");
    return { id: parsed.id, bytes };
  }

  async #wrappingKeys(): Promise<readonly WrappingKey[]> {
    this.#wrapping ??= await Promise.all(this.#secrets.map(wrappingKey));
    return this.#wrapping;
  }
}

/** Nonce, ciphertext and tag of AES-256-GCM. `context` is what it cannot be moved from. */
export async function encrypt(
  key: Key,
  bytes: Uint8Array<ArrayBuffer>,
  context: string,
): Promise<Uint8Array<ArrayBuffer>> {
  const nonce = crypto.getRandomValues(new Uint8Array(NONCE_BYTES));
  const sealed = await crypto.subtle.encrypt(parameters(nonce, context), key, bytes);
  const whole = new Uint8Array(NONCE_BYTES + sealed.byteLength);
  whole.set(nonce);
  whole.set(new Uint8Array(sealed), NONCE_BYTES);
  return whole;
}

/** What `encrypt` made, given in base64; null where it was changed, or is of another key or context. */
export async function decrypt(
  key: Key,
  base64: string,
  context: string,
): Promise<Uint8Array<ArrayBuffer> | null> {
  const whole = base64ToBytes(base64);
  if (whole === null || whole.length < NONCE_BYTES) return null;
  try {
    const nonce = whole.subarray(0, NONCE_BYTES);
    const plain = await crypto.subtle.decrypt(parameters(nonce, context), key, whole.subarray(NONCE_BYTES));
    return new Uint8Array(plain);
  } catch {
    return null; // The tag does not fit; the runtime says no more than that.
  }
}

function parameters(iv: Uint8Array<ArrayBuffer>, context: string) {
  return { name: "AES-GCM", iv, additionalData: toBytes(context) };
}

/** A data key is bound to its queue's name, a value to its data key and field: neither can be moved elsewhere. */
function wrapContext(id: string, queue: string): string {
  return `redrive data key ${id} of ${queue}`;
}

/** @see RFC 5869: the secret has all the entropy, so the salt may be fixed; `info` keeps the derived keys apart. */
async function wrappingKey(secret: string): Promise<WrappingKey> {
  const base = await hkdfKey(toBytes(secret));
  const [bits, id] = await Promise.all([derive(base, "wrap", KEY_BYTES), derive(base, "id", ID_BYTES)]);
  return { id: toId(id), aes: await aesKey(bits) };
}

async function derivedKeys(bytes: Uint8Array<ArrayBuffer>): Promise<Pick<DataKey, "aes" | "mac">> {
  const base = await hkdfKey(bytes);
  const [seal, hash] = await Promise.all([derive(base, "seal", KEY_BYTES), derive(base, "hash", KEY_BYTES)]);
  const hmac = { name: "HMAC", hash: "SHA-256" };
  const [aes, mac] = await Promise.all([
    aesKey(seal),
    crypto.subtle.importKey("raw", hash, hmac, false, ["sign"]),
  ]);
  return { aes, mac };
}

function hkdfKey(bytes: Uint8Array<ArrayBuffer>): Promise<Key> {
  return crypto.subtle.importKey("raw", bytes, "HKDF", false, ["deriveBits"]);
}

async function derive(base: Key, info: string, length: number): Promise<Uint8Array<ArrayBuffer>> {
  const how = { name: "HKDF", hash: "SHA-256", salt: toBytes(SALT), info: toBytes(info) };
  return new Uint8Array(await crypto.subtle.deriveBits(how, base, length * 8));
}

function aesKey(bytes: Uint8Array<ArrayBuffer>): Promise<Key> {
  return crypto.subtle.importKey("raw", bytes, "AES-GCM", false, ["encrypt", "decrypt"]);
}

/** A text's UTF-8; never shared memory, which WebCrypto would not take: the runtimes' types do not say so. */
export function toBytes(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text) as Uint8Array<ArrayBuffer>;
}

/** Base64 with the alphabet of URLs: the texts that hold ids are split at colons. */
function toId(bytes: Uint8Array): string {
  return bytesToBase64(bytes).replaceAll("+", "-").replaceAll("/", "_");
}

function noSecret(): UnsealError {
  return new UnsealError("REDRIVE_ENCRYPTION_KEY is not set, and what is encrypted needs it");
}
