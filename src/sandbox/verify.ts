import { signMessage } from "../callback/signature.ts";

/** How far a message's timestamp may lie from now, either way. */
const TOLERANCE_MS = 5 * 60_000;

/** A callback as it came: its Standard Webhooks headers, empty where missing, and its bytes. */
export interface SignedMessage {
  id: string;
  timestamp: string;
  signature: string;
  body: Uint8Array;
}

/**
 * True where the message is signed with the secret and its timestamp (seconds) lies within 5 min of `now`
 * (epoch ms). Never throws for what a sender wrote; throws where the secret itself is none.
 */
export async function isVerified(message: SignedMessage, secret: string, now: number): Promise<boolean> {
  const { id, timestamp, body } = message;
  if (id === "" || !/^\d{1,12}$/.test(timestamp)) return false;
  const timestampS = Number(timestamp);
  if (String(timestampS) !== timestamp || Math.abs(timestampS * 1_000 - now) > TOLERANCE_MS) return false;
  const expected =
    (await signMessage({ id, timestampS, body, secrets: [secret] }))["webhook-signature"] ?? "";
  return message.signature.split(" ").some((signature) => isEqual(signature, expected));
}

/** Takes the same time wherever two texts of one length differ. */
function isEqual(a: string, b: string): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let at = 0; at < a.length; at++) difference |= a.charCodeAt(at) ^ b.charCodeAt(at);
  return difference === 0;
}
