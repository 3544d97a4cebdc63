import { classifyAddress } from "./ip-address.ts";

/** `example.com`, `127.0.0.1:8787` or `[::1]:8787`: RFC 9110 7.2, without userinfo. */
const HOST = /^(\[[0-9a-f:.]+\]|[^:@/?#[\]\s]+)(?::\d{1,5})?$/i;

/**
 * Whether a server that is not found by its name alone serves a request with this `Host`. Addresses and `localhost`
 * are served, and `names`, the hosts it was told to be. A name that is none of them leads here by DNS rebinding: a page
 * of a stranger that makes its own name resolve to this machine, to read and write as if it were ours.
 */
export function isServedHost(host: string, names: readonly string[]): boolean {
  const name = hostName(host);
  if (name === null) return false;
  return (
    name === "localhost" || classifyAddress(name) !== null || names.some((own) => hostName(own) === name)
  );
}

/**
 * Whether a page of this origin (the request header `Origin`) is one of ours: it has the `host` that the request asks, or the
 * origin that the deployment is reached by from outside. `null`, the origin of a sandboxed page or a file, is a stranger's.
 */
export function isOwnOrigin(origin: string, host: string, publicOrigin: string | null): boolean {
  const url = URL.parse(origin);
  if (url === null || url.host === "") return false;
  return url.host === URL.parse(`${url.protocol}//${host}`)?.host || url.origin === publicOrigin;
}

/** Lower case, without port and trailing dot; null where it is no host. */
function hostName(host: string): string | null {
  return HOST.exec(host)?.[1]?.toLowerCase().replace(/\.$/, "") ?? null;
}
