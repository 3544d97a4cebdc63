import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { lockFolder } from "../../../src/standalone/lock.ts";

/** What a launcher does first where it locks a file at the same moment as another: it holds a read lock, and lets go. */
const LETS_GO = `
  const { DatabaseSync } = require("node:sqlite");
  const file = new DatabaseSync(process.argv[1], { timeout: 0 });
  file.exec("BEGIN; SELECT * FROM sqlite_schema");
  process.stdout.write("locked");
  setTimeout(() => file.close(), 50);
`;
/** One that has the folder. */
const KEEPS = `
  const { DatabaseSync } = require("node:sqlite");
  new DatabaseSync(process.argv[1], { timeout: 0 }).exec("BEGIN EXCLUSIVE");
  process.stdout.write("locked");
  process.stdin.resume();
`;

let dataDir: string;

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "redrive-lock-"));
});
afterEach(() => rm(dataDir, { recursive: true }));

test("a folder is locked though another launcher, which gives way, has begun to lock it", async () => {
  const other = await locker(LETS_GO);
  const lock = await lockFolder(dataDir);
  lock.release();
  await other.stop();
});

test("a folder that another launcher has is refused", async () => {
  const other = await locker(KEEPS);
  await expect(lockFolder(dataDir)).rejects.toThrow("serves the data folder");
  await other.stop();
  const lock = await lockFolder(dataDir);
  lock.release();
});

/** A process that has begun to lock the folder's file. */
async function locker(script: string): Promise<{ stop(): Promise<void> }> {
  const child = spawn(process.execPath, ["-e", script, join(dataDir, "launcher.lock")], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  await once(child.stdout, "data");
  return {
    stop: async () => {
      child.stdin.end();
      await exited;
    },
  };
}
