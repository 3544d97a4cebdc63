import { classifyAddress, type HostClass } from "./ip-address.ts";

/**
 * True for a name that DNS can hold: labels of 1 to 63 letters, digits, hyphens or underscores, 253 characters in
 * all. Expects the spelling that `URL.hostname` gives (lower case, punycode), without a trailing dot.
 */
export function isHostName(name: string): boolean {
  return name.length <= 253 && name.split(".").every((label) => LABEL.test(label));
}

/**
 * What a name says about where it leads, without asking DNS: names that only resolve inside a private network, to
 * loopback or to a metadata service, and wildcard DNS services that answer with the address in the name. Every other
 * name is public; the addresses behind it are for the network layer to check. Expects what `isHostName` accepts.
 */
export function classifyHostName(name: string): HostClass {
  if (isUnder(name, METADATA_NAMES)) return { kind: "never", what: "the name of a cloud metadata service" };
  if (isUnder(name, LOOPBACK_NAMES)) return { kind: "loopback", what: "a name of the loopback address" };
  if (isUnder(name, PRIVATE_SUFFIXES)) return { kind: "private", what: "a name of a private network" };
  if (!name.includes(".")) return { kind: "private", what: "a name without a dot" };
  const service = WILDCARD_SERVICES.find((suffix) => isUnder(name, [suffix]));
  return service === undefined ? PUBLIC_NAME : classifyWildcard(name.slice(0, -service.length - 1));
}

function isUnder(name: string, suffixes: readonly string[]): boolean {
  return suffixes.some((suffix) => name === suffix || name.endsWith(`.${suffix}`));
}

/** Follows the embedded address where it can be read in one way only; these services have many spellings. */
function classifyWildcard(prefix: string): HostClass {
  const address = EMBEDDED_IPV4.exec(prefix)?.[1]?.replaceAll("-", ".");
  const found = address === undefined ? null : classifyAddress(address);
  return found ?? { kind: "never", what: "a wildcard DNS name without a plain IPv4 address" };
}

const PUBLIC_NAME: HostClass = { kind: "public", what: "a public name" };

const LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/;

/** `10.0.0.1` or `10-0-0-1`, after labels that are letters only and so cannot be part of an address. */
const EMBEDDED_IPV4 = (() => {
  const octet = "(?:0|[1-9]\\d?|1\\d\\d|2[0-4]\\d|25[0-5])";
  return new RegExp(`^(?:[a-z]+\\.)*(${octet}(?:(?:\\.${octet}){3}|(?:-${octet}){3}))$`);
})();

/** Metadata services of Google, AWS, Azure and Tencent; refused with their subdomains whatever is allowed. */
const METADATA_NAMES = [
  "metadata",
  "metadata.internal",
  "metadata.google.internal",
  "metadata.azure.internal",
  "metadata.goog",
  "metadata.tencentyun.com",
  "instance-data",
  "instance-data.ec2.internal",
];

/** RFC 6761 6.3, the names that systems put in their hosts file, and public domains that resolve to 127.0.0.1. */
const LOOPBACK_NAMES = [
  "localhost",
  "localhost.localdomain",
  "localhost4",
  "localhost6",
  "localhost4.localdomain4",
  "localhost6.localdomain6",
  "ip6-localhost",
  "ip6-loopback",
  "localtest.me",
  "lvh.me",
  "vcap.me",
  "fuf.me",
  "lacolhost.com",
  "localho.st",
  "local.gd",
];

/** RFC 6762 (local, and appendix G), RFC 8375 (home.arpa), ICANN (internal), and names of clusters (svc). */
const PRIVATE_SUFFIXES = [
  "local",
  "localdomain",
  "internal",
  "intranet",
  "private",
  "corp",
  "home",
  "lan",
  "home.arpa",
  "svc",
];

/** DNS services that answer with whatever address the asked name holds; the last two are made for rebinding. */
const WILDCARD_SERVICES = ["nip.io", "sslip.io", "xip.io", "traefik.me", "backname.io", "rbndr.us", "1u.ms"];
