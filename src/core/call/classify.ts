import { MAX_RESPONSE_BYTES } from "../../schema/limits.ts";
import type { BodyError, ErrorType, FaultClass } from "../../schema/task.ts";
import { parseExactJson } from "../expression/exact-json.ts";
import type { Value } from "../expression/value.ts";
import { cleanText } from "../text/clean-text.ts";
import type { CallResult } from "./call.ts";
import { faultOfAnswer, faultOfException } from "./fault.ts";
import { FAULTS } from "./fault-facts.ts";
import { isPutOff, retryAfterMs, saysNoRetry } from "./retry-after.ts";

const MAX_CODE_LENGTH = 100;
const MAX_MESSAGE_LENGTH = 300;

/** What came of an attempt, sorted: all that a decision is made from. */
export interface Outcome {
  ok: boolean;
  /** 0: there was no answer. */
  status: number;
  /** Null for a success, as are errorCode and faultClass. */
  errorType: ErrorType | null;
  /** The answer's own code, else the error type; always `rate_limited` for a 429. */
  errorCode: string | null;
  /** What the exception or the answer's `error.message` says, cleaned and cut; null: nothing. */
  errorMessage: string | null;
  faultClass: FaultClass | null;
  /** How long the target asks to wait; null: it does not say. */
  retryAfterMs: number | null;
  /** The target says that no further try can help. */
  noRetry: boolean;
  /** The status came, but the body could not be read; null: it could, or there was no answer. */
  bodyError: BodyError | null;
  /** Lower-case names. */
  headers: Readonly<Record<string, string>>;
  /** The answer's body where it is whole, UTF-8 and at most 64 KB; else null. */
  bodyText: string | null;
  durationMs: number;
  /** The body as JSON, null where it is none; parsed at most once, when first asked for. */
  json(): Value;
}

/**
 * Sorts the result of a call by the fault table of docs/state-machine.md. A status that came decides, whatever became
 * of the body. `now`: when the answer came.
 */
export function classify(result: CallResult, now: number): Outcome {
  const bodyText = textOf(result);
  const status = result.error === null ? result.status : 0;
  const ok = status >= 200 && status <= 299;
  const sorted: Outcome = {
    ok,
    status,
    errorType: null,
    errorCode: null,
    errorMessage: null,
    faultClass: null,
    retryAfterMs: retryAfterMs(status, result.headers, now),
    noRetry: saysNoRetry(status, result.headers),
    bodyError: result.error === null ? (result.bodyError ?? null) : null,
    headers: result.headers,
    bodyText,
    durationMs: result.durationMs,
    json: parsedOnce(bodyText),
  };
  return ok ? sorted : { ...sorted, ...faultOf(result, sorted, now) };
}

/** The outcome of an attempt whose lease ended without a result: the call may have arrived, or not. */
export function interrupted(): Outcome {
  return {
    ok: false,
    status: 0,
    errorType: "interrupted",
    errorCode: "interrupted",
    errorMessage: "the lease ended before a result came",
    faultClass: FAULTS.interrupted.class,
    retryAfterMs: null,
    noRetry: false,
    bodyError: null,
    headers: {},
    bodyText: null,
    durationMs: 0,
    json: () => null,
  };
}

type Fault = Pick<Outcome, "errorType" | "errorCode" | "errorMessage" | "faultClass">;

function faultOf(result: CallResult, sorted: Outcome, now: number): Fault {
  const { error } = result;
  const errorType =
    error === null
      ? faultOfAnswer({ ...sorted, isPutOff: isPutOff(sorted.status, sorted.headers, now) })
      : faultOfException(error.name, error.message);
  const answer = sorted.json();
  return {
    errorType,
    errorCode: (sorted.status === 429 ? null : codeOf(answer)) ?? errorType,
    errorMessage: cleaned(error === null ? messageOf(result, answer) : hideUrls(error.message)),
    faultClass: FAULTS[errorType].class,
  };
}

/** The answer's `error.message`, but for one whose body is not to be stored in plain. */
function messageOf({ sealedBody }: CallResult, answer: Value): Value {
  return sealedBody === undefined ? at(at(answer, "error"), "message") : null;
}

function textOf(result: CallResult): string | null {
  if (result.bodyError !== undefined) return null;
  const whole = result.error === null && result.bodyEncoding === "utf8" && !result.truncated;
  return whole && result.body.length <= MAX_RESPONSE_BYTES ? result.body : null;
}

function parsedOnce(text: string | null): () => Value {
  let parsed: Value | undefined;
  return () => {
    if (parsed === undefined) parsed = parse(text);
    return parsed;
  };
}

function parse(text: string | null): Value {
  if (text === null || text === "") return null;
  try {
    return parseExactJson(text);
  } catch {
    return null; // An answer need not be JSON.
  }
}

/** `error.code`, `error.type`, `code`, or `error` itself; texts and whole numbers count. */
function codeOf(answer: Value): string | null {
  const error = at(answer, "error");
  for (const value of [at(error, "code"), at(error, "type"), at(answer, "code"), error]) {
    const code = typeof value === "string" ? cleanText(value, MAX_CODE_LENGTH) : value;
    if (typeof code === "string" && code !== "") return code;
    if (typeof code === "bigint" || Number.isSafeInteger(code)) return String(code);
  }
  return null;
}

function at(value: Value, key: string): Value {
  if (typeof value !== "object" || value === null || Array.isArray(value) || !Object.hasOwn(value, key))
    return null;
  return (value as Record<string, Value>)[key] ?? null;
}

function cleaned(message: Value): string | null {
  const text = typeof message === "string" ? cleanText(message, MAX_MESSAGE_LENGTH) : "";
  return text === "" ? null : text;
}

/** Exceptions repeat the URL they failed for, and a URL's query may hold a secret. */
function hideUrls(message: string): string {
  return message.slice(0, 2 * MAX_MESSAGE_LENGTH).replace(/\b[a-z][a-z0-9+.-]{0,20}:\/\/\S+/gi, "(url)");
}
