import { describe, expect, test } from "vitest";
import { withKeys } from "../../src/core/call-request.ts";
import type { CallRequest, Grant } from "../../src/core/messages.ts";
import { headerField, SECRET_FIELD } from "../../src/core/sealed.ts";
import { callGranted } from "../../src/runner/open-request.ts";
import { Keyring } from "../../src/sealing/keyring.ts";
import { seal } from "../../src/sealing/seal.ts";
import { buildGrant } from "../support/build-grant.ts";
import { buildConfig } from "../support/shard-messages.ts";

const SECRETS = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_b2xkb2xkb2xkb2xkb2xkb2xkb2xk"];
const keyring = new Keyring(["a deployment secret of many characters"]);

/** What calls get to the network, and how they end. */
async function called(kind: Grant["kind"], request: CallRequest, by: Keyring | undefined = keyring) {
  const sent: Record<string, string>[] = [];
  const result = await callGranted(
    { kind, request },
    {
      fetch: async (_, init) => {
        sent.push(init?.headers as Record<string, string>);
        return new Response("fine");
      },
      now: () => 1_000,
      checkUrl: () => ({ ok: true }),
      ...(by !== undefined && { keyring: by }),
    },
  );
  return { sent, result };
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
