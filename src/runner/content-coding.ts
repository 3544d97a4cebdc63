/** A coding of an answer's body that is undone here, as DecompressionStream names it. */
export type Coding = "gzip" | "deflate";

/** Names are in any case; `x-gzip` is another for gzip (RFC 9110 8.4.1.3). `deflate` is the zlib format (8.4.1.2). */
const CODINGS: ReadonlyMap<string, Coding> = new Map([
  ["gzip", "gzip"],
  ["x-gzip", "gzip"],
  ["deflate", "deflate"],
]);
/** What the runtime undoes by itself, where the header says just this. */
const BY_RUNTIME: ReadonlySet<string> = new Set(["gzip", "br"]);
/** More, one over the other, are not undone: each could be a bomb in the one before. */
const MAX_CODINGS = 2;
/** These tell of the body as it was sent, not of the one that is kept. */
const OF_CODED_BODY: ReadonlySet<string> = new Set(["content-encoding", "content-length"]);

/**
 * The codings of an answer's body that are left to undo once the runtime has done its own, in the order in which they
 * are undone. Null: one of them is not known, and the body stays coded.
 */
export function codingsOf(headers: Headers): Coding[] | null {
  const value = headers.get("content-encoding");
  if (value === null || BY_RUNTIME.has(value)) return [];
  const names = value.split(",").map((name) => name.trim().toLowerCase());
  const codings = names
    .filter((name) => name !== "" && name !== "identity")
    .map((name) => CODINGS.get(name))
    .reverse();
  const known = codings.filter((coding) => coding !== undefined);
  return known.length === codings.length && known.length <= MAX_CODINGS ? known : null;
}

/** The body with these codings undone; each stage takes what the next asks for, so that a bomb grows no further. */
export function decoded(body: ReadableStream, codings: readonly Coding[]): ReadableStream {
  return codings.reduce<ReadableStream>(
    (coded, coding) => coded.pipeThrough(new DecompressionStream(coding)),
    body,
  );
}

/** True for a header that no longer tells the truth once a coded body has been decoded. */
export function isOfCodedBody(name: string, headers: Headers): boolean {
  return OF_CODED_BODY.has(name) && headers.has("content-encoding");
}

/** True where a decoder ended for want of bytes; one that gave none may just have had none, as with an empty body. */
export function isOutOfBytes(error: unknown): boolean {
  return error instanceof Error && /prematurely|incomplete|unexpected end/i.test(error.message);
}
