import type { BodyError, RedirectMode } from "../../schema/task.ts";

/** One HTTP request to make, complete. */
export interface CallRequest {
  url: string;
  method: string;
  headers: Record<string, string>;
  body: string | Uint8Array | null;
  /** Bounds headers and body of the answer together. */
  timeoutMs: number;
  maxRedirects: number;
  /** How they are followed; left out: `strict`. */
  redirectMode?: RedirectMode;
  /** Where set, the body is signed when it is sent (Standard Webhooks). */
  sign: { messageId: string; secrets: string[] } | null;
  /** Where set, some of its headers and secrets are sealed, and whoever makes the call unseals them first. */
  sealed?: SealedWith;
}

/** What opens sealed values: the queue's name, and its data keys, wrapped. */
export interface SealedWith {
  queue: string;
  keys: string[];
  /** The body is sealed too. */
  body?: true;
  /** The body is a callback's payload, and the sealed body of an answer stands in it from here to there. */
  payload?: { start: number; end: number };
  /** The answer's body is to be sealed for storage. */
  answer?: true;
}

/** What came of one call: an answer, whether or not its body could be read, or an exception (`status` 0). */
export interface CallResult {
  status: number;
  /** Lower-case names. */
  headers: Record<string, string>;
  body: string;
  bodyEncoding: "utf8" | "base64";
  truncated: boolean;
  durationMs: number;
  /** The body once more, sealed: what is to be stored of it. Left out: it is stored as it is. */
  sealedBody?: string;
  /** The status and headers came, but not the whole body; `body` is then empty and `truncated` true. Left out: it did. */
  bodyError?: BodyError;
  /** Where the call threw: the exception's name and message. */
  error: { name: string; message: string } | null;
}
