import { z } from "zod";
import { MAX_KEY_NAME_LENGTH, MAX_KEY_QUEUES } from "./limits.ts";
import { QueueName } from "./task.ts";

export const Scope = z.enum(["submit", "read", "operate", "admin"]);
/** What a key may do; `admin` includes all others. */
export type Scope = z.infer<typeof Scope>;

/** A new API key; with `queues` it works for these queues only. */
export const KeyRequest = z.strictObject({
  name: z.string().min(1).max(MAX_KEY_NAME_LENGTH),
  scopes: z.array(Scope).min(1).max(4),
  queues: z.array(QueueName).min(1).max(MAX_KEY_QUEUES).optional(),
});
export type KeyRequest = z.infer<typeof KeyRequest>;

export const KeyView = z.object({
  id: z.string(),
  name: z.string(),
  scopes: z.array(Scope),
  queues: z.array(z.string()).nullable(),
  created_at: z.iso.datetime(),
});
export type KeyView = z.infer<typeof KeyView>;

/** A key just made; `key` is shown this once. */
export const KeyCreated = KeyView.extend({ key: z.string() });
export const KeyList = z.object({ keys: z.array(KeyView) });
