import { MIN_ENCRYPTION_KEY_LENGTH } from "../core/call/sealed.ts";
import type { Env } from "../platform/env.ts";
import { Keyring } from "./keyring.ts";

type EncryptionEnv = Pick<Env, "REDRIVE_ENCRYPTION_KEY" | "REDRIVE_ENCRYPTION_KEY_PREVIOUS">;

let latest: { name: string; keyring: Keyring } | null = null;

/**
 * The deployment's keyring, one for each isolate. Without REDRIVE_ENCRYPTION_KEY it encrypts nothing, and neither does it
 * with the previous one alone. Throws a RangeError where a secret is too short.
 */
export function keyringOf(env: EncryptionEnv): Keyring {
  const { REDRIVE_ENCRYPTION_KEY: current = "", REDRIVE_ENCRYPTION_KEY_PREVIOUS: previous = "" } = env;
  const name = `${current}\n${previous}`;
  if (latest?.name === name) return latest.keyring;
  const secrets = current === "" ? [] : [current, previous].filter((secret) => secret !== "");
  for (const secret of secrets) {
    if (secret.length >= MIN_ENCRYPTION_KEY_LENGTH) continue;
    const setting = secret === current ? "REDRIVE_ENCRYPTION_KEY" : "REDRIVE_ENCRYPTION_KEY_PREVIOUS";
    throw new RangeError(`${setting}: expected at least ${MIN_ENCRYPTION_KEY_LENGTH} characters, got fewer`);
  }
  latest = { name, keyring: new Keyring(secrets) };
  return latest.keyring;
}
