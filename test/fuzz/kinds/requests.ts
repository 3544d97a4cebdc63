import { type Agent, request as httpRequest } from "node:http";
import { ROUTES } from "../../../src/api/routes.ts";
import type { Chance } from "./chance.ts";
import { SURFACES } from "./surfaces.ts";
import { hostileText, mutateText } from "./texts.ts";

/** One request as it goes over the wire. */
export interface FuzzRequest {
  method: string;
  path: string;
  headers: Record<string, string>;
  body: string | null;
}

/** What the server said of it. */
export interface FuzzAnswer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: string;
  tookMs: number;
}

/** What requests can name that is really there: ids of tasks and keys, cursors, breakers' keys. */
export interface Known {
  apiKey: string;
  ids: string[];
}

/** Which surfaces make the body of a route. */
const BODIES: Record<string, string[]> = {
  "/v1/tasks": ["task, json", "task, yaml"],
  "/v1/tasks/batch": ["batch", "task, json"],
  "/v1/queues/{name}": ["queue, json", "queue, yaml"],
  "/v1/keys": ["key"],
};
const TYPES = [
  ...["application/json", "application/yaml", "application/json; charset=utf-8", "application/json; charset=utf-16"],
  ...["text/yaml", "text/plain", "multipart/form-data; boundary=x", "", "application/json,application/yaml"],
]; // biome-ignore format: a list of types

/**
 * A request of any route, a little or wholly wrong. No queue is made or resumed under a new name, so that where the
 * known ones are paused nothing is ever called.
 */
export function hostileRequest(chance: Chance, known: Known): FuzzRequest {
  const route = chance.pick(ROUTES.filter(({ path }) => path !== "/v1/queues/{name}/resume"));
  const method = chance.is(0.95)
    ? route.method
    : chance.pick(["GET", "HEAD", "PATCH", "OPTIONS", "PROPFIND"]);
  const isYaml = chance.is(0.4);
  const names = BODIES[route.path] ?? ["operation"];
  const surface = SURFACES[names[isYaml ? names.length - 1 : 0] ?? ""];
  const body = method === "GET" || method === "HEAD" ? null : (surface?.make(chance) ?? "").toWellFormed();
  const right =
    isYaml && names.length > 1 && names[1]?.endsWith("yaml") ? "application/yaml" : "application/json";
  const headers: Record<string, string> = {
    authorization: chance.is(0.9) ? `Bearer ${known.apiKey}` : headerText(chance),
    ...(body !== null && { "content-type": chance.is(0.9) ? right : chance.pick(TYPES) }),
    ...(chance.is(0.1) && { "idempotency-key": headerText(chance) }),
    ...(chance.is(0.05) && { traceparent: headerText(chance) }),
    ...(chance.is(0.03) && { "content-encoding": chance.pick(["gzip", "br", "identity", "x"]) }),
    ...(chance.is(0.05) && {
      [chance.pick(["accept", "cookie", "range", "if-match", "x-a", "origin"])]: headerText(chance),
    }),
  };
  return { method, path: pathOf(chance, route.path, known), headers, body };
}

/** Sends a request and reads its answer whole. Rejects where there was none. */
export function send(agent: Agent, origin: string, fuzz: FuzzRequest): Promise<FuzzAnswer> {
  const { hostname, port } = new URL(origin);
  const { method, path, body } = fuzz;
  // Node itself says the length of a body for some methods only; without it the server takes it for the next request.
  const headers = { ...fuzz.headers, ...(body !== null && { "content-length": Buffer.byteLength(body) }) };
  const startedAt = performance.now();
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest({ agent, hostname, port, method, path, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        const text = Buffer.concat(chunks).toString("utf8");
        const tookMs = performance.now() - startedAt;
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text, tookMs });
      });
    });
    outgoing.on("error", reject);
    outgoing.end(body ?? undefined);
  });
}

function pathOf(chance: Chance, template: string, known: Known): string {
  if (chance.is(0.03)) return `/${pathText(hostileText(chance))}`;
  const isQueuePut = template === "/v1/queues/{name}";
  const name = () =>
    chance.is(0.7) ? "fuzzed" : isQueuePut ? chance.pick(["A", "..", "a b"]) : hostileText(chance);
  const id = () => (chance.is(0.4) ? chance.pick(known.ids) : mutateText(chance, chance.pick(known.ids)));
  const key = () => chance.pick(["https://api.redrive.invalid", "key:fuzzed/pay", hostileText(chance)]);
  const filled = template
    .replace("{name}", () => part(name()))
    .replace("{id}", () => part(id()))
    .replace("{key}", () => part(key()));
  const query = chance.is(0.25) ? `?${SURFACES.query?.make(chance) ?? ""}` : "";
  return filled + (chance.is(0.95) ? query : `?${pathText(hostileText(chance))}`);
}

/** As one segment, mostly encoded as it should be. */
function part(text: string): string {
  return encodeURIComponent(text.toWellFormed()) || "none";
}

/** What Node and workerd let stand in a path: everything else percent-encoded. */
function pathText(text: string): string {
  return text
    .toWellFormed()
    .replace(/[^\x21-\x7e]|[<>"`{}|\\^]/gu, (character) => encodeURIComponent(character));
}

/** What Node lets stand in a header's value. */
function headerText(chance: Chance): string {
  return hostileText(chance)
    .replace(/[^\t\x20-\x7e\x80-\xff]/g, "?")
    .slice(0, 4_000);
}
