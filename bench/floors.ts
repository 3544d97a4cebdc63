import { closeSync, openSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { devNull, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { bundle } from "../src/standalone/bundle.ts";
import { HTTP_SOCKET, readCompatibility } from "../src/standalone/config.ts";
import { spawnWorkerd } from "../src/standalone/workerd.ts";
import { Connections } from "./http.ts";
import { IN_FLIGHT } from "./load.ts";
import { type Subject, TASK_BODY } from "./subject.ts";
import { EXAMPLE_CALLBACK } from "./worker/example-callback.ts";

const WORKER = fileURLToPath(new URL("./worker/floor.ts", import.meta.url));
const WRANGLER_TOML = new URL("../wrangler.toml", import.meta.url);
const JSON_TYPE = { "content-type": "application/json" };

/** The floor (a): this process makes both POSTs of each task itself. What no service in between can beat. */
export function nodeFloor(targetUrl: string): Subject {
  const connections = new Connections(targetUrl, IN_FLIGHT);
  const post = async (url: string, body: string) => {
    const { status } = await connections.send("POST", new URL(url).pathname, JSON_TYPE, body);
    if (status !== 200) throw new Error(`the target answered ${status}`);
  };
  return {
    pid: null,
    submit: async (run, n) => {
      await post(run.callUrl(n), JSON.stringify(TASK_BODY));
      await post(run.callbackUrl(n), EXAMPLE_CALLBACK);
    },
    stop: async () => connections.close(),
  };
}

/** The floor (b): a Worker that answers 202 and makes both POSTs in waitUntil, and stores nothing. */
export async function workerdFloor(): Promise<Subject> {
  const dataDir = await mkdtemp(join(tmpdir(), "redrive-bench-"));
  await mkdir(join(dataDir, "build"));
  await bundle(WORKER, join(dataDir, "build/index.js"));
  await writeFile(join(dataDir, "workerd.capnp"), await floorConfig());
  const nothing = openSync(devNull, "r");
  const workerd = spawnWorkerd({
    dataDir,
    configPath: "workerd.capnp",
    environment: {},
    lockFd: nothing,
    isQuiet: false,
  });
  const port = await workerd.listening;
  closeSync(nothing);
  if (port === null) throw new Error(`the floor's workerd did not start: ${(await workerd.exited).stderr}`);
  const connections = new Connections(`http://127.0.0.1:${port}`, IN_FLIGHT);
  return {
    pid: workerd.pid,
    submit: async (run, n) => {
      const task = { url: run.callUrl(n), body: TASK_BODY, callback: { url: run.callbackUrl(n) } };
      const { status } = await connections.send("POST", "/", JSON_TYPE, JSON.stringify(task));
      if (status !== 202) throw new Error(`the bare Worker answered ${status}`);
    },
    stop: async () => {
      connections.close();
      workerd.kill("SIGTERM");
      await workerd.exited;
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** The network and the compatibility settings of the standalone server, and nothing else of it. */
async function floorConfig(): Promise<string> {
  const { date, flags } = readCompatibility(await readFile(WRANGLER_TOML, "utf8"));
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = .main),
    (name = "internet", network = (allow = ["public", "127.0.0.0/8"])),
  ],
  sockets = [(name = "${HTTP_SOCKET}", address = "127.0.0.1:0", http = (), service = "main")],
);
const main :Workerd.Worker = (
  modules = [(name = "index.js", esModule = embed "build/index.js")],
  compatibilityDate = "${date}",
  compatibilityFlags = ${JSON.stringify(flags)},
);
`;
}
