import type { Stats } from "node:fs";
import { chmod, lstat, mkdir, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { BUNDLE_PATH, OBJECTS_DIR } from "./config.ts";
import { StartError } from "./start-error.ts";

/** The permission bits of group and others. */
const OTHERS = 0o077;
/** What Redrive makes in a data folder: a folder that was named by mistake keeps what else is in it as it is. */
const OWN_NAMES =
  /^(?:do|build|secrets\.json(?:\.new)?|workerd\.capnp|server\.json|(?:launcher|workerd)\.lock(?:-\w+)?)$/;

/**
 * Makes the data folder, or makes one that was there before the owner's only, with all that Redrive has put in it:
 * folders 0700, files 0600. What this process makes from now on, and what processes that it starts make, is the owner's
 * only as well. Throws a StartError where the folder cannot be made, or stays open to others.
 */
export async function makePrivateFolder(dataDir: string): Promise<void> {
  process.umask(OTHERS);
  try {
    await mkdir(join(dataDir, OBJECTS_DIR), { recursive: true });
    await mkdir(join(dataDir, BUNDLE_PATH, ".."), { recursive: true });
  } catch (error) {
    const advice = "Choose another folder: REDRIVE_DATA=other npm start";
    throw new StartError(`${dataDir} cannot be made: ${(error as Error).message}. ${advice}`, {
      cause: error,
    });
  }
  await close(dataDir, await stat(dataDir)); // Not lstat: a folder may be named by a link.
  for (const name of await readdir(dataDir)) {
    if (OWN_NAMES.test(name)) await closeAll(join(dataDir, name));
  }
}

async function closeAll(path: string): Promise<void> {
  const found = await lstat(path);
  if (found.isSymbolicLink()) return; // What it leads to is not ours to close.
  await close(path, found);
  if (!found.isDirectory()) return;
  for (const name of await readdir(path)) await closeAll(join(path, name));
}

async function close(path: string, found: Stats): Promise<void> {
  if ((found.mode & OTHERS) === 0) return;
  try {
    await chmod(path, found.isDirectory() ? 0o700 : 0o600);
  } catch (error) {
    throw stillOpen(path, found, (error as Error).message);
  }
  const now = await stat(path);
  if ((now.mode & OTHERS) !== 0) throw stillOpen(path, now, "its file system keeps no such modes");
}

function stillOpen(path: string, { mode }: Stats, why: string): StartError {
  const shown = (mode & 0o777).toString(8).padStart(3, "0");
  return new StartError(
    `${path} has mode ${shown}, so that others may reach the secrets in it, and cannot be made private: ${why}. ` +
      "Make it the server's own and closed to others (chown, chmod 700), or use a folder inside it: REDRIVE_DATA=.../redrive npm start",
  );
}
