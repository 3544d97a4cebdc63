import { hostAndPort, type Settings } from "./settings.ts";

/** The socket's name, as workerd's listen events and its error messages say it. */
export const HTTP_SOCKET = "http";

/** Paths inside the data folder, which is workerd's working directory. */
export const OBJECTS_DIR = "do";
export const BUNDLE_PATH = "build/index.js";

/**
 * A young generation large enough that what a busy server makes for a task dies in it: with V8's own 1 MB at the
 * start much of it is copied first. And code that is compiled at once: a server that has little to do runs most of it
 * too seldom to ever leave the interpreter, which costs a tenth of a millisecond for each task.
 */
const V8_FLAGS = ["--min-semi-space-size=16", "--max-semi-space-size=32", "--always-sparkplug"];

/** Compatibility settings of the Worker, the same for every way to run it. */
export interface Compatibility {
  date: string;
  flags: string[];
}

/** What varies between two standalone configurations. */
export interface ConfigOptions {
  host: string;
  port: number;
  allowTargets: Settings["allowTargets"];
  compatibility: Compatibility;
  /** Text bindings that workerd takes from its environment, so that no secret stands in the configuration. */
  variables: string[];
  /** Certificate authorities beside those of browsers, each as PEM. */
  extraCas: string[];
  /** Where the launcher tells why calls failed, `address:port`. */
  reasonsAddress: string;
}

/**
 * The Durable Object classes. A `uniqueKey` names the folder of a class's objects and is never changed.
 * A Runner with nothing but an attempt in `waitUntil` would be evicted after about 100 s.
 */
const OBJECTS = [
  { binding: "SHARD", className: "QueueShard", uniqueKey: "redrive-shard", preventEviction: false },
  { binding: "RUNNER", className: "Runner", uniqueKey: "redrive-runner", preventEviction: true },
  { binding: "CATALOG", className: "Catalog", uniqueKey: "redrive-catalog", preventEviction: false },
  { binding: "BREAKER", className: "Breaker", uniqueKey: "redrive-breaker", preventEviction: false },
  { binding: "SANDBOX", className: "Sandbox", uniqueKey: "redrive-sandbox", preventEviction: false },
] as const;

const REASONS = "reasons";
const REASONS_BINDING = `(name = "REASONS", service = ${quote(REASONS)})`;

/** The networks behind the words of `AddressRules`. workerd's own word `private` would have link-local ones with it. */
const NETWORKS = {
  loopback: ["127.0.0.0/8", "::1/128"],
  private: ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"],
};

/** The configuration of plain workerd as Cap'n Proto text. Tasks reach public addresses, and what `allowTargets` says. */
export function configText(options: ConfigOptions): string {
  const { host, port, allowTargets, compatibility, variables, reasonsAddress, extraCas } = options;
  const allow = [
    "public",
    ...(allowTargets.loopback ? NETWORKS.loopback : []),
    ...(allowTargets.private ? NETWORKS.private : []),
  ];
  return `using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  v8Flags = ${list(V8_FLAGS.map(quote))},
  services = [
    (name = "main", worker = .main),
    (name = "disk", disk = (path = ${quote(OBJECTS_DIR)}, writable = true)),
    (name = "internet", network = (allow = ${list(allow.map(quote))}, tlsOptions = ${tlsOptions(extraCas)})),
    (name = ${quote(REASONS)}, external = (address = ${quote(reasonsAddress)}, http = ())),
  ],
  sockets = [
    (name = ${quote(HTTP_SOCKET)}, address = ${quote(hostAndPort(host, port))}, http = (), service = "main"),
  ],
);

const main :Workerd.Worker = (
  modules = [(name = "index.js", esModule = embed ${quote(BUNDLE_PATH)})],
  compatibilityDate = ${quote(compatibility.date)},
  compatibilityFlags = ${list(compatibility.flags.map(quote))},
  bindings = [
    ${[...OBJECTS.map(objectBinding), REASONS_BINDING, ...variables.map(variableBinding)].join(",\n    ")},
  ],
  durableObjectNamespaces = [
    ${OBJECTS.map(namespace).join(",\n    ")},
  ],
  durableObjectStorage = (localDisk = "disk"),
);
`;
}

function tlsOptions(extraCas: string[]): string {
  return `(trustBrowserCas = true, trustedCertificates = ${list(extraCas.map(quote))})`;
}

/** Reads the compatibility date and flags from the text of wrangler.toml; throws where there is no date. */
export function readCompatibility(wranglerToml: string): Compatibility {
  const date = /^compatibility_date\s*=\s*"(\d{4}-\d\d-\d\d)"/m.exec(wranglerToml)?.[1];
  if (date === undefined) throw new Error("wrangler.toml has no compatibility_date");
  const flags = /^compatibility_flags\s*=\s*\[([^\]]*)\]/m.exec(wranglerToml)?.[1] ?? "";
  return { date, flags: [...flags.matchAll(/"([^"]+)"/g)].map((match) => match[1] ?? "") };
}

function objectBinding({ binding, className }: (typeof OBJECTS)[number]): string {
  return `(name = ${quote(binding)}, durableObjectNamespace = ${quote(className)})`;
}

function variableBinding(name: string): string {
  return `(name = ${quote(name)}, fromEnvironment = ${quote(name)})`;
}

function namespace({ className, uniqueKey, preventEviction }: (typeof OBJECTS)[number]): string {
  const names = `className = ${quote(className)}, uniqueKey = ${quote(uniqueKey)}`;
  return `(${names}, enableSql = true, preventEviction = ${preventEviction})`;
}

function list(items: string[]): string {
  return `[${items.join(", ")}]`;
}

/** JSON strings of what stands here (printable ASCII) are Cap'n Proto strings too. */
function quote(text: string): string {
  return JSON.stringify(text);
}
