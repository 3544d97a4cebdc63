import { base64ToBytes } from "../callback/base64.ts";
import { BODY_FIELD, headerField } from "../core/call/sealed.ts";
import { isSecretHeader } from "../core/call/secret-headers.ts";
import type { NewTask } from "../core/task/new-task.ts";
import type { TaskCall } from "../core/task/task.ts";
import type { QueueConfig } from "../protocol/queue-config.ts";
import type { Refusal } from "../protocol/refusal.ts";
import { type DataKey, type Keyring, toBytes, UnsealError } from "../sealing/keyring.ts";
import { keyedHash, seal, sealBytes } from "../sealing/seal.ts";

/** A task whose secrets are sealed where they have to be. */
export interface SealedTask {
  ok: true;
  task: NewTask;
}

/**
 * A new task as it is stored: values of secret headers, its own and those of its callback, sealed with its queue's data
 * key, its body too where the queue wants that, and the hash of such a request keyed, so that nobody can try guesses on it. The same object where nothing in it is
 * secret, or its queue has no data key. Refuses as `not_configured` if the queue has one that cannot be opened:
 * what was to be encrypted is not stored in plain.
 */
export async function sealTask(
  task: NewTask,
  queue: QueueConfig,
  keyring: Keyring,
): Promise<SealedTask | Refusal> {
  const [newest] = queue.dataKeys ?? [];
  const hasBody = queue.settings.encrypt && task.call.body !== null;
  if (newest === undefined || !(hasBody || hasSecrets(task.call))) return { ok: true, task };
  const key = await dataKey(newest, queue.name, keyring);
  if ("ok" in key) return key;
  const call = await sealedCall(hasBody ? await withSealedBody(task.call, key) : task.call, key);
  if (task.requestHash === null) return { ok: true, task: { ...task, call } };
  const requestHash = await keyedHash(task.requestHash, key);
  return { ok: true, task: { ...task, call, requestHash, plainHash: task.requestHash } };
}

function hasSecrets({ headers, callback }: TaskCall): boolean {
  return hasSecretHeader(headers) || (callback?.headers !== undefined && hasSecretHeader(callback.headers));
}

function hasSecretHeader(headers: Record<string, string>): boolean {
  for (const name in headers) if (isSecretHeader(name)) return true;
  return false;
}

async function dataKey(wrapped: string, queue: string, keyring: Keyring): Promise<DataKey | Refusal> {
  try {
    return await keyring.open(wrapped, queue);
  } catch (cause) {
    if (!(cause instanceof UnsealError)) throw cause;
    return { ok: false, code: "not_configured", detail: `queue "${queue}": ${cause.message}` };
  }
}

async function sealedCall(call: TaskCall, key: DataKey): Promise<TaskCall> {
  const headers = await sealedHeaders(call.headers, "call", key);
  const { callback } = call;
  if (callback?.headers === undefined) return { ...call, headers };
  const own = await sealedHeaders(callback.headers, "callback", key);
  return { ...call, headers, callback: { ...callback, headers: own } };
}

/** Its bytes are sealed, not their base64, which would take a third more. */
async function withSealedBody(call: TaskCall, key: DataKey): Promise<TaskCall> {
  const { body, bodyEncoding } = call;
  if (body === null) return call;
  const bytes = bodyEncoding === "base64" ? base64ToBytes(body) : toBytes(body);
  if (bytes === null) throw new Error("expected a body that is base64, as it was checked to be");
  return { ...call, body: await sealBytes(bytes, BODY_FIELD, key), bodySealed: true };
}

async function sealedHeaders(
  headers: Record<string, string>,
  of: "call" | "callback",
  key: DataKey,
): Promise<Record<string, string>> {
  const entries = Object.entries(headers).map(async ([name, value]) => [
    name,
    isSecretHeader(name) ? await seal(value, headerField(of, name.toLowerCase()), key) : value,
  ]);
  return Object.fromEntries(await Promise.all(entries));
}
