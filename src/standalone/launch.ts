import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { bundle, DEFAULT_ENTRY } from "./bundle.ts";
import { BUNDLE_PATH, configText, HTTP_SOCKET, OBJECTS_DIR, readCompatibility } from "./config.ts";
import { type FolderLock, lockFolder } from "./lock.ts";
import { openFilesLimit } from "./open-files.ts";
import { loadSecrets, type ServerSecrets } from "./secrets.ts";
import { hostAndPort, isLoopback, type Settings } from "./settings.ts";
import { StartError } from "./start-error.ts";
import { spawnWorkerd, type Workerd, type WorkerdExit } from "./workerd.ts";

/** How long workerd may take to finish what it is doing before it is killed. */
const STOP_GRACE_MS = 10_000;
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
  await makeFolders(settings.dataDir);
  const lock = await lockFolder(settings.dataDir);
  try {
    return await launchLocked(settings, lock, isQuiet);
  } catch (error) {
    lock.release();
    throw error;
  }
}

async function launchLocked(settings: Settings, lock: FolderLock, isQuiet: boolean): Promise<RunningServer> {
  const { dataDir, host } = settings;
  const secrets = await loadSecrets(settings);
  const openFiles = openFilesLimit();
  const environment = environmentOf(settings, secrets, openFiles);
  await bundle(settings.entry ?? DEFAULT_ENTRY, join(dataDir, BUNDLE_PATH));
  await writeConfig(settings, Object.keys(environment));
  const lockFd = lock.workerdFd;
  const workerd = spawnWorkerd({ dataDir, configPath: CONFIG_PATH, environment, lockFd, isQuiet });
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

async function makeFolders(dataDir: string): Promise<void> {
  try {
    await mkdir(dataDir, { recursive: true, mode: 0o700 });
    await mkdir(join(dataDir, OBJECTS_DIR), { recursive: true });
  } catch (error) {
    const advice = "Choose another folder: REDRIVE_DATA=other npm start";
    throw new StartError(`${dataDir} cannot be made: ${(error as Error).message}. ${advice}`, {
      cause: error,
    });
  }
}

async function writeConfig(settings: Settings, variables: string[]): Promise<void> {
  const compatibility = readCompatibility(await readFile(WRANGLER_TOML, "utf8"));
  const { host, port, dataDir } = settings;
  await writeFile(join(dataDir, CONFIG_PATH), configText({ host, port, compatibility, variables }));
}

/** The Worker's settings; while only this machine can submit tasks, they may call it. */
function environmentOf(
  settings: Settings,
  secrets: ServerSecrets,
  openFiles: number | null,
): Record<string, string> {
  return {
    REDRIVE_API_KEY: secrets.apiKey,
    REDRIVE_SIGNING_SECRET: secrets.signingSecret,
    REDRIVE_ENCRYPTION_KEY: secrets.encryptionKey,
    ...(settings.previousEncryptionKey !== null && {
      REDRIVE_ENCRYPTION_KEY_PREVIOUS: settings.previousEncryptionKey,
    }),
    ...(settings.encryptionLost && { REDRIVE_ENCRYPTION_LOST: "on" }),
    REDRIVE_CALLS: settings.calls,
    ...(openFiles !== null && { REDRIVE_OPEN_FILES: String(openFiles) }),
    ...(settings.evidenceFloor !== null && { REDRIVE_EVIDENCE_FLOOR: settings.evidenceFloor }),
    ...(settings.sandbox && { REDRIVE_SANDBOX: "on" }),
    ...(isLoopback(settings.host) && { REDRIVE_ALLOW_TARGETS: "loopback" }),
  };
}

function notStarted({ host, port }: Settings, exit: WorkerdExit): StartError {
  const isPortTaken = exit.stderr.includes(`Socket "${HTTP_SOCKET}"`) && /in use/i.test(exit.stderr);
  if (!isPortTaken) return new StartError(`workerd did not start: ${describe(exit)}`);
  const advice = `Choose another port: PORT=${port < 65_535 ? port + 1 : port - 1} npm start`;
  return new StartError(`Port ${port} of ${host} is taken by another program. ${advice}`);
}

function describe({ code, signal, stderr }: WorkerdExit): string {
  const how = signal === null ? `exit status ${code ?? "unknown"}` : `signal ${signal}`;
  return stderr === "" ? `${how}.` : `${how}.\n${stderr}`;
}
