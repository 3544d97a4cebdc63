import { signMessage } from "../callback/signature.ts";
import type { CallRequest, CallResult } from "../core/messages.ts";
import { MAX_RESPONSE_BYTES } from "../schema/limits.ts";
import { discardBody, readBody } from "./read-body.ts";
import { type Hop, isRedirect, nextHop } from "./redirect.ts";

/** Names and values of an answer's headers together, in characters; those that no longer fit are left out. */
const MAX_KEPT_HEADERS = 64 * 1_024;
const MAX_ERROR_LENGTH = 500;

/** What makeCall needs of the world. */
export interface CallPorts {
  fetch: typeof fetch;
  /** Epoch milliseconds. */
  now(): number;
  /** Whether a redirect may be followed to this URL. */
  checkUrl(url: string): { ok: boolean; message?: string };
}

/**
 * Makes one HTTP call and tells what came of it; never throws. The request's timeout bounds everything: all
 * redirects, headers and body. Only the request's own headers are sent, and where `sign` is set the signature
 * of this instant. Of the answer the first 64 KB of the body and 64 KB of headers are kept. Where there was
 * none, or its body broke off, the status is 0 and `error` says why: the runtime's own exception,
 * `TimeoutError`, `RedirectRefusedError` (the next hop is not allowed) or `TooManyRedirectsError`.
 */
export async function makeCall(request: CallRequest, ports: CallPorts): Promise<CallResult> {
  const startedAt = ports.now();
  // Not AbortSignal.timeout: its timer cannot be cleared, and would keep its memory and its object to the end.
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(timeoutError(request.timeoutMs)), request.timeoutMs);
  try {
    const response = await send(request, deadline.signal, ports);
    const headers = keptHeaders(response.headers);
    const body = await readBody(response, MAX_RESPONSE_BYTES);
    return { status: response.status, headers, ...body, durationMs: ports.now() - startedAt, error: null };
  } catch (error) {
    const cause = deadline.signal.aborted ? deadline.signal.reason : error;
    return failedCall(cause, ports.now() - startedAt);
  } finally {
    clearTimeout(timer);
  }
}

async function send(request: CallRequest, signal: AbortSignal, ports: CallPorts): Promise<Response> {
  let hop = await firstHop(request, ports.now());
  for (let followed = 0; ; followed++) {
    const { url, method, headers, body } = hop;
    const response = await ports.fetch(url, { method, headers, body, redirect: "manual", signal });
    if (!isRedirect(response) || request.maxRedirects === 0) return response;
    discardBody(response);
    if (followed === request.maxRedirects) {
      throw namedError("TooManyRedirectsError", `expected at most ${request.maxRedirects} redirects`);
    }
    hop = checkedHop(hop, response, ports);
  }
}

async function firstHop(request: CallRequest, now: number): Promise<Hop> {
  const { url, method, sign } = request;
  const headers = { ...request.headers };
  // As bytes: to a string, fetch would add a content type of its own.
  const body = request.body === null ? null : toBytes(request.body);
  if (sign !== null) {
    const timestampS = Math.floor(now / 1_000);
    const message = { id: sign.messageId, timestampS, body: body ?? "", secrets: sign.secrets };
    Object.assign(headers, await signMessage(message));
  }
  return { url, method, headers, body };
}

/** Neither source gives shared memory, which fetch would not take; the runtimes' types do not say so. */
function toBytes(body: string | Uint8Array): Uint8Array<ArrayBuffer> {
  return (typeof body === "string" ? new TextEncoder().encode(body) : body) as Uint8Array<ArrayBuffer>;
}

function checkedHop(hop: Hop, response: Response, ports: CallPorts): Hop {
  const location = response.headers.get("location") ?? "";
  if (!URL.canParse(location, hop.url)) {
    throw namedError("RedirectRefusedError", `expected a URL in location, got ${JSON.stringify(location)}`);
  }
  const next = nextHop(hop, response.status, location);
  const check = ports.checkUrl(next.url);
  if (!check.ok) throw namedError("RedirectRefusedError", check.message ?? `refused: ${next.url}`);
  return next;
}

/** Headers by lower-case name, values of the same name joined, up to MAX_KEPT_HEADERS characters in all. */
function keptHeaders(headers: Headers): Record<string, string> {
  const kept = new Map<string, string>();
  let room = MAX_KEPT_HEADERS;
  headers.forEach((value, name) => {
    const size = name.length + value.length;
    if (size > room) return;
    room -= size;
    const before = kept.get(name);
    kept.set(name, before === undefined ? value : `${before}, ${value}`);
  });
  return Object.fromEntries(kept);
}

function failedCall(cause: unknown, durationMs: number): CallResult {
  const { name, message } = cause instanceof Error ? cause : { name: "Error", message: String(cause) };
  const error = { name, message: message.slice(0, MAX_ERROR_LENGTH) };
  return { status: 0, headers: {}, body: "", bodyEncoding: "utf8", truncated: false, durationMs, error };
}

function timeoutError(timeoutMs: number): Error {
  return namedError("TimeoutError", `no complete answer within ${timeoutMs} ms`);
}

function namedError(name: string, message: string): Error {
  const error = new Error(message);
  error.name = name;
  return error;
}
