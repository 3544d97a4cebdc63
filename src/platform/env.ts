import { type AddressRules, type ListenPlace, parseAddressRules } from "../core/address/target-url.ts";
import { DEFAULT_EVIDENCE_FLOOR_MS } from "../core/breaker/policy.ts";
import type { BreakerPort } from "../protocol/breaker-api.ts";
import type { CatalogPort } from "../protocol/catalog-api.ts";
import type { RunnerPort } from "../protocol/grant.ts";
import type { ShardApi } from "../protocol/shard-api.ts";
import { parseDuration } from "../schema/duration.ts";

/**
 * A Durable Object namespace whose objects answer the methods of `Port`. It names no class, so that code on
 * either side of a call can import it. Get a new stub for each call: one that threw may be broken for good.
 */
export type PortNamespace<Port> = Omit<DurableObjectNamespace, "getByName"> & {
  getByName(name: string): DurableObjectStub & Port;
};

/** Bindings, secrets and settings of the Worker; see wrangler.toml and docs/operations.md. */
export interface Env {
  SHARD: PortNamespace<ShardApi>;
  RUNNER: PortNamespace<RunnerPort>;
  CATALOG: PortNamespace<CatalogPort>;
  BREAKER: PortNamespace<BreakerPort>;
  SANDBOX: DurableObjectNamespace;
  /** The root key; without it every /v1 route answers 503 `not_configured`. */
  REDRIVE_API_KEY?: string;
  /** Signs the callbacks of queues that have no secret of their own; `whsec_...`. */
  REDRIVE_SIGNING_SECRET?: string;
  /** What the data keys of queues are wrapped with; without it secrets are stored as they are. */
  REDRIVE_ENCRYPTION_KEY?: string;
  /** A secret that is accepted beside it, while data keys are wrapped anew. */
  REDRIVE_ENCRYPTION_KEY_PREVIOUS?: string;
  /** `on`: the secret that data keys were wrapped with is lost, and queues get new ones. */
  REDRIVE_ENCRYPTION_LOST?: string;
  /** Where calls are made. `shard`: the short ones in the shards' objects, for plain workerd only; else at the edge. */
  REDRIVE_CALLS?: string;
  /**
   * Standalone: how many files and sockets the process may have open at a time, a whole number. Whoever opens
   * connections leaves room for the API's own and for storage. Missing: no limit is known, as on Cloudflare.
   */
  REDRIVE_OPEN_FILES?: string;
  /** Standalone: the launcher, which is asked why calls failed; see src/standalone/reasons/reason-server.ts. */
  REASONS?: Pick<Fetcher, "fetch">;
  /** Standalone: what the launcher answers to. */
  REDRIVE_REASONS_TOKEN?: string;
  /** `on`: the sandbox is served. */
  REDRIVE_SANDBOX?: string;
  /** Comma list of `loopback` and `private`: what targets may be beyond public addresses. */
  REDRIVE_ALLOW_TARGETS?: string;
  /** Comma list of the deployment's own host names, which no target may be, and which a standalone server answers for. */
  REDRIVE_OWN_HOSTS?: string;
  /** The shortest timeout that is evidence for the breakers of other queues, as "5s". */
  REDRIVE_EVIDENCE_FLOOR?: string;
  /** The origin that the deployment is reached by from outside, as `URL.origin` spells it; its host is an own one. */
  REDRIVE_PUBLIC_URL?: string;
  /**
   * Standalone: comma list of the places where the server listens, `address:port` each, with one port for all. Missing:
   * the platform routes by host, and the Worker answers for any.
   */
  REDRIVE_LISTEN?: string;
}

type HostSettings = Pick<Env, "REDRIVE_OWN_HOSTS" | "REDRIVE_PUBLIC_URL">;
type TargetSettings = HostSettings &
  Pick<Env, "REDRIVE_ALLOW_TARGETS" | "REDRIVE_LISTEN" | "REDRIVE_SANDBOX">;

/** What targets may be on this deployment. Throws a RangeError where REDRIVE_ALLOW_TARGETS is wrong. */
export function addressRulesOf(env: TargetSettings): AddressRules {
  return {
    ...parseAddressRules(env.REDRIVE_ALLOW_TARGETS),
    ownHosts: ownHostsOf(env),
    self: listenPlaceOf(env),
  };
}

/** The floor of what is evidence for other queues, in ms. What cannot be read is as if it were not set: that is safe. */
export function evidenceFloorOf({ REDRIVE_EVIDENCE_FLOOR: text = "" }: Env): number {
  return parseDuration(text) ?? DEFAULT_EVIDENCE_FLOOR_MS;
}

/** The hosts that the deployment was told to be. */
export function ownHostsOf(env: HostSettings): string[] {
  return [...listOf(env.REDRIVE_OWN_HOSTS), ...listOf(URL.parse(env.REDRIVE_PUBLIC_URL ?? "")?.hostname)];
}

function listenPlaceOf(env: TargetSettings): ListenPlace | null {
  const places = listOf(env.REDRIVE_LISTEN).map((place) => /^(.+):(\d+)$/.exec(place));
  const port = places[0]?.[2];
  if (port === undefined) return null;
  const addresses = places.map((place) => place?.[1] ?? "");
  return { addresses, port, sandbox: env.REDRIVE_SANDBOX === "on" };
}

function listOf(text = ""): string[] {
  return text
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");
}
