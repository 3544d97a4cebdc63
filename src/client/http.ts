import { ErrorCode, Problem } from "../schema/problem.ts";
import { RedriveError } from "./errors.ts";
import { type Wait, withTimeout } from "./timing.ts";

const BACKOFF_INITIAL_MS = 200;
const BACKOFF_MAX_MS = 10_000;
/** A `Retry-After` beyond this is the caller's to wait for: the call fails and says it in `retryAfterMs`. */
const RETRY_AFTER_MAX_MS = 60_000;

/** What the client needs of `fetch`. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** Where calls go and how they are repeated. */
export interface Connection {
  /** Without a slash at its end. */
  baseUrl: string;
  apiKey: string;
  fetch: Fetch;
  /** For each try, headers and body together. */
  timeoutMs: number;
  /** Tries after the first. */
  retries: number;
  random: () => number;
  wait: Wait;
}

/** One call of the API. */
export interface Call {
  method: "GET" | "POST" | "PUT" | "DELETE";
  path: string;
  /** JSON text, sent the same at every try. */
  body?: string;
  /** Whether carrying the call out twice does the same as once. If not, only a refusal is repeated. */
  repeatable: boolean;
  signal?: AbortSignal | undefined;
}

/**
 * Makes the call, with repeats, and returns the parsed JSON of the answer, undefined for a 204.
 * Throws `RedriveError`, or the reason of the call's signal when it aborts.
 */
export async function send(connection: Connection, call: Call): Promise<unknown> {
  for (let tries = 1; ; tries++) {
    try {
      return await tryOnce(connection, call, tries);
    } catch (error) {
      if (!(error instanceof RedriveError) || tries > connection.retries || !mayRepeat(call, error))
        throw error;
      await connection.wait(delayMs(error, connection.random), call.signal);
      call.signal?.throwIfAborted();
    }
  }
}

async function tryOnce(connection: Connection, call: Call, tries: number): Promise<unknown> {
  const { fetch, baseUrl, timeoutMs } = connection;
  const init = requestInit(connection, call);
  try {
    return await withTimeout(timeoutMs, call.signal, async (signal) => {
      const response = await fetch(`${baseUrl}${call.path}`, { ...init, signal });
      return readAnswer(response, await response.text(), call, tries);
    });
  } catch (error) {
    call.signal?.throwIfAborted();
    if (error instanceof RedriveError) throw error;
    const why = error instanceof Error ? error.message : String(error);
    const message = `${call.method} ${call.path} got no answer: ${why}`;
    throw new RedriveError(message, { status: 0, code: "unavailable", tries, cause: error });
  }
}

/** Redirects are not followed: they would turn a POST into a GET, and none of the API's answers is one. */
function requestInit(connection: Connection, call: Call): RequestInit {
  const headers: Record<string, string> = {
    accept: "application/json",
    authorization: `Bearer ${connection.apiKey}`,
  };
  if (call.body === undefined) return { method: call.method, headers, redirect: "manual" };
  headers["content-type"] = "application/json";
  return { method: call.method, headers, body: call.body, redirect: "manual" };
}

function readAnswer(response: Response, text: string, call: Call, tries: number): unknown {
  if (response.ok && response.status === 204) return undefined;
  const body = parseJson(text);
  if (response.ok && typeof body === "object" && body !== null) return body;
  const { status } = response;
  const retryAfterMs = parseRetryAfter(response.headers.get("retry-after"));
  if (response.ok) {
    const message = `${call.method} ${call.path}: expected JSON, got ${status} with something else`;
    throw new RedriveError(message, { status, code: "internal", retryAfterMs, tries });
  }
  // A code that this release does not know yet must not hide the rest of the problem.
  const problem = Problem.extend({ code: ErrorCode.catch(codeOfStatus(status)) }).safeParse(body);
  if (!problem.success) {
    const message = `${call.method} ${call.path}: got ${status} without a problem`;
    throw new RedriveError(message, { status, code: codeOfStatus(status), retryAfterMs, tries });
  }
  const { code, detail, errors = [], request_id: requestId } = problem.data;
  throw new RedriveError(`${status} ${code}: ${detail}`, {
    status,
    code,
    errors,
    requestId,
    retryAfterMs,
    tries,
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // no JSON is no answer of ours: the caller words the error
  }
}

/** The code for an answer that says none: one of a proxy, or of a newer release. */
function codeOfStatus(status: number): ErrorCode {
  if (status === 401) return "unauthorized";
  if (status === 403) return "forbidden";
  if (status === 404) return "not_found";
  if (status === 405) return "method_not_allowed";
  if (status === 413) return "body_too_large";
  if (status === 415) return "unsupported_media_type";
  if (status === 421) return "misdirected_request";
  if (status === 429) return "overloaded";
  if (status === 502 || status === 503 || status === 504) return "unavailable";
  return status >= 400 && status < 500 ? "invalid_request" : "internal";
}

/** @see RFC 9110 10.2.3: seconds or a date. Null where there is none or it cannot be read. */
function parseRetryAfter(value: string | null): number | null {
  if (value === null) return null;
  if (/^\s*\d{1,9}\s*$/.test(value)) return Number(value) * 1_000;
  const at = Date.parse(value);
  return Number.isNaN(at) ? null : Math.max(0, at - Date.now());
}

/** 429 and `overloaded` say that nothing was done; the others leave it open. */
function mayRepeat(call: Call, error: RedriveError): boolean {
  if ((error.retryAfterMs ?? 0) > RETRY_AFTER_MAX_MS || error.code === "not_configured") return false;
  if (error.status === 429 || error.code === "overloaded") return true;
  return call.repeatable && [0, 502, 503, 504].includes(error.status);
}

/** Full jitter, on top of what the server asked for: never sooner. */
function delayMs(error: RedriveError, random: () => number): number {
  const capMs = Math.min(BACKOFF_MAX_MS, BACKOFF_INITIAL_MS * 2 ** (error.tries - 1));
  return (error.retryAfterMs ?? 0) + random() * capMs;
}
