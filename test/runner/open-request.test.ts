import { describe, expect, test } from "vitest";
import type { CallRequest } from "../../src/core/call/call.ts";
import { ANSWER_FIELD, BODY_FIELD, headerField, SECRET_FIELD } from "../../src/core/call/sealed.ts";
import { withKeys } from "../../src/core/task/call-request.ts";
import type { Grant } from "../../src/protocol/grant.ts";
import { callGranted } from "../../src/runner/open-request.ts";
import { Keyring } from "../../src/sealing/keyring.ts";
import { seal, sealBytes, unseal } from "../../src/sealing/seal.ts";
import { buildGrant } from "../support/shard/build-grant.ts";
import { buildConfig } from "../support/shard/shard-messages.ts";

const SECRETS = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", `whsec_${"b2xk".repeat(8)}`];
const keyring = new Keyring(["a deployment secret of many characters"]);

/** What calls get to the network, and how they end. */
async function called(
  kind: Grant["kind"],
  request: CallRequest,
  by: Keyring | undefined = keyring,
  answer = "fine",
) {
  const sent: Record<string, string>[] = [];
  const bodies: Uint8Array[] = [];
  const result = await callGranted(
    { kind, request },
    {
      fetch: async (_, init) => {
        sent.push(init?.headers as Record<string, string>);
        if (ArrayBuffer.isView(init?.body)) bodies.push(init.body as Uint8Array);
        return new Response(answer);
      },
      now: () => 1_000,
      checkUrl: () => ({ ok: true }),
      ...(by !== undefined && { keyring: by }),
    },
  );
  return { sent, bodies, result };
}

async function queueWithKey() {
  const wrapped = await keyring.make("pay");
  const key = await keyring.open(wrapped, "pay");
  return { config: buildConfig({}, { name: "pay", dataKeys: [wrapped] }), key };
}

function request(headers: Record<string, string>, secrets?: string[]): CallRequest {
  const sign = secrets === undefined ? null : { messageId: "m", secrets };
  return { ...buildGrant().request, headers, body: "{}", sign };
}

describe("callGranted", () => {
  test("sends a sealed header as it was given", async () => {
    const { config, key } = await queueWithKey();
    const sealed = await seal("Bearer x", headerField("call", "authorization"), key);
    const { sent, result } = await called(
      "attempt",
      withKeys(request({ authorization: sealed, accept: "*/*" }), config),
    );
    expect(result).toMatchObject({ status: 200, error: null });
    expect(sent).toEqual([{ authorization: "Bearer x", accept: "*/*" }]);
  });

  test("signs with sealed secrets as with plain ones, and again from memory", async () => {
    const { config, key } = await queueWithKey();
    const sealed = await Promise.all(SECRETS.map((secret) => seal(secret, SECRET_FIELD, key)));
    const plain = await called("callback", request({}, SECRETS));
    expect(plain.sent).toEqual([
      { "webhook-id": "m", "webhook-timestamp": "1", "webhook-signature": expect.any(String) },
    ]);
    for (let delivery = 1; delivery <= 2; delivery++) {
      const { sent } = await called("callback", withKeys(request({}, sealed), config));
      expect(sent).toEqual(plain.sent);
    }
  });

  test("signs with the secrets that can be read, and fails where none can", async () => {
    const { config, key } = await queueWithKey();
    const good = await seal(SECRETS[1] ?? "", SECRET_FIELD, key);
    const lost = "sealed:v1:other:AAAA";
    const one = await called("callback", withKeys(request({}, [lost, good]), config));
    expect(one.sent).toHaveLength(1);
    expect(one.sent).toEqual((await called("callback", request({}, SECRETS.slice(1)))).sent);
    const none = await called("callback", withKeys(request({}, [lost]), config));
    expect(none.sent).toEqual([]);
    expect(none.result.error).toMatchObject({ name: "UnsealError" });
  });

  test.each<[string, Keyring | undefined]>([
    ["no secret", new Keyring([])],
    ["another secret", new Keyring(["another deployment secret, as long"])],
  ])("makes no call with %s, and says why", async (_, by) => {
    const { config, key } = await queueWithKey();
    const sealed = await seal("Bearer x", headerField("call", "authorization"), key);
    const { sent, result } = await called(
      "attempt",
      withKeys(request({ authorization: sealed }), config),
      by,
    );
    expect(sent).toEqual([]);
    expect(result).toMatchObject({ status: 0, error: { name: "UnsealError" } });
    expect(result.error?.message).toContain("REDRIVE_ENCRYPTION_KEY");
  });

  test("sends a sealed body as the bytes that were given, and seals the answer's for storage", async () => {
    const { config, key } = await queueWithKey();
    const bytes = new Uint8Array([0, 255, 16]);
    const body = await sealBytes(bytes, BODY_FIELD, key);
    const more = { body: true, answer: true } as const;
    const { bodies, result } = await called("attempt", withKeys({ ...request({}), body }, config, more));
    expect(bodies).toEqual([bytes]);
    expect(result).toMatchObject({ status: 200, body: "fine" });
    const keys = { queue: "pay", keys: config.dataKeys ?? [] };
    expect(await unseal(result.sealedBody ?? "", ANSWER_FIELD, keyring, keys)).toBe("fine");
  });

  test("seals no empty answer, and asks for none where it could not be sealed", async () => {
    const { config } = await queueWithKey();
    const sealed = withKeys({ ...request({}), method: "HEAD", body: null }, config, { answer: true });
    expect((await called("attempt", sealed, keyring, "")).result).not.toHaveProperty("sealedBody");
    const { sent, result } = await called("attempt", sealed, new Keyring([]));
    expect([sent, result.error?.name]).toEqual([[], "UnsealError"]);
  });

  test("opens the answer's body inside of a callback's payload, and signs what is sent", async () => {
    const { config, key } = await queueWithKey();
    const text = await seal('a "quoted"\nanswer \u2028 ü', ANSWER_FIELD, key);
    const payload = `{"metadata":{"id":12345678901234567890},"body":"${text}"}`;
    const start = payload.indexOf(text);
    const part = { payload: { start, end: start + text.length } };
    const { bodies, sent } = await called(
      "callback",
      withKeys({ ...request({}, SECRETS), body: payload }, config, part),
    );
    const body = new TextDecoder().decode(bodies[0]);
    expect(body).toContain("12345678901234567890");
    expect(JSON.parse(body).body).toBe('a "quoted"\nanswer \u2028 ü');
    const plain = await called("callback", { ...request({}, SECRETS), body });
    expect(sent).toEqual(plain.sent);
  });

  test("sends no header that was sealed as a callback's with an attempt, or under another name", async () => {
    const { config, key } = await queueWithKey();
    for (const field of [headerField("callback", "authorization"), headerField("call", "cookie")]) {
      const sealed = await seal("Bearer x", field, key);
      const { sent, result } = await called("attempt", withKeys(request({ authorization: sealed }), config));
      expect(sent).toEqual([]);
      expect(result.error?.message).toContain("was changed or moved");
    }
  });
});
