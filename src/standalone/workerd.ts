import { type ChildProcess, spawn } from "node:child_process";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { z } from "zod";
import { HTTP_SOCKET } from "./config.ts";
import { RAISE_OPEN_FILES } from "./open-files.ts";
import { StartError } from "./start-error.ts";

/** What is kept of workerd's last words. */
const MAX_TAIL_LENGTH = 4_096;
const CONTROL_FD = 3;
const require = createRequire(import.meta.url);

/** A workerd process. */
export interface Workerd {
  pid: number;
  /** Resolves with the port it listens on, or null where it ended before it did. */
  listening: Promise<number | null>;
  /** Resolves, never rejects, once it has ended: how, and the last of what it wrote to stderr. */
  exited: Promise<WorkerdExit>;
  /** False where it had ended already. */
  kill(signal: "SIGTERM" | "SIGKILL"): boolean;
}

/** How a workerd process ended. */
export interface WorkerdExit {
  code: number | null;
  signal: NodeJS.Signals | null;
  stderr: string;
}

/** Where and with what workerd runs. */
export interface WorkerdOptions {
  /** Its working directory, which its configuration's paths start from. */
  dataDir: string;
  configPath: string;
  /** Its whole environment. */
  environment: Record<string, string>;
  /** Inherited, so that the folder stays locked as long as the process lives. */
  lockFd: number;
  /** Given its stderr, piece by piece. */
  onStderr?(text: string): void;
  /** Keeps what it logs from our own stdout and stderr. */
  isQuiet: boolean;
}

/**
 * Starts workerd in a session of its own, so that Ctrl-C reaches only the launcher, which then ends it in
 * good order, with as many open files as the system allows; and a guardian that ends it where the launcher dies
 * without doing so.
 * Throws a StartError where the binary is not installed.
 */
export function spawnWorkerd(options: WorkerdOptions): Workerd {
  const command = [workerdPath(), "serve", options.configPath, `--control-fd=${CONTROL_FD}`];
  const child = spawn("sh", ["-c", `${RAISE_OPEN_FILES}; exec "$@"`, "redrive-workerd", ...command], {
    cwd: options.dataDir,
    env: options.environment,
    detached: true,
    stdio: ["ignore", options.isQuiet ? "ignore" : "inherit", "pipe", "pipe", options.lockFd],
  });
  const stderr = new LastWords();
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr.add(text);
    options.onStderr?.(text);
  });
  const exited = exitOf(child, stderr);
  if (child.pid !== undefined) guard(child.pid, exited);
  const port = portOf(child.stdio[CONTROL_FD] as Readable);
  port.then(
    (found) => found !== null && !options.isQuiet && stderr.forward(),
    () => {}, // Whoever awaits `listening` gets it.
  );
  return {
    pid: child.pid ?? 0,
    listening: Promise.race([port, exited.then(() => null)]),
    exited,
    kill: (signal) => child.kill(signal),
  };
}

/** What workerd says on stderr: kept for the message while it starts, sent on to ours once it listens. */
class LastWords {
  text = "";
  #isForwarded = false;

  add(text: string): void {
    if (this.#isForwarded) process.stderr.write(text);
    this.text = (this.text + text).slice(-MAX_TAIL_LENGTH);
  }

  forward(): void {
    this.#isForwarded = true;
    process.stderr.write(this.text);
  }
}

/** The binary itself, without the script that the package's `bin` may be. */
function workerdPath(): string {
  try {
    return z.string().parse(require("workerd").default);
  } catch (error) {
    const message = `workerd is not installed for ${process.platform} ${process.arch}. Run: npm ci`;
    throw new StartError(message, { cause: error });
  }
}

async function portOf(control: Readable): Promise<number | null> {
  for await (const line of createInterface({ input: control })) {
    const event = JSON.parse(line) as { event: string; socket?: string; port?: number };
    if (event.event === "listen" && event.socket === HTTP_SOCKET) return event.port ?? null;
  }
  return null;
}

function exitOf(child: ChildProcess, stderr: LastWords): Promise<WorkerdExit> {
  return new Promise((resolve) => {
    child.once("error", (error) => resolve({ code: null, signal: null, stderr: error.message }));
    child.once("close", (code, signal) => resolve({ code, signal, stderr: stderr.text.trim() }));
  });
}

/** Its standard input ends when the launcher does, by whatever death; then it stops workerd as the launcher would. */
const GUARDIAN = `
read -r _
kill -TERM "$1" 2>/dev/null || exit 0
for _ in 1 2 3 4 5 6 7 8 9 10; do
  sleep 1
  kill -0 "$1" 2>/dev/null || exit 0
done
kill -KILL "$1" 2>/dev/null
`;

function guard(pid: number, exited: Promise<unknown>): void {
  const guardian = spawn("sh", ["-c", GUARDIAN, "redrive-guardian", String(pid)], {
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  // Without sh nothing watches; the next start then refuses while the orphan lives.
  guardian.once("error", () => {});
  guardian.unref();
  exited.then(() => guardian.kill("SIGKILL"));
}
