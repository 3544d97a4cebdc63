import { bytesToBase64 } from "../callback/base64.ts";
import type { CallResult } from "../core/call/call.ts";
import { type Coding, decoded, isOutOfBytes } from "./content-coding.ts";

type Body = Pick<CallResult, "body" | "bodyEncoding" | "truncated">;

/**
 * Reads at most `maxBytes` of an answer's body and cancels the rest, which would hold its connection. `codings` are
 * those that are left to undo. The body is text where the bytes are UTF-8 (a character that the cut went through is
 * left out), base64 otherwise, and empty where there is none. Rejects with what the connection or a decoder ended in,
 * or with the reason of an abort.
 */
export async function readBody(
  response: Response,
  codings: readonly Coding[],
  maxBytes: number,
): Promise<Body> {
  const { bytes, truncated } = await readBytesOf(response, codings, maxBytes);
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

interface Bytes {
  bytes: Uint8Array;
  truncated: boolean;
}

async function readBytesOf(response: Response, codings: readonly Coding[], maxBytes: number): Promise<Bytes> {
  if (response.body === null) return NOTHING;
  const length = response.headers.get("content-length");
  // No bytes need no decoder, which would miss its own header and trailer in them.
  if (length !== null && Number(length) === 0) {
    discardBody(response);
    return NOTHING;
  }
  // A compressed body can be any size; of one that says that it fits, one read takes it all.
  if (response.headers.has("content-encoding")) return readCoded(decoded(response.body, codings), maxBytes);
  const fits = length !== null && Number(length) <= maxBytes;
  if (fits) return { bytes: new Uint8Array(await response.arrayBuffer()), truncated: false };
  return readParts(response.body, maxBytes);
}

/** Reads what a decoder gives. An empty body of unknown length is empty for it too: it fails before its first byte. */
async function readCoded(body: ReadableStream, maxBytes: number): Promise<Bytes> {
  const reader: Reader = body.getReader();
  const { done, value } = await reader.read().catch((error: unknown) => {
    if (isOutOfBytes(error)) return { done: true, value: undefined };
    throw error;
  });
  return done || value === undefined ? NOTHING : readBytes(reader, maxBytes, value);
}

const NOTHING: Bytes = { bytes: new Uint8Array(), truncated: false };

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
async function readParts(body: ReadableStream, maxBytes: number): Promise<Bytes> {
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
): Promise<Bytes> {
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
