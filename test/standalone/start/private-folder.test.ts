import { chmod, lstat, mkdir, mkdtemp, readdir, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { runMain, startServer, type TestServer } from "../../support/server/server.ts";

const NOBODY = 65_534;

let parent: string;
let dataDir: string;
let server: TestServer | null;

beforeEach(async () => {
  server = null;
  parent = await mkdtemp(join(tmpdir(), "redrive-private-"));
  dataDir = join(parent, "data");
});
afterEach(async () => {
  await server?.stop();
  await rm(parent, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
});

test("a data folder that was there, open to all, is made the owner's with all that is in it", async () => {
  await mkdir(dataDir, { mode: 0o755 });
  await chmod(dataDir, 0o755);
  await startAndUse();
  await server?.stop();
  for (const path of await everythingIn(dataDir)) {
    await chmod(path, (await stat(path)).isDirectory() ? 0o755 : 0o644); // As an earlier release has left it.
  }
  await writeFile(join(dataDir, "notes-of-somebody.txt"), "", { mode: 0o644 });
  await startAndUse();

  expect((await stat(dataDir)).mode & 0o777).toBe(0o700);
  const open = await openTo(0o077, await everythingIn(dataDir));
  expect(open).toEqual([join(dataDir, "notes-of-somebody.txt")]);
  expect((await everythingIn(dataDir)).filter((path) => path.includes(".sqlite")).length).toBeGreaterThan(1);
});

test("what a link in the folder leads to is left as it is", async () => {
  const elsewhere = join(parent, "elsewhere.txt");
  await writeFile(elsewhere, "", { mode: 0o644 });
  await mkdir(join(dataDir, "build"), { recursive: true });
  await symlink(elsewhere, join(dataDir, "build", "link"));
  await startAndUse();

  expect((await stat(elsewhere)).mode & 0o777).toBe(0o644);
});

test.skipIf(process.getuid?.() !== 0)(
  "a folder that cannot be made private is refused, with its mode",
  async () => {
    await chmod(parent, 0o755);
    await mkdir(dataDir);
    await chmod(dataDir, 0o777); // Another's folder, where this user may write.
    const { code, stderr } = await runMain({ PORT: "0", REDRIVE_DATA: dataDir }, [], { uid: NOBODY });

    expect(code).toBe(1);
    expect(stderr).toContain(`${dataDir} has mode 777, so that others may reach the secrets in it`);
    expect(stderr).not.toContain("    at ");
  },
);

/** Starts the real Worker and lets it store something. */
async function startAndUse(): Promise<void> {
  server = await startServer({ dataDir });
  const response = await fetch(`${server.url}/v1/tasks`, {
    method: "POST",
    headers: { authorization: `Bearer ${server.apiKey}`, "content-type": "application/json" },
    body: JSON.stringify({ url: `${server.url}/sandbox/target`, delay: "1h" }),
  });
  expect(response.status).toBe(202);
}

async function everythingIn(folder: string): Promise<string[]> {
  return (await readdir(folder, { recursive: true })).map((name) => join(folder, name));
}

async function openTo(bits: number, paths: string[]): Promise<string[]> {
  const modes = await Promise.all(paths.map(async (path) => ({ path, mode: (await lstat(path)).mode })));
  return modes.filter(({ mode }) => (mode & bits) !== 0).map(({ path }) => path);
}
