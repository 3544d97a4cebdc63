import type { CallRequest, CallResult, Grant, SealedWith } from "../core/messages.ts";
import { headerField, isSealed, SECRET_FIELD } from "../core/sealed.ts";
import { type Keyring, keepBounded, UnsealError } from "../sealing/keyring.ts";
import { unseal } from "../sealing/seal.ts";
import { type CallPorts, makeCall, noAnswer } from "./make-call.ts";

/**
 * Signing secrets and a queue's callback headers, opened: every delivery of the queue needs the same few. What a task
 * brings is not kept.
 */
const openedByText = new Map<string, string>();

/**
 * Makes a grant's call, its sealed values opened first. Where they cannot be, no call is made, and the result says why:
 * an `UnsealError`. Never throws.
 */
export async function callGranted(
  { kind, request }: Pick<Grant, "kind" | "request">,
  ports: CallPorts & { keyring?: Keyring },
): Promise<CallResult> {
  const { sealed, ...plain } = request;
  if (sealed === undefined) return makeCall(request, ports);
  try {
    return await makeCall(await opened(plain, kind, sealed, ports.keyring), ports);
  } catch (error) {
    return { ...noAnswer(error), durationMs: 0 };
  }
}

async function opened(
  request: CallRequest,
  kind: Grant["kind"],
  sealed: SealedWith,
  keyring: Keyring | undefined,
): Promise<CallRequest> {
  if (keyring === undefined) throw new UnsealError("this runner has no keys");
  const isCallback = kind === "callback";
  const read = (value: string, field: string): Promise<string> =>
    isCallback ? unsealOnce(value, field, keyring, sealed) : unseal(value, field, keyring, sealed);
  const headers = { ...request.headers };
  for (const [name, value] of Object.entries(headers)) {
    if (!isSealed(value)) continue;
    headers[name] = await read(value, headerField(isCallback ? "callback" : "call", name));
  }
  const { sign } = request;
  return { ...request, headers, sign: sign && { ...sign, secrets: await readable(sign.secrets, read) } };
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
  keepBounded(openedByText, name, text);
  return text;
}
