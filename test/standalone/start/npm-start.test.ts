import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { lockFolder } from "../../../src/standalone/lock.ts";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const STAND_IN = fileURLToPath(new URL("../../support/workers/stand-in.ts", import.meta.url));

let dataDir: string;
let npm: ChildProcess;

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "redrive-npm-"));
});
afterEach(async () => {
  endGroup(npm.pid ?? 0);
  await rm(dataDir, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
});

test.each(["SIGTERM", "SIGINT", "SIGHUP", "SIGKILL"] as const)(
  "%s to npm start ends all that it started",
  async (signal) => {
    const { port, ended } = await npmStart();
    npm.kill(signal);
    await ended;

    expect(await isFree(port)).toBe(true);
    const lock = await lockFolder(dataDir); // Throws where another process has it.
    lock.release();
  },
);

/** As a person or a service manager does, by the `sh` that this system has. `ended`: no process is left that has its output. */
async function npmStart(): Promise<{ port: number; ended: Promise<unknown> }> {
  npm = spawn("npm", ["start"], {
    cwd: ROOT,
    env: { PATH: process.env.PATH, HOME: dataDir, PORT: "0", REDRIVE_DATA: dataDir, REDRIVE_ENTRY: STAND_IN },
    stdio: ["ignore", "pipe", "inherit"],
    detached: true,
  });
  const ended = once(npm, "close");
  let said = "";
  for await (const text of npm.stdout?.iterator({ destroyOnReturn: false }) ?? []) {
    said += String(text);
    if (said.includes("Ctrl-C stops it.")) break;
  }
  npm.stdout?.resume();
  const { url } = JSON.parse(await readFile(join(dataDir, "server.json"), "utf8")) as { url: string };
  return { port: Number(new URL(url).port), ended };
}

/** Whether a server can listen where the other one did. */
async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const listening = once(server, "listening").then(() => true);
  const refused = once(server, "error").then(() => false);
  server.listen(port, "127.0.0.1");
  const free = await Promise.race([listening, refused]);
  server.close();
  return free;
}

/** Ends what a failing test has left running: npm is started in a group of its own. */
function endGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
