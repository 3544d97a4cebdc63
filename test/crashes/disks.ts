import { execFile } from "node:child_process";
import { type FileHandle, mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { StartOptions } from "../support/server/server.ts";

const run = promisify(execFile);
const IGNORE_XFSZ = fileURLToPath(new URL("./ignore-xfsz.ts", import.meta.url));
/** Room for a server's files and the tasks of a test. */
const TMPFS_SIZE = "64m";
/** The index of a write-ahead log has this size: with less, an object could not even be read. */
const LARGEST_FILE_BYTES = 32_768;

/** A disk that can become full. */
export interface Disk {
  name: string;
  /** What the server is to be started with. */
  options: StartOptions;
  /** From now on the server with this process cannot write any more. */
  fill(pid: number): Promise<void>;
  free(pid: number): Promise<void>;
  close(): Promise<void>;
}

/** A small file system of its own, which a file fills up: writes fail with ENOSPC. Needs root; null without it. */
export async function smallDisk(): Promise<Disk | null> {
  const dataDir = await mkdtemp(join(tmpdir(), "redrive-disk-"));
  try {
    await run("mount", ["-t", "tmpfs", "-o", `size=${TMPFS_SIZE}`, "tmpfs", dataDir]);
  } catch {
    await rm(dataDir, { recursive: true });
    return null;
  }
  const filler = join(dataDir, "filler");
  return {
    name: "small tmpfs",
    options: { dataDir },
    fill: () => fillUp(filler),
    free: () => rm(filler),
    close: async () => {
      await run("umount", [dataDir]);
      await rm(dataDir, { recursive: true });
    },
  };
}

/** Writes until there is room for nothing: the server may take and leave some of it meanwhile. */
async function fillUp(path: string): Promise<void> {
  const file = await open(path, "a");
  try {
    for (const chunk of [Buffer.alloc(1_048_576), Buffer.alloc(4_096)]) {
      while (await hasRoom(file, chunk));
    }
  } finally {
    await file.close();
  }
}

/** Appends the chunk; false where it did not fit, or not as a whole. */
async function hasRoom(file: FileHandle, chunk: Buffer): Promise<boolean> {
  try {
    return (await file.write(chunk)).bytesWritten === chunk.length;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
    return false;
  }
}

/**
 * The limit on the size of files that every process has: past it each write fails with EFBIG, which SQLite reports as
 * an I/O error. It needs no rights, so that it works wherever tests run on Linux. Throws where there is no `prlimit`.
 */
export async function limitedFiles(): Promise<Disk> {
  await run("prlimit", ["--version"]);
  const limit = (pid: number, soft: string) =>
    run("prlimit", ["--pid", String(pid), `--fsize=${soft}:unlimited`]);
  return {
    name: "file size limit",
    options: { env: { NODE_OPTIONS: `--import ${IGNORE_XFSZ}` } },
    fill: async (pid) => void (await limit(pid, String(LARGEST_FILE_BYTES))),
    free: async (pid) => void (await limit(pid, "unlimited")),
    close: async () => {},
  };
}
