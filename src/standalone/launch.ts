import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { bundle, DEFAULT_ENTRY } from "./bundle.ts";
import { BUNDLE_PATH, configText, HTTP_SOCKET, readCompatibility } from "./config.ts";
import { readExtraCas } from "./extra-cas.ts";
import { freePort, listenPlaces } from "./listen.ts";
import { type FolderLock, lockFolder } from "./lock.ts";
import { openFilesLimit } from "./open-files.ts";
import { makePrivateFolder } from "./private-folder.ts";
import { CallReasons } from "./reasons/call-reasons.ts";
import { serveReasons } from "./reasons/reason-server.ts";
import { loadSecrets, type ServerSecrets } from "./secrets.ts";
import { hostAndPort, type Settings } from "./settings.ts";
import { StartError } from "./start-error.ts";
import { spawnWorkerd, type Workerd, type WorkerdExit } from "./workerd.ts";

/** How long workerd may take to finish what it is doing before it is killed. */
const STOP_GRACE_MS = 10_000;
/** How often another free port is looked for where another program took the first. */
const MAX_PORTS = 5;
const CONFIG_PATH = "workerd.capnp";
const WRANGLER_TOML = new URL("../../wrangler.toml", import.meta.url);

/** A server that listens. */
export interface RunningServer extends ServerSecrets {
  url: string;
  /** workerd's. */
  pid: number;
  /** How many files workerd may have open at a time; null: no limit is known. */
  openFiles: number | null;
  /** Rejects with a StartError that says why where workerd ends unasked; resolves after `stop`. */
  ended: Promise<void>;
  /** Ends workerd, within 10 s or by force, and frees the data folder. */
  stop(): Promise<void>;
}

/**
 * Locks the data folder, builds the bundle into it and starts workerd on it; `isQuiet` drops what it logs.
 * Throws a StartError, with nothing left running or locked, where any of it fails.
 */
export async function launch(settings: Settings, isQuiet = false): Promise<RunningServer> {
  await makePrivateFolder(settings.dataDir);
  const lock = await lockFolder(settings.dataDir);
  try {
    return await launchLocked(settings, lock, isQuiet);
  } catch (error) {
    lock.release();
    throw error;
  }
}

async function launchLocked(settings: Settings, lock: FolderLock, isQuiet: boolean): Promise<RunningServer> {
  const secrets = await loadSecrets(settings);
  await bundle(settings.entry ?? DEFAULT_ENTRY, join(settings.dataDir, BUNDLE_PATH));
  for (let tries = 1; ; tries++) {
    // The Worker is told its port, so it has to be known before workerd listens.
    const port = settings.port === 0 ? await freePort(settings.host) : settings.port;
    try {
      return await serve({ ...settings, port }, secrets, lock, isQuiet);
    } catch (error) {
      if (!(error instanceof PortTaken) || settings.port !== 0 || tries >= MAX_PORTS) throw error;
    }
  }
}

async function serve(
  settings: Settings,
  secrets: ServerSecrets,
  lock: FolderLock,
  isQuiet: boolean,
): Promise<RunningServer> {
  const { dataDir, host } = settings;
  const openFiles = openFilesLimit();
  const reasons = new CallReasons();
  const reasonServer = await serveReasons(reasons);
  const environment = {
    ...environmentOf(settings, secrets, openFiles),
    REDRIVE_REASONS_TOKEN: reasonServer.token,
  };
  await writeConfig(settings, Object.keys(environment), reasonServer.address);
  const workerd = spawnWorkerd({
    dataDir,
    configPath: CONFIG_PATH,
    environment,
    lockFd: lock.workerdFd,
    onStderr: (text) => reasons.read(text),
    isQuiet,
  });
  workerd.exited.then(reasonServer.stop);
  try {
    const port = await workerd.listening;
    if (port === null) throw notStarted(settings, await workerd.exited);
    const url = `http://${hostAndPort(host, port)}`;
    lock.note({ pid: workerd.pid, url });
    return { ...secrets, url, openFiles, pid: workerd.pid, ...lifeOf(workerd, lock) };
  } catch (error) {
    await stopped(workerd);
    throw error;
  }
}

function lifeOf(workerd: Workerd, lock: FolderLock): Pick<RunningServer, "ended" | "stop"> {
  let isStopping = false;
  const ended = workerd.exited.then((exit) => {
    lock.release();
    if (!isStopping) throw new StartError(`workerd ended unasked: ${describe(exit)}`);
  });
  const stop = async (): Promise<void> => {
    isStopping = true;
    await stopped(workerd);
    await ended;
  };
  return { ended, stop };
}

async function stopped(workerd: Workerd): Promise<WorkerdExit> {
  workerd.kill("SIGTERM");
  const patience = new AbortController();
  const killed = delay(STOP_GRACE_MS, undefined, { signal: patience.signal }).then(
    () => workerd.kill("SIGKILL"),
    () => false, // It ended in time.
  );
  const exit = await workerd.exited;
  patience.abort();
  await killed;
  return exit;
}

async function writeConfig(settings: Settings, variables: string[], reasonsAddress: string): Promise<void> {
  const compatibility = readCompatibility(await readFile(WRANGLER_TOML, "utf8"));
  const { host, port, dataDir, allowTargets } = settings;
  const extraCas = await readExtraCas(settings.extraCaFile);
  const text = configText({ host, port, allowTargets, compatibility, variables, reasonsAddress, extraCas });
  await writeFile(join(dataDir, CONFIG_PATH), text);
}

/** The Worker's settings: see `Env`. */
function environmentOf(
  settings: Settings,
  secrets: ServerSecrets,
  openFiles: number | null,
): Record<string, string> {
  const { host, port, allowTargets, ownHosts, publicUrl } = settings;
  const allowed = (["loopback", "private"] as const).filter((word) => allowTargets[word]);
  return {
    REDRIVE_API_KEY: secrets.apiKey,
    REDRIVE_SIGNING_SECRET: secrets.signingSecret,
    REDRIVE_ENCRYPTION_KEY: secrets.encryptionKey,
    ...(settings.previousEncryptionKey !== null && {
      REDRIVE_ENCRYPTION_KEY_PREVIOUS: settings.previousEncryptionKey,
    }),
    ...(settings.encryptionLost && { REDRIVE_ENCRYPTION_LOST: "on" }),
    REDRIVE_CALLS: settings.calls,
    REDRIVE_LISTEN: listenPlaces(host, port).join(","),
    ...(openFiles !== null && { REDRIVE_OPEN_FILES: String(openFiles) }),
    ...(settings.evidenceFloor !== null && { REDRIVE_EVIDENCE_FLOOR: settings.evidenceFloor }),
    ...(settings.sandbox && { REDRIVE_SANDBOX: "on" }),
    ...(allowed.length > 0 && { REDRIVE_ALLOW_TARGETS: allowed.join(",") }),
    ...(ownHosts.length > 0 && { REDRIVE_OWN_HOSTS: ownHosts.join(",") }),
    ...(publicUrl !== null && { REDRIVE_PUBLIC_URL: publicUrl }),
  };
}

class PortTaken extends StartError {}

function notStarted({ host, port }: Settings, exit: WorkerdExit): StartError {
  const isPortTaken = exit.stderr.includes(`Socket "${HTTP_SOCKET}"`) && /in use/i.test(exit.stderr);
  if (!isPortTaken) return new StartError(`workerd did not start: ${describe(exit)}`);
  const advice = `Choose another port: PORT=${port < 65_535 ? port + 1 : port - 1} npm start`;
  return new PortTaken(`Port ${port} of ${host} is taken by another program. ${advice}`);
}

function describe({ code, signal, stderr }: WorkerdExit): string {
  const how = signal === null ? `exit status ${code ?? "unknown"}` : `signal ${signal}`;
  return stderr === "" ? `${how}.` : `${how}.\n${stderr}`;
}
