import { describe, expect, test } from "vitest";
import type { AppError } from "../../src/api/http/app-error.ts";
import { BODY_FIELD, headerField, isSealed } from "../../src/core/call/sealed.ts";
import type { NewTask } from "../../src/core/task/new-task.ts";
import { sealTask } from "../../src/intake/seal-task.ts";
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

describe("sealTask", () => {
  test("seals the values of secret headers, the task's and its callback's, and nothing else", async () => {
    const config = await queue();
    const callback = { ...HOOK, headers: { "X-Api-Key": "receiver-secret", "x-plain": "1" } };
    const given = task({ call: { callback } });
    const { call, ...rest } = await sealTask(given, config, keyring);

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
    const sealed = await sealTask(task({ call: { headers: {}, callback } }), config, keyring);
    expect(isSealed(sealed.call.callback?.headers?.cookie ?? "")).toBe(true);
    expect((await sealTask(task({ call: { callback: null } }), config, keyring)).call.callback).toBeNull();
  });

  test.each<[string, "utf8" | "base64", Uint8Array]>([
    ['\ufeff{ "a": "ü" }', "utf8", new TextEncoder().encode('\ufeff{ "a": "ü" }')],
    ["AP8Qf/8=", "base64", new Uint8Array([0, 255, 16, 127, 255])],
  ])(
    "seals the bytes of the body %j where the queue wants that, and there only",
    async (body, bodyEncoding, bytes) => {
      const config = await queue();
      const given = buildNewTask(0, { call: { headers: {}, body, bodyEncoding } });
      expect(await sealTask(given, config, keyring)).toBe(given);
      const wanting = { ...config, settings: { ...config.settings, encrypt: true } };
      const { call } = await sealTask(given, wanting, keyring);
      expect(call).toMatchObject({ bodySealed: true, bodyEncoding });
      const keys = { queue: "pay", keys: config.dataKeys ?? [] };
      expect(await unsealBytes(call.body ?? "", BODY_FIELD, keyring, keys)).toEqual(bytes);
      const bodiless = buildNewTask(0, { call: { headers: {}, body: null } });
      expect(await sealTask(bodiless, wanting, keyring)).toBe(bodiless);
    },
  );

  test("keys the hash of a request with secrets, and tells the plain one too", async () => {
    const config = await queue();
    const keyed = task({ idempotencyKey: "order-1", requestHash: "hash" });
    const [once, again] = [await sealTask(keyed, config, keyring), await sealTask(keyed, config, keyring)];
    expect(once.plainHash).toBe("hash");
    expect(once.requestHash).toMatch(/^[0-9a-f]{64}$/);
    expect(again.requestHash).toBe(once.requestHash);
  });

  test("gives a task without secrets back as it is, and every task of a queue without a key", async () => {
    const plain = task({
      call: { headers: { accept: "*/*" }, callback: { ...HOOK, headers: { "x-a": "1" } } },
    });
    expect(await sealTask(plain, await queue(), keyring)).toBe(plain);
    const secret = task();
    expect(await sealTask(secret, buildConfig(), keyring)).toBe(secret);
  });

  test("refuses to store a secret in plain where the queue's key cannot be opened", async () => {
    const config = await queue();
    for (const other of [new Keyring([]), new Keyring(["another deployment secret, as long"])]) {
      const problem = await sealTask(task(), config, other).catch((error: AppError) => error);
      expect(problem).toMatchObject({
        code: "not_configured",
        message: expect.stringContaining('queue "pay"'),
      });
    }
  });
});
