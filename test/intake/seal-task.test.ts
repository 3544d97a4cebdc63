import { describe, expect, test } from "vitest";
import { BODY_FIELD, headerField, isSealed } from "../../src/core/call/sealed.ts";
import type { NewTask } from "../../src/core/task/new-task.ts";
import { sealTask } from "../../src/intake/seal-task.ts";
import type { QueueConfig } from "../../src/protocol/queue-config.ts";
import { Keyring } from "../../src/sealing/keyring.ts";
import { unseal, unsealBytes } from "../../src/sealing/seal.ts";
import { buildConfig, buildNewTask, HOOK, type TaskOverrides } from "../support/shard/shard-messages.ts";

const keyring = new Keyring(["a deployment secret of many characters"]);
const AUTHORIZATION = "Bearer target-secret";

async function queue() {
  return buildConfig({}, { name: "pay", dataKeys: [await keyring.make("pay")] });
}

function task(overrides: TaskOverrides = {}): NewTask {
  const headers = { authorization: AUTHORIZATION, accept: "*/*" };
  return buildNewTask(0, { ...overrides, call: { headers, ...overrides.call } });
}

/** What `sealTask` makes of a task that it does not refuse. */
async function sealed(given: NewTask, config: QueueConfig): Promise<NewTask> {
  const made = await sealTask(given, config, keyring);
  if (!made.ok) throw new Error(made.detail);
  return made.task;
}

describe("sealTask", () => {
  test("seals the values of secret headers, the task's and its callback's, and nothing else", async () => {
    const config = await queue();
    const callback = { ...HOOK, headers: { "X-Api-Key": "receiver-secret", "x-plain": "1" } };
    const given = task({ call: { callback } });
    const { call, ...rest } = await sealed(given, config);

    expect({ ...rest, call: { ...call, headers: given.call.headers, callback } }).toEqual(given);
    const { authorization = "", ...others } = call.headers;
    const { "X-Api-Key": key = "", ...more } = call.callback?.headers ?? {};
    expect([others, more]).toEqual([{ accept: "*/*" }, { "x-plain": "1" }]);
    const keys = { queue: "pay", keys: config.dataKeys ?? [] };
    expect(await unseal(authorization, headerField("call", "authorization"), keyring, keys)).toBe(
      AUTHORIZATION,
    );
    expect(await unseal(key, headerField("callback", "x-api-key"), keyring, keys)).toBe("receiver-secret");
  });

  test("seals a task whose callback alone has a secret, and one whose callback is null", async () => {
    const config = await queue();
    const callback = { ...HOOK, headers: { cookie: "a=b" } };
    const stored = await sealed(task({ call: { headers: {}, callback } }), config);
    expect(isSealed(stored.call.callback?.headers?.cookie ?? "")).toBe(true);
    expect((await sealed(task({ call: { callback: null } }), config)).call.callback).toBeNull();
  });

  test.each<[string, "utf8" | "base64", Uint8Array]>([
    ['\ufeff{ "a": "ü" }', "utf8", new TextEncoder().encode('\ufeff{ "a": "ü" }')],
    ["AP8Qf/8=", "base64", new Uint8Array([0, 255, 16, 127, 255])],
  ])(
    "seals the bytes of the body %j where the queue wants that, and there only",
    async (body, bodyEncoding, bytes) => {
      const config = await queue();
      const given = buildNewTask(0, { call: { headers: {}, body, bodyEncoding } });
      expect(await sealed(given, config)).toBe(given);
      const wanting = { ...config, settings: { ...config.settings, encrypt: true } };
      const { call } = await sealed(given, wanting);
      expect(call).toMatchObject({ bodySealed: true, bodyEncoding });
      const keys = { queue: "pay", keys: config.dataKeys ?? [] };
      expect(await unsealBytes(call.body ?? "", BODY_FIELD, keyring, keys)).toEqual(bytes);
      const bodiless = buildNewTask(0, { call: { headers: {}, body: null } });
      expect(await sealed(bodiless, wanting)).toBe(bodiless);
    },
  );

  test("keys the hash of a request with secrets, and tells the plain one too", async () => {
    const config = await queue();
    const keyed = task({ idempotencyKey: "order-1", requestHash: "hash" });
    const [once, again] = [await sealed(keyed, config), await sealed(keyed, config)];
    expect(once.plainHash).toBe("hash");
    expect(once.requestHash).toMatch(/^[0-9a-f]{64}$/);
    expect(again.requestHash).toBe(once.requestHash);
  });

  test("gives a task without secrets back as it is, and every task of a queue without a key", async () => {
    const plain = task({
      call: { headers: { accept: "*/*" }, callback: { ...HOOK, headers: { "x-a": "1" } } },
    });
    expect(await sealed(plain, await queue())).toBe(plain);
    const secret = task();
    expect(await sealed(secret, buildConfig())).toBe(secret);
  });

  test("refuses to store a secret in plain where the queue's key cannot be opened", async () => {
    const config = await queue();
    for (const other of [new Keyring([]), new Keyring(["another deployment secret, as long"])]) {
      expect(await sealTask(task(), config, other)).toMatchObject({
        code: "not_configured",
        detail: expect.stringContaining('queue "pay"'),
      });
    }
  });
});
