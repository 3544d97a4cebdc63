/**
 * How encrypted values are written where they are kept. Shards, the catalog and messages hold these texts only; what
 * is in them is read where a call is made (src/sealing).
 */

/** Begins every sealed value. No header that a caller gives may begin so: it could be one that was stolen. */
export const SEALED_PREFIX = "sealed:v1:";
/** The shortest deployment secret: it is the whole strength of what is encrypted, and shorter ones could be guessed. */
export const MIN_ENCRYPTION_KEY_LENGTH = 32;
const WRAPPED_PREFIX = "key:v1:";
/** The field that a signing secret's sealed value is bound to. */
export const SECRET_FIELD = "signing secret";
/** The fields that a request's body, and the kept body of an answer, are bound to. */
export const BODY_FIELD = "body";
export const ANSWER_FIELD = "response body";
/** Data keys that a queue keeps; older ones were given up for lost. */
export const MAX_DATA_KEYS = 8;

/** A sealed value: which data key it was sealed with, and nonce, ciphertext and tag in base64. */
export interface Sealed {
  keyId: string;
  data: string;
}

/** A data key as the catalog keeps it: under which deployment secret it is wrapped, its own id, and itself, wrapped. */
export interface WrappedKey {
  wrappedBy: string;
  id: string;
  data: string;
}

/** True for a text that a sealed value begins like. */
export function isSealed(text: string): boolean {
  return text.startsWith(SEALED_PREFIX);
}

export function sealedText({ keyId, data }: Sealed): string {
  return `${SEALED_PREFIX}${keyId}:${data}`;
}

/** Null where the text is no sealed value. */
export function parseSealed(text: string): Sealed | null {
  const [keyId, data, ...more] = isSealed(text) ? text.slice(SEALED_PREFIX.length).split(":") : [];
  return keyId === undefined || data === undefined || more.length > 0 ? null : { keyId, data };
}

export function wrappedText({ wrappedBy, id, data }: WrappedKey): string {
  return `${WRAPPED_PREFIX}${wrappedBy}:${id}:${data}`;
}

/** Null where the text is no wrapped data key. */
export function parseWrapped(text: string): WrappedKey | null {
  const parts = text.startsWith(WRAPPED_PREFIX) ? text.slice(WRAPPED_PREFIX.length).split(":") : [];
  const [wrappedBy, id, data, ...more] = parts;
  if (wrappedBy === undefined || id === undefined || data === undefined || more.length > 0) return null;
  return { wrappedBy, id, data };
}

/** The field that a header's sealed value is bound to: of the task's call, or of a callback. */
export function headerField(of: "call" | "callback", name: string): string {
  return `${of}.headers.${name}`;
}

/** What is to be done about a queue's data keys when the deployment starts. */
export interface KeyPlan {
  /** Keys to be wrapped under the current secret: those that the previous one wraps. */
  rewrap: string[];
  /** Whether a new data key is to be made, ahead of the others. */
  make: boolean;
}

/**
 * What is to be done about a queue's data keys (wrapped, newest first), by the ids of the deployment's secrets. A queue
 * without a key gets one. Where the newest is wrapped by a secret that the deployment does not have, a new one is made
 * only if the operator says that the secret `isLost`: it may as well be a typing error in the setting.
 */
export function keyPlan(
  keys: readonly string[],
  secrets: { current: string; previous: string | null },
  isLost: boolean,
): KeyPlan {
  const { current, previous } = secrets;
  const wrappedBy = (key: string | undefined) => parseWrapped(key ?? "")?.wrappedBy;
  const newest = wrappedBy(keys[0]);
  const isKnown = newest === current || (previous !== null && newest === previous);
  return {
    rewrap: keys.filter((key) => previous !== null && previous !== current && wrappedBy(key) === previous),
    make: keys.length === 0 || (isLost && !isKnown),
  };
}
