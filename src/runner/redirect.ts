import { isSecretHeader } from "../core/secret-headers.ts";

/** One request on the way along redirects. */
export interface Hop {
  url: string;
  method: string;
  /** By lower-case name: of a plain object, fetch makes one set of headers less than of Headers. */
  headers: Record<string, string>;
  body: Uint8Array<ArrayBuffer> | null;
}

/** True for an answer that names another place to go to. */
export function isRedirect(response: Response): boolean {
  return [301, 302, 303, 307, 308].includes(response.status) && response.headers.has("location");
}

/**
 * The next request after a redirect. 303, and 301 and 302 after a POST, become a GET without body and
 * `content-*` headers; 307 and 308 repeat method and body. Headers that carry secrets do not go to another
 * origin, nor further on. Throws a TypeError where `location` is not a URL.
 * @see RFC 9110 15.4 and the Fetch standard, "HTTP-redirect fetch"
 */
export function nextHop(hop: Hop, status: number, location: string): Hop {
  const from = new URL(hop.url);
  const to = new URL(location, from);
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
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !unwanted(name)));
}
