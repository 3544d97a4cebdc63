import { execFileSync } from "node:child_process";
import { closeSync, constants, existsSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { StartError } from "./start-error.ts";

/** Longer than a server whose launcher died may take to end. */
const ORPHAN_WAIT_MS = 15_000;
const ORPHAN_POLL_MS = 100;
/**
 * Of two launchers that lock the file at the same moment each may find the other in its way: the one that lets go first
 * loses, so the other must look again.
 */
const LOCK_WAIT_MS = 200;

/** A data folder that belongs to this process until it is released or the process dies, however it dies. */
export interface FolderLock {
  /** An open descriptor for workerd to inherit: while any process has it, the folder is in use. */
  workerdFd: number;
  /** Tells a later start who serves the folder. */
  note(served: ServedBy): void;
  release(): void;
}

/** What `server.json` in the data folder says of the process that serves it, or did until it crashed. */
export interface ServedBy {
  /** workerd's, or the launcher's while there is no workerd yet. */
  pid: number;
  url: string | null;
}

/**
 * Takes the data folder for one server. Two locks, both let go by the kernel when their holder dies:
 * a SQLite file locked by the launcher, so that of two launchers one wins; and a FIFO whose reading end
 * workerd inherits, because workerd on its way out closes its sockets long before its objects.
 * A workerd whose launcher died is waited for. Throws a StartError where another process serves the folder.
 */
export async function lockFolder(dataDir: string): Promise<FolderLock> {
  const launcher = lockLauncher(dataDir);
  try {
    const fifo = join(dataDir, "workerd.lock");
    if (!existsSync(fifo))
      execFileSync("mkfifo", ["-m", "600", fifo], { stdio: ["ignore", "ignore", "pipe"] });
    await waitForOrphan(fifo, dataDir);
    const workerdFd = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
    const lock: FolderLock = {
      workerdFd,
      note: (served) => writeFileSync(notePath(dataDir), `${JSON.stringify(served)}\n`),
      release: () => {
        rmSync(notePath(dataDir), { force: true });
        closeSync(workerdFd);
        launcher.close();
      },
    };
    lock.note({ pid: process.pid, url: null });
    return lock;
  } catch (error) {
    launcher.close();
    if (error instanceof StartError) throw error;
    throw new StartError(`${dataDir} cannot be locked: ${(error as Error).message}.`, { cause: error });
  }
}

function lockLauncher(dataDir: string): DatabaseSync {
  const path = join(dataDir, "launcher.lock");
  const file = new DatabaseSync(path, { timeout: LOCK_WAIT_MS });
  try {
    file.exec("BEGIN EXCLUSIVE");
    return file;
  } catch (error) {
    file.close();
    if (/locked/.test((error as Error).message)) throw refusal(dataDir);
    throw new StartError(`${path} cannot be locked: ${(error as Error).message}.`, { cause: error });
  }
}

/** No event tells that the last reader of a FIFO is gone, so this looks again and again. */
async function waitForOrphan(fifo: string, dataDir: string): Promise<void> {
  for (let waitedMs = 0; hasReader(fifo); waitedMs += ORPHAN_POLL_MS) {
    if (waitedMs === 0) console.error(`Waiting for the last server on ${dataDir}${byWhom(dataDir)} to end.`);
    if (waitedMs >= ORPHAN_WAIT_MS) throw refusal(dataDir);
    await delay(ORPHAN_POLL_MS);
  }
}

/** Opening a FIFO to write without waiting fails with ENXIO exactly while nobody has it open to read. */
function hasReader(fifo: string): boolean {
  try {
    closeSync(openSync(fifo, constants.O_WRONLY | constants.O_NONBLOCK));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENXIO") return false;
    throw error;
  }
}

function refusal(dataDir: string): StartError {
  return new StartError(
    `Another process${byWhom(dataDir)} serves the data folder ${dataDir}. ` +
      "Stop it, or use another folder: REDRIVE_DATA=other PORT=8788 npm start",
  );
}

function byWhom(dataDir: string): string {
  try {
    const served = z.object({ pid: z.int() }).parse(JSON.parse(readFileSync(notePath(dataDir), "utf8")));
    return ` (pid ${served.pid})`;
  } catch {
    // It has only just started, or its note was lost: the message does without.
    return "";
  }
}

function notePath(dataDir: string): string {
  return join(dataDir, "server.json");
}
