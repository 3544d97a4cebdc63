import type { BodyError, ErrorType } from "../../schema/task.ts";

/** What a fault is told from: the outcome's facts. */
interface Answer {
  status: number;
  bodyText: string | null;
  /** It refuses only for now, and says when to come back. */
  isPutOff: boolean;
}

const BY_STATUS: ReadonlyMap<number, ErrorType> = new Map([
  [401, "auth"],
  [403, "auth"],
  [407, "auth"],
  [408, "not_ready"],
  [409, "conflict"],
  [410, "gone"],
  [423, "conflict"],
  [425, "not_ready"],
]);

/** What Cloudflare's edge says with these statuses, where it and not the target made the answer. */
const BY_EDGE_STATUS: ReadonlyMap<number, ErrorType> = new Map([
  [520, "reset"],
  [521, "connect"],
  [522, "connect"],
  [523, "connect"],
  [524, "timeout"],
  [525, "tls"],
  [526, "tls"],
  [530, "connect"],
]);
/** 1016: the origin's name does not resolve; 1001: the name is not known to Cloudflare. */
const EDGE_DNS = /error code: (?:1016|1001)\b/i;
/** The edge's own bodies are a few words of text. */
const MAX_EDGE_BODY_LENGTH = 256;

const BY_NAME: ReadonlyMap<string, ErrorType> = new Map([
  ["TimeoutError", "timeout"],
  ["RedirectRefusedError", "invalid_request"],
  ["AddressRefusedError", "invalid_request"],
  ["TooManyRedirectsError", "redirect"],
  ["UnsealError", "encryption"],
  ["ProtocolError", "protocol"],
]);

/** workerd's messages, then those of Node and of TLS libraries. */
const BY_MESSAGE: readonly (readonly [RegExp, ErrorType])[] = [
  [/fetch api cannot load|invalid url/i, "invalid_request"],
  [/internal error; reference/i, "network"],
  [/failed to lookup address|ENOTFOUND|EAI_AGAIN|\bDNS\b/, "dns"],
  [/certificate|CERT_|\bssl\b|\btls\b/i, "tls"],
  [/ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT|connection refused/i, "connect"],
  [/ECONNRESET|EPIPE|socket hang up|other side closed|connection reset/i, "reset"],
];
/** workerd's decoders, its DecompressionStream, then Node's zlib. */
const DECODERS = /gzip|brotli|compress|inflate|header check|data check|block type|zlib|\bZ_[A-Z]+_ERROR/i;
const MAX_EXAMINED_LENGTH = 1_000;

/**
 * The fault of an answer that is no success. One that refuses only for now is a rate limit, unless its status says more
 * of what passes; a status under 200 is no HTTP.
 */
export function faultOfAnswer(answer: Answer): ErrorType {
  const { status } = answer;
  const known = BY_STATUS.get(status);
  const passes = known === "not_ready" || known === "conflict";
  if (answer.isPutOff && !passes) return "rate_limited";
  if (known !== undefined) return known;
  if (status < 200) return "protocol";
  if (status < 400) return "redirect";
  if (status < 500) return "client_error";
  return faultOfEdge(answer) ?? "server_error";
}

/**
 * The fault of a call that threw, before any header came. Plain workerd says `Network connection lost` for a refused
 * connection and for a reset one alike: where nobody has looked which it was, the fault is `connect`, by far the more
 * frequent, though the call may have arrived.
 */
export function faultOfException(name: string, message: string): ErrorType {
  const named = BY_NAME.get(name);
  if (named !== undefined) return named;
  const text = message.slice(0, MAX_EXAMINED_LENGTH);
  if (/network connection lost/i.test(text)) return "connect";
  return BY_MESSAGE.find(([pattern]) => pattern.test(text))?.[1] ?? "network";
}

/** What broke the body of an answer whose headers had come, told from the exception that reading it threw. */
export function bodyErrorOf(name: string, message: string): BodyError {
  if (name === "TimeoutError") return "timeout";
  return DECODERS.test(message.slice(0, MAX_EXAMINED_LENGTH)) ? "decode" : "reset";
}

/** The transport fault that the edge tells by 52x or 530; null where the target itself made the answer. */
function faultOfEdge({ status, bodyText }: Answer): ErrorType | null {
  const text = bodyText?.trim();
  if (text === undefined || text.length > MAX_EDGE_BODY_LENGTH || /^[[{<]/.test(text)) return null;
  if (status === 530 && EDGE_DNS.test(text)) return "dns";
  return BY_EDGE_STATUS.get(status) ?? null;
}
