import { isSecretHeader } from "../core/call/secret-headers.ts";
import type { RedirectMode } from "../schema/task.ts";

/** One request on the way along redirects. */
export interface Hop {
  url: string;
  method: string;
  /** By lower-case name: of a plain object, fetch makes one set of headers less than of Headers. */
  headers: Record<string, string>;
  body: Uint8Array<ArrayBuffer> | null;
}

/** Methods that ask and deliver nothing, so that they may be asked elsewhere too (RFC 9110 9.2.1). */
const SAFE: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS"]);
/** All that a hop to another origin carries: it names nobody and says nothing of the task. */
const BARE_HEADERS: ReadonlySet<string> = new Set(["user-agent"]);

/** True for an answer that names another place to go to. */
export function isRedirect(response: Response): boolean {
  return [301, 302, 303, 307, 308].includes(response.status) && response.headers.has("location");
}

/**
 * The next request after a redirect, or null where it is not followed. In mode `strict` the call stays what it is: a
 * redirect that makes a GET without body of it (303, and 301 and 302 after a POST) is not followed, nor one to another
 * origin but of a GET, HEAD or OPTIONS without body, which goes there with no header of the task's. In mode `loose` it
 * is as in a browser: such redirects make a GET without `content-*` headers, and another origin gets method, body and
 * all headers but those that carry secrets. What a hop has dropped does not come back. Throws a TypeError where
 * `location` is not a URL.
 * @see RFC 9110 15.4 and the Fetch standard, "HTTP-redirect fetch"
 */
export function nextHop(hop: Hop, status: number, location: string, mode: RedirectMode): Hop | null {
  const from = new URL(hop.url);
  const to = new URL(location, from);
  return mode === "strict" ? strictHop(hop, status, from, to) : looseHop(hop, status, from, to);
}

function strictHop(hop: Hop, status: number, from: URL, to: URL): Hop | null {
  if (becomesGet(hop.method, status)) return null;
  if (to.origin === from.origin) return { ...hop, url: to.href };
  if (!SAFE.has(hop.method) || hop.body !== null) return null;
  return { ...hop, url: to.href, headers: without(hop.headers, (name) => !BARE_HEADERS.has(name)) };
}

function looseHop(hop: Hop, status: number, from: URL, to: URL): Hop {
  const headers = to.origin === from.origin ? hop.headers : without(hop.headers, isSecretHeader);
  if (!becomesGet(hop.method, status)) return { ...hop, url: to.href, headers };
  const isAboutBody = (name: string) => name.startsWith("content-");
  return { url: to.href, method: "GET", headers: without(headers, isAboutBody), body: null };
}

function becomesGet(method: string, status: number): boolean {
  if (status === 303) return method !== "GET" && method !== "HEAD";
  return (status === 301 || status === 302) && method === "POST";
}

function without(
  headers: Record<string, string>,
  unwanted: (name: string) => boolean,
): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !unwanted(name.toLowerCase())));
}
