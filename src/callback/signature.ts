import { putLast } from "../core/bounded-map.ts";
import { base64ToBytes, bytesToBase64 } from "./base64.ts";

const PREFIX = "whsec_";
const MIN_SECRET_BYTES = 24;
const MAX_SECRET_BYTES = 64;
/** Imported keys kept in memory: more than a Worker meets at once, few enough to forget about. */
const MAX_CACHED_KEYS = 256;

type Key = Awaited<ReturnType<typeof crypto.subtle.importKey>>;

/** Resolved keys, never promises: on Workers a promise must not be awaited by another request than its own. */
const keyBySecret = new Map<string, Key>();

export interface UnsignedMessage {
  /** Stable over the deliveries of one message. */
  id: string;
  /** When it is sent, in whole seconds. */
  timestampS: number;
  body: string | Uint8Array;
  /** Each signs once; receivers that know any of them can verify. At least one. */
  secrets: string[];
}

/**
 * The headers that make a body a Standard Webhooks message: `webhook-id`, `webhook-timestamp`, and
 * `webhook-signature` with `v1,<base64>` for each secret, separated by spaces.
 * Throws where there is no secret, or one is not `whsec_` and 24 to 64 bytes in base64.
 * @see https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 */
export async function signMessage(message: UnsignedMessage): Promise<Record<string, string>> {
  if (message.secrets.length === 0) throw new Error("expected at least one signing secret, got none");
  const content = signedContent(message);
  const signatures = await Promise.all(message.secrets.map((secret) => signWith(secret, content)));
  return {
    "webhook-id": message.id,
    "webhook-timestamp": String(message.timestampS),
    "webhook-signature": signatures.join(" "),
  };
}

/** A signing secret from 24 to 64 random bytes. Throws a RangeError for any other number. */
export function makeSecret(bytes: Uint8Array): string {
  if (bytes.length < MIN_SECRET_BYTES || bytes.length > MAX_SECRET_BYTES) {
    throw new RangeError(
      `a secret has ${MIN_SECRET_BYTES} to ${MAX_SECRET_BYTES} bytes, got ${bytes.length}`,
    );
  }
  return PREFIX + bytesToBase64(bytes);
}

/** True where the text is a signing secret: `whsec_` and 24 to 64 bytes in padded base64. */
export function isSecret(text: string): boolean {
  return secretBytes(text) !== null;
}

function signedContent(message: UnsignedMessage): Uint8Array<ArrayBuffer> {
  const encoder = new TextEncoder();
  const head = encoder.encode(`${message.id}.${message.timestampS}.`);
  const body = typeof message.body === "string" ? encoder.encode(message.body) : message.body;
  const content = new Uint8Array(head.length + body.length);
  content.set(head);
  content.set(body, head.length);
  return content;
}

async function signWith(secret: string, content: Uint8Array<ArrayBuffer>): Promise<string> {
  const signature = await crypto.subtle.sign("HMAC", await importedKey(secret), content);
  return `v1,${bytesToBase64(new Uint8Array(signature))}`;
}

async function importedKey(secret: string): Promise<Key> {
  const cached = keyBySecret.get(secret);
  if (cached !== undefined) return cached;
  const bytes = secretBytes(secret);
  if (bytes === null) throw new Error("expected a signing secret: whsec_ and 24 to 64 bytes in base64");
  const key = await crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  putLast(keyBySecret, MAX_CACHED_KEYS, secret, key);
  return key;
}

function secretBytes(text: string): Uint8Array<ArrayBuffer> | null {
  if (!text.startsWith(PREFIX)) return null;
  const bytes = base64ToBytes(text.slice(PREFIX.length));
  if (bytes === null || bytes.length < MIN_SECRET_BYTES || bytes.length > MAX_SECRET_BYTES) return null;
  return bytes;
}
