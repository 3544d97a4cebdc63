import { randomBytes } from "node:crypto";
import { chmod, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { MIN_ENCRYPTION_KEY_LENGTH } from "../core/call/sealed.ts";
import type { Settings } from "./settings.ts";
import { StartError } from "./start-error.ts";

const Secrets = z.object({
  api_key: z.string().min(16),
  signing_secret: z.string().startsWith("whsec_"),
  encryption_key: z.string().min(MIN_ENCRYPTION_KEY_LENGTH).optional(),
});

/** What the server knows its callers by, signs its callbacks with, and encrypts what it stores of secrets with. */
export interface ServerSecrets {
  apiKey: string;
  signingSecret: string;
  encryptionKey: string;
}

/** What the file may hold: no key to encrypt with where an older release made it, or the environment gave one. */
type KeptSecrets = Omit<ServerSecrets, "encryptionKey"> & { encryptionKey: string | undefined };

/** Where the data folder keeps what was made once. */
export function secretsPath(dataDir: string): string {
  return join(dataDir, "secrets.json");
}

/**
 * The keys and the secret: from the settings where they are given, else from `secrets.json` in the data
 * folder, which is made once (mode 0600). Call it with the folder locked. Throws a StartError where the
 * file cannot be read.
 */
export async function loadSecrets(settings: Settings): Promise<ServerSecrets> {
  const { apiKey, signingSecret, encryptionKey } = settings;
  if (apiKey !== null && signingSecret !== null && encryptionKey !== null)
    return { apiKey, signingSecret, encryptionKey };
  const path = secretsPath(settings.dataDir);
  const found = await readSecrets(path);
  const kept = found ?? newSecrets();
  const key = encryptionKey ?? kept.encryptionKey ?? newKey();
  const wanted = encryptionKey === null ? { ...kept, encryptionKey: key } : kept;
  if (found === null || wanted.encryptionKey !== found.encryptionKey) await writeSecrets(path, wanted);
  return {
    apiKey: apiKey ?? kept.apiKey,
    signingSecret: signingSecret ?? kept.signingSecret,
    encryptionKey: key,
  };
}

async function readSecrets(path: string): Promise<KeptSecrets | null> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw new StartError(`${path} cannot be read: ${(error as Error).message}.`, { cause: error });
  }
  try {
    const parsed = Secrets.parse(JSON.parse(text));
    const { api_key: apiKey, signing_secret: signingSecret, encryption_key: encryptionKey } = parsed;
    return { apiKey, signingSecret, encryptionKey };
  } catch (error) {
    const repair = "Repair it, or move it away to have new secrets made.";
    throw new StartError(`${path} does not hold an api_key and a signing_secret. ${repair}`, {
      cause: error,
    });
  }
}

function newSecrets(): KeptSecrets {
  return {
    apiKey: `root_${randomBytes(24).toString("base64url")}`,
    signingSecret: `whsec_${randomBytes(32).toString("base64")}`,
    encryptionKey: undefined,
  };
}

function newKey(): string {
  return randomBytes(32).toString("base64url");
}

/** Written beside and renamed, so that a crash leaves no half a file. */
async function writeSecrets(path: string, secrets: KeptSecrets): Promise<void> {
  const { apiKey, signingSecret, encryptionKey } = secrets;
  const content = { api_key: apiKey, signing_secret: signingSecret, encryption_key: encryptionKey };
  const text = JSON.stringify(content, null, 2);
  const draft = `${path}.new`;
  await writeFile(draft, `${text}\n`, { mode: 0o600 });
  await chmod(draft, 0o600);
  await rename(draft, path);
}
