/** Who may be called at an address. `never` stays refused whatever a deployment allows. */
type AddressKind = "public" | "loopback" | "private" | "never";

/** A host as the target check sees it: its kind, and `what` it is in words that fit after "got". */
export interface HostClass {
  kind: AddressKind;
  what: string;
}

/**
 * The class of an IP literal, or null where `hostname` is a name. Expects the spelling that `URL.hostname` gives:
 * four decimal numbers, or a compressed lower case IPv6 address in brackets. An IPv4 address inside an IPv6 one
 * (mapped, compatible, translated, NAT64, 6to4) has the class of the IPv4 address.
 */
export function classifyAddress(hostname: string): HostClass | null {
  if (hostname.startsWith("[")) return classifyIpv6(ipv6Value(hostname.slice(1, -1)));
  return /^\d+\.\d+\.\d+\.\d+$/.test(hostname) ? classifyIpv4(ipv4Value(hostname)) : null;
}

function classifyIpv4(value: bigint): HostClass {
  return IPV4_RANGES.find((range) => contains(range, value))?.host ?? PUBLIC;
}

function classifyIpv6(value: bigint): HostClass {
  const special = IPV6_RANGES.find((range) => contains(range, value));
  if (special !== undefined) return special.host;
  const embedding = IPV4_EMBEDDINGS.find((range) => contains(range, value));
  if (embedding !== undefined) return classifyIpv4((value >> embedding.bitsAfter) & 0xffff_ffffn);
  return contains(GLOBAL_UNICAST, value) ? PUBLIC : RESERVED;
}

interface Range {
  first: bigint;
  /** How many low bits of the address are free within the range. */
  freeBits: bigint;
}

function contains(range: Range, value: bigint): boolean {
  return value >> range.freeBits === range.first >> range.freeBits;
}

function ipv4Range(cidr: string): Range {
  const slash = cidr.indexOf("/");
  return { first: ipv4Value(cidr.slice(0, slash)), freeBits: 32n - BigInt(cidr.slice(slash + 1)) };
}

function ipv6Range(cidr: string): Range {
  const slash = cidr.indexOf("/");
  return { first: ipv6Value(cidr.slice(0, slash)), freeBits: 128n - BigInt(cidr.slice(slash + 1)) };
}

function ipv4Value(text: string): bigint {
  return text.split(".").reduce((value, octet) => (value << 8n) | BigInt(octet), 0n);
}

function ipv6Value(text: string): bigint {
  const gap = text.indexOf("::");
  const head = groups(gap === -1 ? text : text.slice(0, gap));
  const tail = groups(gap === -1 ? "" : text.slice(gap + 2));
  const zeros = new Array<bigint>(8 - head.length - tail.length).fill(0n);
  return [...head, ...zeros, ...tail].reduce((value, group) => (value << 16n) | group, 0n);
}

function groups(text: string): bigint[] {
  return text === "" ? [] : text.split(":").map((group) => BigInt(`0x${group}`));
}

const PUBLIC: HostClass = { kind: "public", what: "a public address" };
const LOOPBACK: HostClass = { kind: "loopback", what: "a loopback address" };
const PRIVATE: HostClass = { kind: "private", what: "a private address" };
const SHARED: HostClass = { kind: "private", what: "a carrier-grade NAT address" };
const METADATA: HostClass = { kind: "never", what: "a cloud metadata address" };
const LINK_LOCAL: HostClass = { kind: "never", what: "a link-local address" };
const SITE_LOCAL: HostClass = { kind: "never", what: "a site-local address" };
const UNSPECIFIED: HostClass = { kind: "never", what: "an address of this network" };
const DOCUMENTATION: HostClass = { kind: "never", what: "a documentation address" };
const BENCHMARK: HostClass = { kind: "never", what: "a benchmarking address" };
const MULTICAST: HostClass = { kind: "never", what: "a multicast address" };
const BROADCAST: HostClass = { kind: "never", what: "the broadcast address" };
const TUNNEL: HostClass = { kind: "never", what: "an address of a transition mechanism" };
const RESERVED: HostClass = { kind: "never", what: "a reserved address" };

/**
 * The first match wins. @see IANA IPv4 Special-Purpose Address Registry (RFC 6890). Metadata addresses outside the
 * link-local range: 100.100.100.200 is Alibaba's, 168.63.129.16 is Azure's host agent.
 */
const IPV4_RANGES = [
  { ...ipv4Range("169.254.169.254/32"), host: METADATA },
  { ...ipv4Range("100.100.100.200/32"), host: METADATA },
  { ...ipv4Range("168.63.129.16/32"), host: METADATA },
  { ...ipv4Range("0.0.0.0/8"), host: UNSPECIFIED },
  { ...ipv4Range("10.0.0.0/8"), host: PRIVATE },
  { ...ipv4Range("100.64.0.0/10"), host: SHARED },
  { ...ipv4Range("127.0.0.0/8"), host: LOOPBACK },
  { ...ipv4Range("169.254.0.0/16"), host: LINK_LOCAL },
  { ...ipv4Range("172.16.0.0/12"), host: PRIVATE },
  { ...ipv4Range("192.0.0.0/24"), host: RESERVED },
  { ...ipv4Range("192.0.2.0/24"), host: DOCUMENTATION },
  { ...ipv4Range("192.88.99.0/24"), host: TUNNEL },
  { ...ipv4Range("192.168.0.0/16"), host: PRIVATE },
  { ...ipv4Range("198.18.0.0/15"), host: BENCHMARK },
  { ...ipv4Range("198.51.100.0/24"), host: DOCUMENTATION },
  { ...ipv4Range("203.0.113.0/24"), host: DOCUMENTATION },
  { ...ipv4Range("224.0.0.0/4"), host: MULTICAST },
  { ...ipv4Range("255.255.255.255/32"), host: BROADCAST },
  { ...ipv4Range("240.0.0.0/4"), host: RESERVED },
];

/**
 * The first match wins; what is in no range, embeds no IPv4 address and is not global unicast is reserved too.
 * @see IANA IPv6 Special-Purpose Address Registry. AWS, Google, Oracle and Scaleway have metadata services in the
 * unique-local range.
 */
const IPV6_RANGES = [
  { ...ipv6Range("::/128"), host: UNSPECIFIED },
  { ...ipv6Range("::1/128"), host: LOOPBACK },
  { ...ipv6Range("fd00:ec2::/32"), host: METADATA },
  { ...ipv6Range("fd20:ce::/32"), host: METADATA },
  { ...ipv6Range("fd00:c1::/32"), host: METADATA },
  { ...ipv6Range("fd00:42::/32"), host: METADATA },
  { ...ipv6Range("2001::/32"), host: TUNNEL },
  { ...ipv6Range("2001:2::/48"), host: BENCHMARK },
  { ...ipv6Range("2001::/23"), host: RESERVED },
  { ...ipv6Range("2001:db8::/32"), host: DOCUMENTATION },
  { ...ipv6Range("3fff::/20"), host: DOCUMENTATION },
  { ...ipv6Range("fc00::/7"), host: PRIVATE },
  { ...ipv6Range("fe80::/10"), host: LINK_LOCAL },
  { ...ipv6Range("fec0::/10"), host: SITE_LOCAL },
  { ...ipv6Range("ff00::/8"), host: MULTICAST },
];

/** Where an IPv6 address carries an IPv4 one, and how many bits follow that. */
const IPV4_EMBEDDINGS = [
  { ...ipv6Range("::ffff:0:0/96"), bitsAfter: 0n }, // mapped, RFC 4291 2.5.5.2
  { ...ipv6Range("::/96"), bitsAfter: 0n }, // compatible, RFC 4291 2.5.5.1
  { ...ipv6Range("::ffff:0:0:0/96"), bitsAfter: 0n }, // translated, RFC 2765
  { ...ipv6Range("64:ff9b::/96"), bitsAfter: 0n }, // NAT64, RFC 6052
  { ...ipv6Range("2002::/16"), bitsAfter: 80n }, // 6to4, RFC 3056
];

const GLOBAL_UNICAST = ipv6Range("2000::/3");
