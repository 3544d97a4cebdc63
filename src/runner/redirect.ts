import { isSecretHeader } from "../core/secret-headers.ts";

/** One request on the way along redirects. */
export interface Hop {
  url: string;
  method: string;
  headers: Headers;
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
  const headers = new Headers(hop.headers);
  if (to.origin !== from.origin) deleteHeaders(headers, isSecretHeader);
  if (!becomesGet(hop.method, status)) return { ...hop, url: to.href, headers };
  deleteHeaders(headers, (name) => name.startsWith("content-"));
  return { url: to.href, method: "GET", headers, body: null };
}

function becomesGet(method: string, status: number): boolean {
  if (status === 303) return method !== "GET" && method !== "HEAD";
  return (status === 301 || status === 302) && method === "POST";
}

function deleteHeaders(headers: Headers, unwanted: (name: string) => boolean): void {
  for (const name of [...headers.keys()].filter(unwanted)) headers.delete(name);
}
