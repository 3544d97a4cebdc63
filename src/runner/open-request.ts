import { putLast } from "../core/bounded-map.ts";
import type { CallRequest, CallResult, SealedWith } from "../core/call/call.ts";
import { ANSWER_FIELD, BODY_FIELD, headerField, isSealed, SECRET_FIELD } from "../core/call/sealed.ts";
import type { Grant } from "../protocol/grant.ts";
import { type DataKey, type Keyring, UnsealError } from "../sealing/keyring.ts";
import { seal, unseal, unsealBytes } from "../sealing/seal.ts";
import { type CallPorts, makeCall, noAnswer } from "./make-call.ts";

/**
 * Signing secrets and a queue's callback headers, opened: every delivery of the queue needs the same few. What a task
 * brings is not kept.
 */
const openedByText = new Map<string, string>();
const MAX_OPENED = 256;

/**
 * Makes a grant's call, its sealed values opened first. Where they cannot be, no call is made, and the result says why:
 * an `UnsealError`. Never throws.
 */
export async function callGranted(
  { kind, request }: Pick<Grant, "kind" | "request">,
  ports: CallPorts & { keyring?: Keyring },
): Promise<CallResult> {
  const { sealed, ...plain } = request;
  const { keyring } = ports;
  if (sealed === undefined) return makeCall(request, ports);
  try {
    if (keyring === undefined) throw new UnsealError("this runner has no keys");
    const whole = await opened(plain, kind, sealed, keyring);
    if (sealed.answer === undefined) return await makeCall(whole, ports);
    // Before the call: an answer that cannot be stored is not asked for.
    const key = await keyring.open(sealed.keys[0] ?? "", sealed.queue);
    return await withSealedBody(await makeCall(whole, ports), key);
  } catch (error) {
    return { ...noAnswer(error), durationMs: 0 };
  }
}

async function opened(
  request: CallRequest,
  kind: Grant["kind"],
  sealed: SealedWith,
  keyring: Keyring,
): Promise<CallRequest> {
  const isCallback = kind === "callback";
  const read = (value: string, field: string): Promise<string> =>
    isCallback ? unsealOnce(value, field, keyring, sealed) : unseal(value, field, keyring, sealed);
  const headers = { ...request.headers };
  for (const [name, value] of Object.entries(headers)) {
    if (!isSealed(value)) continue;
    headers[name] = await read(value, headerField(isCallback ? "callback" : "call", name));
  }
  const body = await openedBody(request.body, sealed, keyring);
  const { sign } = request;
  return {
    ...request,
    headers,
    body,
    sign: sign && { ...sign, secrets: await readable(sign.secrets, read) },
  };
}

async function openedBody(
  body: CallRequest["body"],
  sealed: SealedWith,
  keyring: Keyring,
): Promise<CallRequest["body"]> {
  if (typeof body !== "string") return body;
  if (sealed.body) return unsealBytes(body, BODY_FIELD, keyring, sealed);
  if (sealed.payload === undefined) return body;
  const { start, end } = sealed.payload;
  const text = await unseal(body.slice(start, end), ANSWER_FIELD, keyring, sealed);
  return body.slice(0, start) + JSON.stringify(text).slice(1, -1) + body.slice(end);
}

async function withSealedBody(result: CallResult, key: DataKey): Promise<CallResult> {
  if (result.body === "") return result;
  return { ...result, sealedBody: await seal(result.body, ANSWER_FIELD, key) };
}

/** The secrets that can be read: while two are valid, a receiver that knows one of them can verify. */
async function readable(
  secrets: readonly string[],
  read: (value: string, field: string) => Promise<string>,
): Promise<string[]> {
  const results = await Promise.allSettled(
    secrets.map((secret) => (isSealed(secret) ? read(secret, SECRET_FIELD) : secret)),
  );
  const found = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
  const [failed] = results.flatMap((result) => (result.status === "rejected" ? [result.reason] : []));
  if (found.length === 0 && failed !== undefined) throw failed;
  return found;
}

async function unsealOnce(
  value: string,
  field: string,
  keyring: Keyring,
  sealed: SealedWith,
): Promise<string> {
  const name = `${sealed.queue} ${field} ${value}`;
  const known = openedByText.get(name);
  if (known !== undefined) return known;
  const text = await unseal(value, field, keyring, sealed);
  putLast(openedByText, MAX_OPENED, name, text);
  return text;
}
