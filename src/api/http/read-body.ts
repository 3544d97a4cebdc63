import { sourceOf, type TaskSource } from "../../core/json/task-source.ts";
import { pathText } from "../../schema/issues.ts";
import { MAX_YAML_BYTES } from "../../schema/limits.ts";
import { AppError, invalidRequest } from "./app-error.ts";
import { findJsonFault } from "./json-fault.ts";
import { plainJsonFault, type TaskLevel } from "./plain-json.ts";
import { parseYaml } from "./yaml-text.ts";

const YAML_TYPES = ["application/yaml", "application/x-yaml", "text/yaml"];
/** What a refusal repeats of headers: they may hold anything. */
const KNOWN_TYPES = new Set([
  ...YAML_TYPES,
  "application/json",
  "application/jsonl",
  "application/octet-stream",
  "application/problem+json",
  "application/x-ndjson",
  "application/x-www-form-urlencoded",
  "application/xml",
  "multipart/form-data",
  "text/csv",
  "text/html",
  "text/json",
  "text/plain",
  "text/xml",
]);
const CODINGS = new Set(["gzip", "x-gzip", "br", "deflate", "zstd", "compress"]);

/** What a request's body is of. */
export type BodyKind = "task" | "batch" | "settings";

/** A request's body as a value, and what was written for its tasks; null: it was no JSON. */
export interface ReadRequest {
  value: unknown;
  tasks: TaskSource[] | null;
}

const TASK_LEVEL: Record<BodyKind, TaskLevel> = { task: 1, batch: 3, settings: 0 };

/** Reads settings as a plain JSON value, as `readRequest` does. */
export async function readBody(
  request: Request,
  maxBytes: number,
  options = { yaml: false },
): Promise<unknown> {
  const { value } = await readRequest(request, maxBytes, { ...options, kind: "settings" });
  return value;
}

/**
 * Reads a request's body, from JSON or, where `yaml` is set, from YAML. Throws AppError `unsupported_media_type`,
 * `body_too_large` (over `maxBytes`; YAML over MAX_YAML_BYTES), `malformed_body` with the place, or `invalid_request`
 * where the value is nested too deep or has a name twice.
 */
export async function readRequest(
  request: Request,
  maxBytes: number,
  options: { yaml: boolean; kind: BodyKind },
): Promise<ReadRequest> {
  const type = mediaType(request.headers, options.yaml);
  const isYaml = type !== "application/json";
  const text = decode(await readBytes(request, isYaml ? Math.min(maxBytes, MAX_YAML_BYTES) : maxBytes));
  const value = isYaml ? parseYaml(text) : parseJson(text);
  const fault = plainJsonFault(value, isYaml ? 0 : TASK_LEVEL[options.kind]);
  if (fault !== null) throw invalidRequest([fault]);
  if (isYaml) return { value, tasks: null };
  const { tasks, repeated } = sourceOf(text, options.kind);
  if (repeated !== null) {
    throw invalidRequest([{ path: pathText(repeated), message: "expected the field once, got it twice" }]);
  }
  return { value, tasks };
}

function mediaType(headers: Headers, yaml: boolean): string {
  const [type = "", ...parameters] = (headers.get("content-type") ?? "").toLowerCase().split(";");
  const charset = parameters.map((part) => part.trim()).find((part) => part.startsWith("charset="));
  const isUtf8 = charset === undefined || /^charset="?utf-?8"?$/.test(charset);
  const encoding = headers.get("content-encoding") ?? "identity";
  const name = type.trim();
  const known = name === "application/json" || (yaml && YAML_TYPES.includes(name));
  if (known && isUtf8 && encoding === "identity") return name;
  const expected = `expected content-type application/json${yaml ? " or application/yaml" : ""}`;
  const came = name === "" ? "none" : KNOWN_TYPES.has(name) ? name : "another";
  const other = charset === undefined || isUtf8 ? "" : " in another charset";
  const encoded =
    encoding === "identity"
      ? ""
      : ` with content-encoding ${CODINGS.has(encoding) ? encoding : "of another kind"}`;
  throw new AppError("unsupported_media_type", `${expected} in UTF-8, got ${came}${other}${encoded}`);
}

async function readBytes(request: Request, maxBytes: number): Promise<Uint8Array> {
  const length = request.headers.get("content-length");
  if (length === null) return readChunks(request, maxBytes);
  // The server holds the client to the length it has announced.
  if (Number(length) > maxBytes) throw tooLarge(maxBytes, `${length} bytes`);
  return new Uint8Array(await request.arrayBuffer());
}

async function readChunks(request: Request, maxBytes: number): Promise<Uint8Array> {
  if (request.body === null) return new Uint8Array();
  const chunks: Uint8Array[] = [];
  let size = 0;
  const reader: ReadableStreamDefaultReader<Uint8Array> = request.body.getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    size += part.value.byteLength;
    if (size > maxBytes) {
      await reader.cancel();
      throw tooLarge(maxBytes, "more");
    }
    chunks.push(part.value);
  }
  const whole = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.byteLength;
  }
  return whole;
}

function tooLarge(maxBytes: number, came: string): AppError {
  return new AppError("body_too_large", `expected a request body of at most ${maxBytes} bytes, got ${came}`);
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes);
  } catch (cause) {
    throw new AppError("malformed_body", "expected UTF-8, got other bytes", { cause });
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const { offset, line, column } = findJsonFault(text);
    const came = offset === text.length ? "the end of the text" : foundAt(text.charAt(offset));
    const message = `expected JSON, got ${came} at line ${line} column ${column} (position ${offset})`;
    throw new AppError("malformed_body", message, { cause, errors: [{ path: "", message }] });
  }
}

/** What stands where it should not. Only marks of JSON itself are shown: all else may be of a secret. */
function foundAt(character: string): string {
  return '{}[],:"'.includes(character) ? JSON.stringify(character) : "something else";
}
