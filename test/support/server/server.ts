import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../../../src/standalone/main.ts", import.meta.url));
const MAX_OUTPUT_LENGTH = 100_000;

/** How a server is started; what is left out is what `npm start` does, on a free port. */
export interface StartOptions {
  /** When left out, a temporary folder that `stop` removes. */
  dataDir?: string;
  env?: Record<string, string>;
  /** The entry module to serve in place of `src/index.ts`. */
  build?: string;
  /** The limits of open files that it is started with; the system's where left out. */
  openFiles?: { soft: number; hard: number };
}

/** The real server in processes of its own: a launcher and workerd. */
export interface TestServer {
  url: string;
  apiKey: string;
  signingSecret: string;
  dataDir: string;
  /** workerd's. */
  pid: number;
  launcherPid: number;
  /** What the launcher and workerd have written so far. */
  output(): { stdout: string; stderr: string };
  /** Resolves with the launcher's exit status once it has ended; null where a signal ended it. */
  exited: Promise<number | null>;
  /** Ends it as Ctrl-C does, waits, and removes a temporary data folder. Harmless once it has ended. */
  stop(): Promise<void>;
  /** SIGKILL to workerd: nothing it holds in memory survives. */
  kill(): void;
  /** Once this server has been killed or ended: the same folder, port and settings again. */
  restart(): Promise<TestServer>;
}

/** Starts the real server and resolves once it listens. Rejects with its output where it ends before that. */
export async function startServer(options: StartOptions = {}): Promise<TestServer> {
  const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), "redrive-test-")));
  const isTemporary = options.dataDir === undefined;
  try {
    return await startOn(dataDir, isTemporary, options);
  } catch (error) {
    if (isTemporary) await removeFolder(dataDir);
    throw error;
  }
}

/** Runs `npm start`'s program to its end, for starts that must fail. */
export async function runMain(
  env: Record<string, string>,
  args: string[] = [],
  as: { uid?: number } = {},
): Promise<FinishedRun> {
  return spawnMain(env, [process.execPath, MAIN, ...args], as).finished;
}

/** How a run of the program ended. */
export interface FinishedRun {
  code: number | null;
  stdout: string;
  stderr: string;
}

async function startOn(dataDir: string, isTemporary: boolean, options: StartOptions): Promise<TestServer> {
  const env = {
    PORT: "0",
    REDRIVE_DATA: dataDir,
    ...(options.build !== undefined && { REDRIVE_ENTRY: options.build }),
    ...options.env,
  };
  const run = spawnMain(env, [...limiting(options), process.execPath, MAIN]);
  await run.stdoutWith("Ctrl-C stops it.");
  const note = JSON.parse(await readFile(join(dataDir, "server.json"), "utf8")) as {
    pid: number;
    url: string;
  };
  const { hostname, port } = new URL(note.url);
  return {
    url: note.url,
    ...(await secretsOf(dataDir, options)),
    dataDir,
    pid: note.pid,
    launcherPid: run.child.pid ?? 0,
    output: run.output,
    exited: run.finished.then(({ code }) => code),
    stop: async () => {
      run.child.kill("SIGINT");
      await run.finished;
      if (isTemporary) await removeFolder(dataDir);
    },
    kill: () => process.kill(note.pid, "SIGKILL"),
    restart: async () => {
      await run.finished;
      const again = { ...options, env: { ...options.env, HOST: hostname.replace(/[[\]]/g, ""), PORT: port } };
      return startOn(dataDir, isTemporary, again);
    },
  };
}

/** The start of a command that runs the rest of it under other limits. */
function limiting({ openFiles }: StartOptions): string[] {
  if (openFiles === undefined) return [];
  const { soft, hard } = openFiles;
  return ["sh", "-c", `ulimit -S -n ${soft} && ulimit -H -n ${hard} && exec "$@"`, "sh"];
}

function spawnMain(
  env: Record<string, string>,
  [program = "", ...args]: string[],
  as: { uid?: number } = {},
) {
  const child = spawn(program, args, {
    env: { PATH: process.env.PATH, ...env },
    stdio: ["ignore", "pipe", "pipe"],
    ...as,
  });
  const said = { stdout: "", stderr: "" };
  const finished = new Promise<FinishedRun>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, ...said }));
  });
  collect(child, said);
  const stdoutWith = (text: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const check = () => said.stdout.includes(text) && resolve(said.stdout);
      child.stdout.on("data", check);
      finished.then(
        ({ code, stderr }) => reject(new Error(`the server ended with ${code}: ${stderr}`)),
        reject,
      );
      check();
    });
  return { child, finished, stdoutWith, output: () => ({ ...said }) };
}

function collect(child: ChildProcess, said: { stdout: string; stderr: string }): void {
  for (const stream of ["stdout", "stderr"] as const) {
    child[stream]?.setEncoding("utf8").on("data", (text: string) => {
      said[stream] = (said[stream] + text).slice(-MAX_OUTPUT_LENGTH);
    });
  }
}

/** The key and the secret that it was given, else those that it has made and keeps. */
async function secretsOf(dataDir: string, { env = {} }: StartOptions) {
  const { REDRIVE_API_KEY, REDRIVE_SIGNING_SECRET } = env;
  if (REDRIVE_API_KEY !== undefined && REDRIVE_SIGNING_SECRET !== undefined) {
    return { apiKey: REDRIVE_API_KEY, signingSecret: REDRIVE_SIGNING_SECRET };
  }
  const kept = JSON.parse(await readFile(join(dataDir, "secrets.json"), "utf8")) as Record<string, string>;
  return {
    apiKey: REDRIVE_API_KEY ?? kept.api_key ?? "",
    signingSecret: REDRIVE_SIGNING_SECRET ?? kept.signing_secret ?? "",
  };
}

async function removeFolder(dataDir: string): Promise<void> {
  await rm(dataDir, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
}
