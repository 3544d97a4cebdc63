import { randomBytes } from "node:crypto";
import { chmod, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { Settings } from "./settings.ts";
import { StartError } from "./start-error.ts";

const Secrets = z.object({ api_key: z.string().min(16), signing_secret: z.string().startsWith("whsec_") });

/** What the server knows its callers by, and signs its callbacks with. */
export interface ServerSecrets {
  apiKey: string;
  signingSecret: string;
}

/**
 * The key and the secret: from the settings where they are given, else from `secrets.json` in the data
 * folder, which is made once (mode 0600). Call it with the folder locked. Throws a StartError where the
 * file cannot be read.
 */
export async function loadSecrets(settings: Settings): Promise<ServerSecrets> {
  const { apiKey, signingSecret } = settings;
  if (apiKey !== null && signingSecret !== null) return { apiKey, signingSecret };
  const path = join(settings.dataDir, "secrets.json");
  const kept = (await readSecrets(path)) ?? (await makeSecrets(path));
  return { apiKey: apiKey ?? kept.apiKey, signingSecret: signingSecret ?? kept.signingSecret };
}

async function readSecrets(path: string): Promise<ServerSecrets | null> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw new StartError(`${path} cannot be read: ${(error as Error).message}.`, { cause: error });
  }
  try {
    const parsed = Secrets.parse(JSON.parse(text));
    return { apiKey: parsed.api_key, signingSecret: parsed.signing_secret };
  } catch (error) {
    const repair = "Repair it, or move it away to have new secrets made.";
    throw new StartError(`${path} does not hold an api_key and a signing_secret. ${repair}`, {
      cause: error,
    });
  }
}

/** Written beside and renamed, so that a crash leaves no half a file. */
async function makeSecrets(path: string): Promise<ServerSecrets> {
  const secrets = {
    apiKey: `root_${randomBytes(24).toString("base64url")}`,
    signingSecret: `whsec_${randomBytes(32).toString("base64")}`,
  };
  const text = JSON.stringify({ api_key: secrets.apiKey, signing_secret: secrets.signingSecret }, null, 2);
  const draft = `${path}.new`;
  await writeFile(draft, `${text}\n`, { mode: 0o600 });
  await chmod(draft, 0o600);
  await rename(draft, path);
  return secrets;
}
