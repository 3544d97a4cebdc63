import type { Env } from "../../platform/env.ts";
import type { QueueConfig } from "../../protocol/queue-config.ts";
import { keyringOf } from "../../sealing/env-keyring.ts";
import { UnsealError } from "../../sealing/keyring.ts";
import { AppError } from "../http/app-error.ts";

/**
 * Whether secrets that are stored from now on are encrypted. Throws AppError `not_configured` where a secret is wrong, or
 * is not the one that the queue's data key was encrypted with: then what is encrypted cannot be sent.
 */
export async function encryptionState(env: Env, queue: QueueConfig | null): Promise<"on" | "off"> {
  const [newest] = queue?.dataKeys ?? [];
  try {
    const keyring = keyringOf(env);
    if (queue === null || newest === undefined) return "off";
    await keyring.open(newest, queue.name);
    return "on";
  } catch (cause) {
    if (!(cause instanceof UnsealError || cause instanceof RangeError)) throw cause;
    throw new AppError("not_configured", cause.message, { cause });
  }
}
