import { MAX_URL_LENGTH } from "../../schema/limits.ts";
import { shapeOf, shownName } from "../../schema/shape.ts";
import { isBadPort } from "./bad-ports.ts";
import { classifyHostName, isHostName } from "./host-name.ts";
import { classifyAddress, type HostClass } from "./ip-address.ts";

/**
 * What a deployment lets targets be, beyond public addresses. `loopback`: 127.0.0.0/8, ::1 and localhost. `private`:
 * RFC 1918, 100.64.0.0/10, fc00::/7, names without a dot, and names such as *.internal and *.local. `ownHosts`: the
 * deployment's own hosts as `URL.hostname` spells them, refused always, so that it never calls itself in a loop. `self`:
 * where the server itself listens, on a machine whose other ports may be targets.
 */
export interface AddressRules {
  loopback: boolean;
  private: boolean;
  ownHosts: readonly string[];
  self?: ListenPlace | null;
}

/**
 * Where a server listens: `port` at these `addresses` as `URL.hostname` spells them, and at every loopback address. Where
 * `sandbox` is true, its paths below /sandbox/ may be targets.
 */
export interface ListenPlace {
  addresses: readonly string[];
  port: string;
  sandbox: boolean;
}

/** A checked target: the normalised `url` without fragment and its `origin`, or what was wrong with it. */
type TargetUrlCheck = { ok: true; url: string; origin: string } | { ok: false; message: string };

/**
 * Reads the setting REDRIVE_ALLOW_TARGETS: a comma list of `loopback` and `private`; nothing allows public addresses
 * only. Knows no own hosts. Throws a RangeError on any other word.
 */
export function parseAddressRules(setting: string | undefined): AddressRules {
  const words = (setting ?? "").split(",").map((word) => word.trim());
  const unknown = words.find((word) => !["", "loopback", "private"].includes(word));
  if (unknown !== undefined) {
    throw new RangeError(`expected a comma list of loopback and private, got ${JSON.stringify(unknown)}`);
  }
  return { loopback: words.includes("loopback"), private: words.includes("private"), ownHosts: [] };
}

/**
 * Checks where a task, callback, probe or redirect hop may go. Never throws. Only what the text itself says is
 * checked: a public name that resolves to a private address is stopped by the network layer. Call `url`, not `text`:
 * it is what was checked. `origin` has no trailing dot after the host, so that one target has one key. Of what is no URL
 * the message shows nothing, of a URL its host and port at most.
 */
export function checkTargetUrl(text: string, rules: AddressRules): TargetUrlCheck {
  const message = textFault(text);
  if (message !== null) return { ok: false, message };
  const url = URL.parse(text);
  if (url === null) return refuse("a valid host and port", authorityShape(authorityOf(text)));
  url.hash = "";
  if (url.href.length > MAX_URL_LENGTH) return refuse(LENGTH, `${url.href.length} once encoded`);
  if (isBadPort(url.port)) return refuse("a port that HTTP may use", url.port);
  const host = withoutTrailingDot(url.hostname);
  const hostMessage = hostFault(host, rules);
  if (hostMessage !== null) return { ok: false, message: hostMessage };
  if (isSelf(url, host, rules.self))
    return refuse("a target other than this server itself", JSON.stringify(url.host));
  const port = url.port === "" ? "" : `:${url.port}`;
  return { ok: true, url: url.href, origin: `${url.protocol}//${host}${port}` };
}

/**
 * Checks where a redirect from `from` may lead: where a task may go, and not nearer to this machine than its sender, since
 * a target and not the submitter chose it. From a public host it leads to public ones only, from a private one to no
 * loopback, whatever the rules allow.
 */
export function checkRedirect(from: string, to: string, rules: AddressRules): TargetUrlCheck {
  const kind = URL.canParse(from) ? hostKind(withoutTrailingDot(new URL(from).hostname)) : "never";
  const isNear = kind === "loopback" || kind === "private";
  return checkTargetUrl(to, {
    ...rules,
    loopback: rules.loopback && kind === "loopback",
    private: rules.private && isNear,
  });
}

function hostKind(host: string): HostClass["kind"] {
  return (classifyAddress(host) ?? classifyHostName(host)).kind;
}

/** What is wrong with the text as it was written, before anything is normalised away. */
function textFault(text: string): string | null {
  if (text.length > MAX_URL_LENGTH) return expected(LENGTH, `${text.length}`);
  const blank = /[\s\p{Cc}]/u.exec(text);
  if (blank !== null) {
    const code = blank[0].charCodeAt(0).toString(16).toUpperCase().padStart(4, "0");
    return expected("a URL without whitespace or control characters", `U+${code} at position ${blank.index}`);
  }
  if (!ABSOLUTE_HTTP.test(text)) return expected("an absolute http or https URL", textShape(text));
  if (authorityOf(text).includes("@")) return expected("a URL without userinfo", "one with it");
  return null;
}

/** What is wrong with a normalised host, null where the rules allow it. */
function hostFault(host: string, rules: AddressRules): string | null {
  const address = classifyAddress(host);
  if (address === null && !isHostName(host)) return expected("a valid host name", shapeOf(host));
  if (rules.ownHosts.some((own) => withoutTrailingDot(own.toLowerCase()) === host)) {
    return expected("a host other than this deployment's own", JSON.stringify(host));
  }
  const { kind, what } = address ?? classifyHostName(host);
  if (isAllowed(kind, rules)) return null;
  // A text that came in the place of a host looks like a name without a dot.
  const isShown = address !== null || (host.includes(".") && shownName(host) !== null) || kind === "loopback";
  return expected("a public host", isShown ? `${JSON.stringify(host)}, ${what}` : what);
}

function isSelf(url: URL, host: string, self: ListenPlace | null | undefined): boolean {
  if (!self || (url.port || DEFAULT_PORTS[url.protocol]) !== self.port) return false;
  if (self.sandbox && url.pathname.startsWith("/sandbox/")) return false;
  return hostKind(host) === "loopback" || self.addresses.includes(host);
}

function isAllowed(kind: HostClass["kind"], rules: AddressRules): boolean {
  switch (kind) {
    case "public":
      return true;
    case "loopback":
      return rules.loopback;
    case "private":
      return rules.private;
    case "never":
      return false;
  }
}

function refuse(wanted: string, came: string): TargetUrlCheck {
  return { ok: false, message: expected(wanted, came) };
}

function expected(wanted: string, came: string): string {
  return `expected ${wanted}, got ${came}`;
}

/** Between `//` and the first delimiter. The URL parser reads a backslash as a slash. Expects ABSOLUTE_HTTP. */
function authorityOf(text: string): string {
  return text.slice(text.indexOf("//") + 2).replace(/[/\\?#].*$/s, "");
}

function withoutTrailingDot(host: string): string {
  return host.endsWith(".") ? host.slice(0, -1) : host;
}

/** What stands in place of a URL, without what it holds. */
function textShape(text: string): string {
  const [, scheme] = /^(ftps?|file|wss?|data|javascript|mailto):/i.exec(text) ?? [];
  if (scheme !== undefined) return `the scheme ${scheme.toLowerCase()}`;
  return text.startsWith("/") ? "a path" : shapeOf(text);
}

/** What is wrong with an authority that the URL parser refuses. */
function authorityShape(authority: string): string {
  const port = /:([^:\]]*)$/.exec(authority)?.[1] ?? "";
  if (!/^\d*$/.test(port)) return "a port that is no number";
  return Number(port) > MAX_PORT ? "a port that is too large" : "a host that is none";
}

const ABSOLUTE_HTTP = /^https?:\/\/[^/\\]/i;
const DEFAULT_PORTS: Readonly<Record<string, string>> = { "http:": "80", "https:": "443" };
const LENGTH = `a URL of at most ${MAX_URL_LENGTH} characters`;
const MAX_PORT = 65_535;
