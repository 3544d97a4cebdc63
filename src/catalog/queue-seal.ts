import { headerField, isSealed, keyPlan, MAX_DATA_KEYS, SECRET_FIELD } from "../core/call/sealed.ts";
import { isSecretHeader } from "../core/call/secret-headers.ts";
import type { QueueConfig } from "../protocol/queue-config.ts";
import type { DataKey, Keyring } from "../sealing/keyring.ts";
import { seal } from "../sealing/seal.ts";

type Settings = QueueConfig["settings"];
/** What of a queue may have to be encrypted, or is what that is done with. */
export type Secrets = Pick<QueueConfig, "name" | "settings" | "secrets" | "dataKeys">;

/** Encrypts what is secret of queues before it is stored, and keeps their data keys wrapped as the deployment wants. */
export class QueueSeal {
  readonly #keyring: Keyring;
  readonly #isLost: boolean;

  constructor(keyring: Keyring, isLost: boolean) {
    this.#keyring = keyring;
    this.#isLost = isLost;
  }

  /**
   * The same with nothing secret in plain: data keys made or wrapped anew as `keyPlan` says, plain values sealed. The very
   * same object where nothing changes, as always where the deployment has no secret and the queue no key. Throws
   * UnsealError where something is to be sealed and the queue's key cannot be opened.
   */
  async sealed<T extends Secrets>(queue: T): Promise<T> {
    const dataKeys = await this.#dataKeys(queue);
    const settings = queue.settings;
    const plain = settings.callback?.headers ?? {};
    const names = Object.keys(plain).filter((name) => isSecretHeader(name) && !isSealed(plain[name] ?? ""));
    const isPlain = names.length === 0 && queue.secrets.every(isSealed);
    const withKeys = dataKeys === queue.dataKeys ? queue : { ...queue, dataKeys };
    const [newest] = dataKeys ?? [];
    if (isPlain || newest === undefined) return withKeys;
    const key = await this.#keyring.open(newest, queue.name);
    const secrets = await Promise.all(
      queue.secrets.map((secret) => (isSealed(secret) ? secret : seal(secret, SECRET_FIELD, key))),
    );
    return { ...withKeys, secrets, settings: await sealedSettings(settings, names, key) };
  }

  async #dataKeys({ name, dataKeys = [] }: Secrets): Promise<string[] | undefined> {
    const secrets = await this.#keyring.secretIds();
    const plan = secrets === null ? null : keyPlan(dataKeys, secrets, this.#isLost);
    if (plan === null || (!plan.make && plan.rewrap.length === 0))
      return dataKeys.length === 0 ? undefined : dataKeys;
    const kept = await Promise.all(
      dataKeys.map((key) => (plan.rewrap.includes(key) ? this.#keyring.rewrap(key, name) : key)),
    );
    const made = plan.make ? [await this.#keyring.make(name)] : [];
    return [...made, ...kept].slice(0, MAX_DATA_KEYS);
  }
}

async function sealedSettings(settings: Settings, names: readonly string[], key: DataKey): Promise<Settings> {
  const { callback } = settings;
  if (callback === null || names.length === 0) return settings;
  const headers = { ...callback.headers };
  for (const name of names) {
    headers[name] = await seal(headers[name] ?? "", headerField("callback", name.toLowerCase()), key);
  }
  return { ...settings, callback: { ...callback, headers } };
}
