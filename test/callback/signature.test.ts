import { Webhook } from "standardwebhooks";
import { describe, expect, test } from "vitest";
import { isSecret, makeSecret, signMessage } from "../../src/callback/signature.ts";

const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER = makeSecret(new Uint8Array(32).fill(7));
const body = '{"type":"task.succeeded","text":"größer 🙂"}';
const nowS = () => Math.floor(Date.now() / 1_000);

describe("signMessage", () => {
  test("gives the signature of the specification's example", async () => {
    const headers = await signMessage({
      id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
      timestampS: 1614265330,
      body: '{"test": 2432232314}',
      secrets: [SECRET],
    });

    expect(headers).toEqual({
      "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
      "webhook-timestamp": "1614265330",
      "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    });
  });

  test("is verified by the public library", async () => {
    const headers = await signMessage({ id: "tsk_1_1", timestampS: nowS(), body, secrets: [SECRET] });

    expect(new Webhook(SECRET).verify(body, headers)).toEqual(JSON.parse(body));
  });

  test("is verified with either secret while they rotate", async () => {
    const headers = await signMessage({ id: "tsk_1_1", timestampS: nowS(), body, secrets: [OTHER, SECRET] });

    expect(headers["webhook-signature"]?.split(" ")).toHaveLength(2);
    expect(new Webhook(SECRET).verify(body, headers)).toEqual(JSON.parse(body));
    expect(new Webhook(OTHER).verify(body, headers)).toEqual(JSON.parse(body));
  });

  test("does not hold for another body, id or secret", async () => {
    const headers = await signMessage({ id: "tsk_1_1", timestampS: nowS(), body, secrets: [SECRET] });

    expect(() => new Webhook(SECRET).verify(`${body} `, headers)).toThrow("No matching signature");
    expect(() => new Webhook(SECRET).verify(body, { ...headers, "webhook-id": "tsk_1_2" })).toThrow(
      "No matching signature",
    );
    expect(() => new Webhook(OTHER).verify(body, headers)).toThrow("No matching signature");
  });

  test("signs bytes like the text they encode", async () => {
    const message = { id: "tsk_1_1", timestampS: 1_700_000_000, secrets: [SECRET] };

    const ofBytes = await signMessage({ ...message, body: new TextEncoder().encode(body) });

    expect(ofBytes).toEqual(await signMessage({ ...message, body }));
  });

  test("still signs with a secret that more than the cached number came after", async () => {
    const message = { id: "tsk_1_1", timestampS: 1_700_000_000, body };
    const before = await signMessage({ ...message, secrets: [SECRET] });
    const secrets = Array.from({ length: 300 }, (_, at) =>
      makeSecret(new Uint8Array(24).fill(at % 256, at % 24)),
    );
    await signMessage({ ...message, secrets });

    expect(await signMessage({ ...message, secrets: [SECRET] })).toEqual(before);
  });

  test.each([[[]], [["secret"]], [["whsec_not base64"]]])("refuses %j as secrets", async (secrets) => {
    await expect(signMessage({ id: "tsk_1_1", timestampS: 1, body, secrets })).rejects.toThrow(/secret/);
  });
});

describe("makeSecret", () => {
  test.each([24, 32, 64])("makes a secret of %i bytes that isSecret accepts", (length) => {
    const secret = makeSecret(new Uint8Array(length).fill(255));

    expect(isSecret(secret)).toBe(true);
    expect(Buffer.from(secret.slice("whsec_".length), "base64")).toHaveLength(length);
  });

  test.each([0, 23, 65])("refuses %i bytes", (length) => {
    expect(() => makeSecret(new Uint8Array(length))).toThrow(`24 to 64 bytes, got ${length}`);
  });
});

describe("isSecret", () => {
  const of = (length: number) => `whsec_${Buffer.alloc(length, 1).toString("base64")}`;

  test.each([
    ["nothing", ""],
    ["the prefix alone", "whsec_"],
    ["another prefix", SECRET.replace("whsec_", "whpk_")],
    ["too few bytes", of(23)],
    ["too many bytes", of(65)],
    ["missing padding", of(25).replaceAll("=", "")],
    ["white space", `${SECRET} `],
    ["the URL alphabet", `${SECRET.slice(0, -1)}_`],
  ])("refuses %s", (_, text) => {
    expect(isSecret(text)).toBe(false);
  });

  test("accepts 24 to 64 bytes", () => {
    expect([24, 25, 26, 64].map((length) => isSecret(of(length)))).toEqual([true, true, true, true]);
  });
});
