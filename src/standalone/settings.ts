import { BlockList, isIPv4, isIPv6 } from "node:net";
import { resolve } from "node:path";
import { isSecret } from "../callback/signature.ts";
import { type AddressRules, parseAddressRules } from "../core/address/target-url.ts";
import { MIN_ENCRYPTION_KEY_LENGTH } from "../core/call/sealed.ts";
import { parseDuration } from "../schema/duration.ts";

export const DEFAULT_PORT = 8787;
export const DEFAULT_HOST = "127.0.0.1";
export const DEFAULT_DATA_DIR = ".redrive";

/** What the standalone server is told by its environment. */
export interface Settings {
  /** An IP address. */
  host: string;
  /** 0: any free port. */
  port: number;
  /** Absolute. */
  dataDir: string;
  /** null: made once and kept in the data folder. */
  apiKey: string | null;
  /** null: made once and kept in the data folder. */
  signingSecret: string | null;
  /** null: made once and kept in the data folder. */
  encryptionKey: string | null;
  /** A key that is accepted beside it; null: none. */
  previousEncryptionKey: string | null;
  /** The key that data was encrypted with is lost: go on with this one. */
  encryptionLost: boolean;
  /** The origin by which it is reached from outside, through a proxy; null: it is not. */
  publicUrl: string | null;
  /** Further host names that are this server's own, as `URL.hostname` spells them. */
  ownHosts: string[];
  /** What targets may be beyond public addresses. */
  allowTargets: Pick<AddressRules, "loopback" | "private">;
  sandbox: boolean;
  /** Where calls are made: in the shards' own objects, or as on Cloudflare by the submitting Worker and Runner objects. */
  calls: "shard" | "edge";
  /** The shortest timeout that is evidence for the breakers of other queues, as "5s"; null: the default. */
  evidenceFloor: string | null;
  /** A file of certificate authorities that targets' certificates may be of, absolute; null: those of browsers only. */
  extraCaFile: string | null;
  /** The module to serve in place of `src/index.ts`, absolute; null: `src/index.ts`. */
  entry: string | null;
}

/** The settings, or one sentence for each value that is wrong. */
export type ParsedSettings = { ok: true; settings: Settings } | { ok: false; problems: string[] };

/** Reads the settings from environment variables; an empty variable counts as not set. `cwd` anchors relative paths. */
export function parseSettings(
  env: Readonly<Record<string, string | undefined>>,
  cwd: string,
): ParsedSettings {
  const problems: string[] = [];
  const read = <T>(name: string, fallback: T, parse: (text: string) => T | Wrong): T => {
    const text = env[name] ?? "";
    if (text === "") return fallback;
    const value = parse(text);
    if (!(value instanceof Wrong)) return value;
    problems.push(`${name} must be ${value.expected}${value.isSecret ? "" : `, got "${text}"`}.`);
    return fallback;
  };
  const host = read("HOST", DEFAULT_HOST, parseHost);
  const publicUrl = read<string | null>("REDRIVE_PUBLIC_URL", null, parsePublicUrl);
  const isLocal = isLoopback(host) && publicUrl === null;
  const settings: Settings = {
    host,
    port: read("PORT", DEFAULT_PORT, parsePort),
    dataDir: resolve(
      cwd,
      read("REDRIVE_DATA", DEFAULT_DATA_DIR, (text) => text),
    ),
    apiKey: read<string | null>("REDRIVE_API_KEY", null, parseApiKey),
    signingSecret: read<string | null>("REDRIVE_SIGNING_SECRET", null, parseSigningSecret),
    encryptionKey: read<string | null>("REDRIVE_ENCRYPTION_KEY", null, parseEncryptionKey),
    previousEncryptionKey: read<string | null>("REDRIVE_ENCRYPTION_KEY_PREVIOUS", null, parseEncryptionKey),
    encryptionLost: read("REDRIVE_ENCRYPTION_LOST", false, parseSwitch),
    publicUrl,
    ownHosts: read<string[]>("REDRIVE_OWN_HOSTS", [], parseOwnHosts),
    // An empty one is an answer here, and the strict one.
    allowTargets: read(
      "REDRIVE_ALLOW_TARGETS",
      { loopback: isLocal && env.REDRIVE_ALLOW_TARGETS !== "", private: false },
      parseAllowTargets,
    ),
    sandbox: read("REDRIVE_SANDBOX", isLocal, parseSwitch),
    calls: read<Settings["calls"]>("REDRIVE_CALLS", "shard", parseCalls),
    evidenceFloor: read<string | null>("REDRIVE_EVIDENCE_FLOOR", null, parseFloor),
    extraCaFile: read<string | null>("NODE_EXTRA_CA_CERTS", null, (text) => resolve(cwd, text)),
    entry: read<string | null>("REDRIVE_ENTRY", null, (text) => resolve(cwd, text)),
  };
  return problems.length === 0 ? { ok: true, settings } : { ok: false, problems };
}

/** True where an IP address is this machine's own: 127.0.0.0/8 or ::1. */
export function isLoopback(host: string): boolean {
  return LOOPBACK.check(host, isIPv6(host) ? "ipv6" : "ipv4");
}

/** An IP address and a port as URLs and workerd write them: `127.0.0.1:8787`, `[::1]:8787`. */
export function hostAndPort(host: string, port: number): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
}

/** What `npm start -- --help` prints. */
export const HELP = `Redrive serves its API on this machine, with its data in a local folder.

  npm start

Settings are environment variables:
  PORT                    port to listen on, 0 for any free one (default ${DEFAULT_PORT})
  HOST                    IP address to listen on (default ${DEFAULT_HOST})
  REDRIVE_DATA            data folder (default ${DEFAULT_DATA_DIR}); one server at a time
  REDRIVE_API_KEY         root API key, 16 to 256 characters (default: made once, kept in the data folder)
  REDRIVE_SIGNING_SECRET  signs callbacks, whsec_ and base64 (default: made once, kept in the data folder)
  REDRIVE_ENCRYPTION_KEY  encrypts secrets that are stored, ${MIN_ENCRYPTION_KEY_LENGTH} characters or more (default: made once, kept in the
                          data folder). REDRIVE_ENCRYPTION_KEY_PREVIOUS is accepted beside it,
                          REDRIVE_ENCRYPTION_LOST=on gives up what is encrypted with a key that is lost
  REDRIVE_PUBLIC_URL      https://... by which it is reached from outside, through a proxy
  REDRIVE_OWN_HOSTS       comma list of further host names that are this server's: it answers for
                          them, and no task may call them
  NODE_EXTRA_CA_CERTS     PEM file of certificate authorities that targets' certificates may be of,
                          beside those of browsers
  REDRIVE_ALLOW_TARGETS   what tasks may call beyond public addresses: comma list of loopback and
                          private, empty for nothing more (default: loopback while HOST is a
                          loopback address and there is no REDRIVE_PUBLIC_URL)
  REDRIVE_SANDBOX         on or off: a target and an inbox to try things with (default: on while HOST
                          is a loopback address and there is no REDRIVE_PUBLIC_URL)
  REDRIVE_CALLS           where calls are made: shard (in the shards' own objects, the default) or edge
                          (as on Cloudflare, for comparison)
  REDRIVE_EVIDENCE_FLOOR  shortest timeout that counts for the breakers of other queues (default 5s)
  REDRIVE_ENTRY           module to serve in place of src/index.ts, for tests
`;

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet("127.0.0.0", 8, "ipv4");
LOOPBACK.addAddress("::1", "ipv6");

class Wrong {
  readonly expected: string;
  readonly isSecret: boolean;
  constructor(expected: string, isSecret = false) {
    this.expected = expected;
    this.isSecret = isSecret;
  }
}

function parsePort(text: string): number | Wrong {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  return port <= 65_535 ? port : new Wrong("a whole number from 0 to 65535");
}

function parseHost(text: string): string | Wrong {
  if (text === "localhost") return DEFAULT_HOST;
  return isIPv4(text) || (isIPv6(text) && !text.includes("%"))
    ? text
    : new Wrong("an IP address or localhost");
}

function parsePublicUrl(text: string): string | Wrong {
  const url = URL.parse(text);
  const isOrigin = url !== null && /^https?:$/.test(url.protocol) && url.href === `${url.origin}/`;
  return isOrigin ? url.origin : new Wrong("an http or https URL without a path");
}

function parseOwnHosts(text: string): string[] | Wrong {
  const hosts = text.split(",").map((item) => parseOwnHost(item.trim()));
  return hosts.every((host) => host !== null) ? hosts : new Wrong("a comma list of host names");
}

/** Null: it is none. */
function parseOwnHost(text: string): string | null {
  const host = isIPv6(text) ? `[${text}]` : text;
  const url = URL.parse(`http://${host}`);
  return url !== null && /^[^/?#@\\]+$/.test(host) && !/:\d*$/.test(host) ? url.hostname : null;
}

function parseAllowTargets(text: string): Settings["allowTargets"] | Wrong {
  try {
    const { loopback, private: isPrivate } = parseAddressRules(text);
    return { loopback, private: isPrivate };
  } catch {
    return new Wrong("a comma list of loopback and private");
  }
}

function parseSwitch(text: string): boolean | Wrong {
  return text === "on" || text === "off" ? text === "on" : new Wrong("on or off");
}

function parseCalls(text: string): Settings["calls"] | Wrong {
  return text === "shard" || text === "edge" ? text : new Wrong("shard or edge");
}

function parseFloor(text: string): string | Wrong {
  return parseDuration(text) === null ? new Wrong("a duration such as 5s") : text;
}

function parseApiKey(text: string): string | Wrong {
  return /^[\x21-\x7e]{16,256}$/.test(text) ? text : new Wrong("16 to 256 visible ASCII characters", true);
}

function parseEncryptionKey(text: string): string | Wrong {
  const isLong = new RegExp(`^[\\x21-\\x7e]{${MIN_ENCRYPTION_KEY_LENGTH},256}$`).test(text);
  const expected = `${MIN_ENCRYPTION_KEY_LENGTH} to 256 visible ASCII characters`;
  return isLong ? text : new Wrong(expected, true);
}

function parseSigningSecret(text: string): string | Wrong {
  return isSecret(text) ? text : new Wrong("whsec_ and 24 to 64 bytes in base64", true);
}
