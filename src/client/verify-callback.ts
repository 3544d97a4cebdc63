import { CallbackPayload } from "../schema/callback.ts";
import { CallbackVerificationError } from "./errors.ts";

/** How far a message's timestamp may lie from now, either way. */
const DEFAULT_TOLERANCE_MS = 5 * 60_000;
const SECRET_PREFIX = "whsec_";

/** A request as another framework holds it; `body` is as received, never parsed and printed again. */
export interface CallbackMessage {
  headers: Headers | Readonly<Record<string, string | readonly string[] | undefined>>;
  body: string | Uint8Array;
}

/** Limits of `verifyCallback`. */
export interface VerifyCallbackOptions {
  /** 5 min when left out. */
  toleranceMs?: number;
  /** Epoch milliseconds; the present when left out. */
  now?: number;
}

/**
 * Verifies the signature and age of a callback and returns its payload. Reads the body of a `Request`
 * (clone it first to read it again). With several secrets, as while one rotates, any of them may have signed.
 * Throws `CallbackVerificationError` where the message or a secret is not what it must be.
 * @see https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 */
export async function verifyCallback(
  request: Request | CallbackMessage,
  secret: string | readonly string[],
  options: VerifyCallbackOptions = {},
): Promise<CallbackPayload> {
  const secrets = (typeof secret === "string" ? [secret] : secret).map(secretBytes);
  if (secrets.length === 0) throw new CallbackVerificationError("expected at least one secret, got none");
  const id = header(request, "webhook-id");
  const timestamp = header(request, "webhook-timestamp");
  const signatures = signaturesIn(header(request, "webhook-signature"));
  checkAge(timestamp, options.now ?? Date.now(), options.toleranceMs ?? DEFAULT_TOLERANCE_MS);
  const body = await bodyBytes(request);
  const content = concat(new TextEncoder().encode(`${id}.${timestamp}.`), body);
  if (!(await isSigned(content, signatures, secrets))) {
    throw new CallbackVerificationError("no v1 signature in webhook-signature matches the body and a secret");
  }
  return parsePayload(body);
}

function secretBytes(secret: string): Uint8Array<ArrayBuffer> {
  const encoded = secret.startsWith(SECRET_PREFIX) ? secret.slice(SECRET_PREFIX.length) : secret;
  const bytes = base64Bytes(encoded);
  if (bytes === null || bytes.length === 0) {
    throw new CallbackVerificationError(`expected a secret of ${SECRET_PREFIX} and base64`);
  }
  return bytes;
}

function header(request: Request | CallbackMessage, name: string): string {
  const value = headerValue(request.headers, name);
  if (value === null || value === "") throw new CallbackVerificationError(`the header ${name} is missing`);
  return value;
}

function headerValue(headers: CallbackMessage["headers"], name: string): string | null {
  if (isHeaders(headers)) return headers.get(name);
  const entry = Object.entries(headers).find(([key]) => key.toLowerCase() === name);
  const value = entry?.[1];
  if (value === undefined) return null;
  return typeof value === "string" ? value : value.join(" ");
}

/** Told by its method: it may come from another realm or library. */
function isHeaders(headers: CallbackMessage["headers"]): headers is Headers {
  return typeof headers.get === "function";
}

/** The decoded v1 signatures; other versions and what is no base64 cannot match and are left out. */
function signaturesIn(value: string): Uint8Array[] {
  const signatures = value.split(" ").filter((part) => part.startsWith("v1,"));
  if (signatures.length === 0) throw new CallbackVerificationError("webhook-signature has no v1 signature");
  return signatures.map((part) => base64Bytes(part.slice(3))).filter((bytes) => bytes !== null);
}

function checkAge(timestamp: string, now: number, toleranceMs: number): void {
  if (!/^\d{1,12}$/.test(timestamp)) {
    throw new CallbackVerificationError("expected webhook-timestamp to be whole seconds since 1970");
  }
  const ageMs = now - Number(timestamp) * 1_000;
  if (Math.abs(ageMs) <= toleranceMs) return;
  const where = ageMs > 0 ? "in the past" : "in the future";
  const seconds = Math.round(Math.abs(ageMs) / 1_000);
  throw new CallbackVerificationError(
    `webhook-timestamp is ${seconds} s ${where}, expected at most ${toleranceMs / 1_000} s`,
  );
}

async function bodyBytes(request: Request | CallbackMessage): Promise<Uint8Array> {
  if (!isRequest(request)) {
    return typeof request.body === "string" ? new TextEncoder().encode(request.body) : request.body;
  }
  if (request.bodyUsed) {
    throw new CallbackVerificationError(
      "the request's body was read before: pass { headers, body } or a clone",
    );
  }
  return new Uint8Array(await request.arrayBuffer());
}

/** Told by its method, as `isHeaders`. */
function isRequest(request: Request | CallbackMessage): request is Request {
  return "arrayBuffer" in request && typeof request.arrayBuffer === "function";
}

function concat(head: Uint8Array, tail: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(head.length + tail.length);
  bytes.set(head);
  bytes.set(tail, head.length);
  return bytes;
}

/** Compares every signature with every secret's, whichever match first. */
async function isSigned(
  content: Uint8Array<ArrayBuffer>,
  signatures: Uint8Array[],
  secrets: Uint8Array<ArrayBuffer>[],
): Promise<boolean> {
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  let isMatch = false;
  for (const secret of secrets) {
    const key = await crypto.subtle.importKey("raw", secret, algorithm, false, ["sign"]);
    const expected = new Uint8Array(await crypto.subtle.sign("HMAC", key, content));
    for (const signature of signatures) isMatch = equalInConstantTime(signature, expected) || isMatch;
  }
  return isMatch;
}

/** Takes as long for bytes that differ at the start as for those that differ at the end. */
function equalInConstantTime(left: Uint8Array, right: Uint8Array): boolean {
  let difference = left.length ^ right.length;
  for (let i = 0; i < right.length; i++) difference |= (left[i] ?? 0) ^ (right[i] ?? 0);
  return difference === 0;
}

function base64Bytes(text: string): Uint8Array<ArrayBuffer> | null {
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch {
    return null; // not base64
  }
}

function parsePayload(body: Uint8Array): CallbackPayload {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder().decode(body));
  } catch (cause) {
    throw new CallbackVerificationError("the body is signed but is not JSON", { cause });
  }
  const payload = CallbackPayload.safeParse(json);
  if (payload.success) return payload.data;
  const [issue] = payload.error.issues;
  const message = `the body is signed but is no callback: ${issue?.path.join(".")}: ${issue?.message}`;
  throw new CallbackVerificationError(message, { cause: payload.error });
}
