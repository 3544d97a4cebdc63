import { signMessage } from "../callback/signature.ts";
import type { CallRequest, CallResult } from "../core/call/call.ts";
import { bodyErrorOf } from "../core/call/fault.ts";
import { MAX_RESPONSE_BYTES } from "../schema/limits.ts";
import type { RedirectMode } from "../schema/task.ts";
import { codingsOf, isOfCodedBody } from "./content-coding.ts";
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
  /** Whether a redirect from the URL `from` may be followed to this one. */
  checkUrl(url: string, from: string): { ok: boolean; message?: string };
}

/**
 * Makes one HTTP call and tells what came of it; never throws. The request's timeout bounds everything: all
 * redirects, headers and body. Only the request's own headers are sent, and where `sign` is set the signature
 * of this instant. Of the answer the first 64 KB of the body and 64 KB of headers are kept. Where there was
 * none, the status is 0 and `error` says why: the runtime's own exception, `TimeoutError`, `RedirectRefusedError` (the
 * next hop is not allowed) or `TooManyRedirectsError`. A status that came stays, whatever becomes of the body: of one
 * that breaks nothing is kept, and `bodyError` says how it broke.
 */
export async function makeCall(request: CallRequest, ports: CallPorts): Promise<CallResult> {
  const startedAt = ports.now();
  // Not AbortSignal.timeout: its timer cannot be cleared, and would keep its memory and its object to the end.
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(timeoutError(request.timeoutMs)), request.timeoutMs);
  try {
    const answer = await answerTo(request, deadline.signal, ports);
    return { ...answer, durationMs: ports.now() - startedAt };
  } finally {
    clearTimeout(timer);
  }
}

type Answer = Omit<CallResult, "durationMs">;

async function answerTo(request: CallRequest, signal: AbortSignal, ports: CallPorts): Promise<Answer> {
  let response: Response;
  try {
    response = await send(request, signal, ports);
  } catch (error) {
    return noAnswer(signal.aborted ? signal.reason : error);
  }
  const codings = codingsOf(response.headers);
  const { status } = response;
  const headers = keptHeaders(response.headers, codings !== null);
  try {
    const body = await readBody(response, codings ?? [], MAX_RESPONSE_BYTES);
    return { status, headers, ...body, error: null };
  } catch (error) {
    const { name, message } = asError(signal.aborted ? signal.reason : error);
    return {
      status,
      headers,
      ...NO_BODY,
      truncated: true,
      bodyError: bodyErrorOf(name, message),
      error: null,
    };
  }
}

async function send(request: CallRequest, signal: AbortSignal, ports: CallPorts): Promise<Response> {
  let hop = await firstHop(request, ports.now());
  for (let followed = 0; ; followed++) {
    const { url, method, headers, body } = hop;
    const response = await ports.fetch(url, { method, headers, body, redirect: "manual", signal });
    if (!isRedirect(response) || request.maxRedirects === 0) return response;
    const next = checkedHop(hop, response, request.redirectMode ?? "strict", ports);
    if (next === null) return response;
    discardBody(response);
    if (followed === request.maxRedirects) {
      throw namedError("TooManyRedirectsError", `expected at most ${request.maxRedirects} redirects`);
    }
    hop = next;
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

/** Null where the redirect is allowed, but not followed in this mode. Throws where it may not be followed. */
function checkedHop(hop: Hop, response: Response, mode: RedirectMode, ports: CallPorts): Hop | null {
  const location = response.headers.get("location") ?? "";
  // No URL has a blank in it: two headers came, joined.
  if (/\s/.test(location) || !URL.canParse(location, hop.url)) {
    throw namedError("RedirectRefusedError", `expected one URL in location, got ${JSON.stringify(location)}`);
  }
  const check = ports.checkUrl(new URL(location, hop.url).href, hop.url);
  if (!check.ok) throw namedError("RedirectRefusedError", check.message ?? "refused");
  return nextHop(hop, response.status, location, mode);
}

/**
 * Headers by lower-case name, values of the same name joined, up to MAX_KEPT_HEADERS characters in all. Where the body
 * is decoded, those that told of the coded one are left out.
 */
function keptHeaders(headers: Headers, isDecoded: boolean): Record<string, string> {
  const kept = new Map<string, string>();
  let room = MAX_KEPT_HEADERS;
  headers.forEach((value, name) => {
    const size = name.length + value.length;
    if (size > room || (isDecoded && isOfCodedBody(name, headers))) return;
    room -= size;
    const before = kept.get(name);
    kept.set(name, before === undefined ? value : `${before}, ${value}`);
  });
  return Object.fromEntries(kept);
}

const NO_BODY = { body: "", bodyEncoding: "utf8" } as const;

/** What stands for the answer of a call that threw, or that was never made. */
export function noAnswer(cause: unknown): Answer {
  const { name, message } = asError(cause);
  const error = { name, message: message.slice(0, MAX_ERROR_LENGTH) };
  return { status: 0, headers: {}, ...NO_BODY, truncated: false, error };
}

function asError(cause: unknown): { name: string; message: string } {
  return cause instanceof Error ? cause : { name: "Error", message: String(cause) };
}

function timeoutError(timeoutMs: number): Error {
  return namedError("TimeoutError", `no complete answer within ${timeoutMs} ms`);
}

function namedError(name: string, message: string): Error {
  const error = new Error(message);
  error.name = name;
  return error;
}
