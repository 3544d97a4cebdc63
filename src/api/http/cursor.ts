import { AppError } from "./app-error.ts";

/** What a cursor belongs to; with other filters it is refused. */
export type CursorFilters = Record<string, string | number | null>;

type HmacKey = Awaited<ReturnType<typeof crypto.subtle.importKey>>;

let signing: { secret: string; key: HmacKey } | null = null;

/** An opaque cursor that goes on below the task `before`, good only with the same filters. */
export async function makeCursor(before: string, filters: CursorFilters, secret: string): Promise<string> {
  const mac = await crypto.subtle.sign("HMAC", await keyOf(secret), signedBytes(before, filters));
  return `${before}.${toBase64Url(new Uint8Array(mac))}`;
}

/** The task id that a cursor goes on below. Throws AppError `invalid_cursor` where it is not one for these filters. */
export async function readCursor(cursor: string, filters: CursorFilters, secret: string): Promise<string> {
  const at = cursor.lastIndexOf(".");
  const before = cursor.slice(0, at);
  const mac = fromBase64Url(cursor.slice(at + 1));
  const valid =
    mac !== null &&
    (await crypto.subtle.verify("HMAC", await keyOf(secret), mac, signedBytes(before, filters)));
  if (at > 0 && valid) return before;
  const message = "expected a next_cursor of a list with the same filters, got another text";
  throw new AppError("invalid_cursor", message, { errors: [{ path: "cursor", message }] });
}

function signedBytes(before: string, filters: CursorFilters): Uint8Array<ArrayBuffer> {
  const sorted = Object.entries(filters).sort(([a], [b]) => (a < b ? -1 : 1));
  return new Uint8Array(new TextEncoder().encode(JSON.stringify([before, sorted])));
}

async function keyOf(secret: string): Promise<HmacKey> {
  if (signing?.secret !== secret) {
    const bytes = new TextEncoder().encode(`cursor:${secret}`);
    const algorithm = { name: "HMAC", hash: "SHA-256" };
    signing = {
      secret,
      key: await crypto.subtle.importKey("raw", bytes, algorithm, false, ["sign", "verify"]),
    };
  }
  return signing.key;
}

function toBase64Url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
}

/** Null where the text is not base64url, or not the way `toBase64Url` writes it. */
function fromBase64Url(text: string): Uint8Array<ArrayBuffer> | null {
  if (!/^[\w-]{43}$/.test(text)) return null;
  const bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
  return toBase64Url(bytes) === text ? bytes : null;
}
