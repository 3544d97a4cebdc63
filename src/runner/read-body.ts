import { bytesToBase64 } from "../callback/base64.ts";
import type { CallResult } from "../core/messages.ts";

type Body = Pick<CallResult, "body" | "bodyEncoding" | "truncated">;

/**
 * Reads at most `maxBytes` of an answer's body and cancels the rest, which would hold its connection. It is
 * text where the bytes are UTF-8 (a character that the cut went through is left out), base64 otherwise, and
 * empty where there is none. Rejects with what the connection ended in, or with the reason of an abort.
 */
export async function readBody(response: Response, maxBytes: number): Promise<Body> {
  if (response.body === null) return { body: "", bodyEncoding: "utf8", truncated: false };
  const { bytes, truncated } = fitsWhole(response.headers, maxBytes)
    ? { bytes: new Uint8Array(await response.arrayBuffer()), truncated: false }
    : await readParts(response.body, maxBytes);
  const text = decodeUtf8(bytes, truncated);
  return text === null
    ? { body: bytesToBase64(bytes), bodyEncoding: "base64", truncated }
    : { body: text, bodyEncoding: "utf8", truncated };
}

/** Frees the connection of an answer whose body nobody reads. */
export function discardBody(response: Response): void {
  // Failing to cancel means that the stream has ended already.
  response.body?.cancel().catch(() => undefined);
}

/** True where the answer says that it fits: then one read takes it all. A compressed body can be any size. */
function fitsWhole(headers: Headers, maxBytes: number): boolean {
  const length = headers.get("content-length");
  return length !== null && !headers.has("content-encoding") && Number(length) <= maxBytes;
}

/** What readBytes needs of a stream's reader; the runtimes' own types differ. */
interface Reader {
  read(): Promise<{ done: boolean; value?: Uint8Array | undefined }>;
  cancel(): Promise<void>;
}

/** On Workers, a reader that waits for so many bytes, or the end: one turn of the event loop for most answers. */
interface WholeReader extends Reader {
  readAtLeast(minBytes: number, into: Uint8Array): Promise<{ done: boolean; value?: Uint8Array | undefined }>;
  releaseLock(): void;
}

/** Most answers are shorter. */
const FIRST_READ_BYTES = 4_096;

/** Reads a body of unknown length: a short one at once where the runtime can, else part by part. */
async function readParts(
  body: ReadableStream,
  maxBytes: number,
): Promise<{ bytes: Uint8Array; truncated: boolean }> {
  const whole = wholeReader(body);
  if (whole === null) return readBytes(body.getReader(), maxBytes);
  const { value } = await whole.readAtLeast(FIRST_READ_BYTES, new Uint8Array(FIRST_READ_BYTES));
  if (value === undefined || value.length < FIRST_READ_BYTES) {
    return { bytes: value ?? new Uint8Array(), truncated: false };
  }
  whole.releaseLock();
  return readBytes(body.getReader(), maxBytes, value);
}

/** Null where the stream or the runtime has no such reader. */
function wholeReader(body: ReadableStream): WholeReader | null {
  try {
    const reader = body.getReader({ mode: "byob" }) as unknown as WholeReader;
    if ("readAtLeast" in reader) return reader;
    (reader as WholeReader).releaseLock();
    return null;
  } catch {
    return null;
  }
}

async function readBytes(
  reader: Reader,
  maxBytes: number,
  first: Uint8Array = new Uint8Array(),
): Promise<{ bytes: Uint8Array; truncated: boolean }> {
  const chunks: Uint8Array[] = [first];
  let length = first.length;
  // One byte beyond the cap has to be seen before the body can be called cut.
  while (length <= maxBytes) {
    const { done, value } = await reader.read();
    if (done || value === undefined) return { bytes: join(chunks, length), truncated: false };
    chunks.push(value);
    length += value.length;
  }
  // Not awaited: the target has no say in how long this takes. What it rejects with concerns nobody.
  reader.cancel().catch(() => undefined);
  return { bytes: join(chunks, maxBytes), truncated: true };
}

/** The chunks' first `length` bytes as one. */
function join(chunks: Uint8Array[], length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk.subarray(0, length - at), at);
    at += Math.min(chunk.length, length - at);
  }
  return bytes;
}

/** Null where the bytes are not UTF-8. */
function decodeUtf8(bytes: Uint8Array, truncated: boolean): string | null {
  try {
    // Decoding as a stream keeps the first bytes of a cut character back instead of failing on them.
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes, { stream: truncated });
  } catch {
    return null;
  }
}
