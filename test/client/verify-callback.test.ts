import { Webhook } from "standardwebhooks";
import { describe, expect, test } from "vitest";
import {
  type CallbackMessage,
  CallbackVerificationError,
  type VerifyCallbackOptions,
  verifyCallback,
} from "../../src/client/index.ts";
import type { CallbackPayload } from "../../src/schema/callback.ts";

const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const SIGNED_AT = Date.parse("2026-11-23T10:00:00Z");
const MINUTE_MS = 60_000;

const payload: CallbackPayload = {
  type: "task.succeeded",
  timestamp: "2026-11-23T10:00:00Z",
  data: {
    task: {
      id: "tsk_1",
      round: 1,
      queue: "payments",
      state: "succeeded",
      attempts: 2,
      metadata: { order: "991" },
      labels: ["eu"],
    },
    response: { status: 200, headers: {}, body: "größer ✓", body_encoding: "utf8", truncated: false },
    error: null,
    history: [{ attempt: 1, status: 503, error_type: "server_error", delay_ms: 812 }],
  },
};

/** A message signed by the public library. */
function signed(secret = SECRET, body = JSON.stringify(payload), signedAt = SIGNED_AT) {
  const headers = {
    "webhook-id": "tsk_1.1",
    "webhook-timestamp": String(signedAt / 1_000),
    "webhook-signature": new Webhook(secret).sign("tsk_1.1", new Date(signedAt), body),
  };
  return { headers, body };
}

function verify(
  message: Request | CallbackMessage,
  secret: string | string[] = SECRET,
  options: VerifyCallbackOptions = {},
) {
  return verifyCallback(message, secret, { now: SIGNED_AT, ...options });
}

async function refusalOf(verified: Promise<CallbackPayload>): Promise<string> {
  const error = await verified.catch((reason: unknown) => reason);
  if (error instanceof CallbackVerificationError) return error.message;
  throw new Error(`expected a CallbackVerificationError, got ${JSON.stringify(error)}`);
}

const NO_MATCH = "no v1 signature in webhook-signature matches the body and a secret";

describe("verifyCallback", () => {
  test("returns the payload of a message that the public library signed", async () => {
    expect(await verify(signed())).toEqual(payload);
  });

  test("takes a Request", async () => {
    const { headers, body } = signed();
    expect(
      await verify(new Request("https://me.example.com/hook", { method: "POST", headers, body })),
    ).toEqual(payload);
  });

  test("takes Headers and bytes", async () => {
    const { headers, body } = signed();
    expect(await verify({ headers: new Headers(headers), body: new TextEncoder().encode(body) })).toEqual(
      payload,
    );
  });

  test("takes headers in any case and as arrays", async () => {
    const { headers, body } = signed();
    const other = Object.entries(headers).map(([name, value]) => [name.toUpperCase(), [value]] as const);
    expect(await verify({ headers: Object.fromEntries(other), body })).toEqual(payload);
  });

  test("takes a secret without its prefix", async () => {
    expect(await verify(signed(), SECRET.slice("whsec_".length))).toEqual(payload);
  });

  test("refuses a message signed with another secret", async () => {
    expect(await refusalOf(verify(signed(OTHER_SECRET)))).toBe(NO_MATCH);
  });

  test("takes a message that one of two secrets signed", async () => {
    expect(await verify(signed(OTHER_SECRET), [SECRET, OTHER_SECRET])).toEqual(payload);
    expect(await verify(signed(SECRET), [SECRET, OTHER_SECRET])).toEqual(payload);
  });

  test("takes a message that carries two signatures, one of them ours", async () => {
    const { headers, body } = signed();
    const both = `${signed(OTHER_SECRET).headers["webhook-signature"]} ${headers["webhook-signature"]}`;
    for (const secret of [SECRET, OTHER_SECRET]) {
      expect(await verify({ headers: { ...headers, "webhook-signature": both }, body }, secret)).toEqual(
        payload,
      );
    }
  });

  test("refuses a changed body", async () => {
    const { headers, body } = signed();
    expect(await refusalOf(verify({ headers, body: body.replace("991", "992") }))).toBe(NO_MATCH);
  });

  test("refuses a changed id", async () => {
    const { headers, body } = signed();
    expect(await refusalOf(verify({ headers: { ...headers, "webhook-id": "tsk_1.2" }, body }))).toBe(
      NO_MATCH,
    );
  });

  test("refuses a changed timestamp", async () => {
    const { headers, body } = signed();
    const later = String(SIGNED_AT / 1_000 + 1);
    expect(await refusalOf(verify({ headers: { ...headers, "webhook-timestamp": later }, body }))).toBe(
      NO_MATCH,
    );
  });

  test.each(["v1,AAAA", "v1,", "v1,%%%"])("refuses the signature %s", async (signature) => {
    const { headers, body } = signed();
    expect(await refusalOf(verify({ headers: { ...headers, "webhook-signature": signature }, body }))).toBe(
      NO_MATCH,
    );
  });

  test("refuses the first bytes of the right signature", async () => {
    const { headers, body } = signed();
    const start = headers["webhook-signature"].slice(0, "v1,".length + 40);
    expect(await refusalOf(verify({ headers: { ...headers, "webhook-signature": start }, body }))).toBe(
      NO_MATCH,
    );
  });

  test("refuses signatures of another version only", async () => {
    const { headers, body } = signed();
    const other = headers["webhook-signature"].replace("v1,", "v1a,");
    expect(await refusalOf(verify({ headers: { ...headers, "webhook-signature": other }, body }))).toBe(
      "webhook-signature has no v1 signature",
    );
  });

  test.each(["webhook-id", "webhook-timestamp", "webhook-signature"])(
    "refuses a message without %s",
    async (name) => {
      const { headers, body } = signed();
      expect(await refusalOf(verify({ headers: { ...headers, [name]: undefined }, body }))).toBe(
        `the header ${name} is missing`,
      );
    },
  );

  test("takes a message as old as the tolerance and refuses an older one", async () => {
    expect(await verify(signed(), SECRET, { now: SIGNED_AT + 5 * MINUTE_MS })).toEqual(payload);
    expect(await refusalOf(verify(signed(), SECRET, { now: SIGNED_AT + 5 * MINUTE_MS + 1_000 }))).toBe(
      "webhook-timestamp is 301 s in the past, expected at most 300 s",
    );
  });

  test("refuses a message from the future", async () => {
    expect(await refusalOf(verify(signed(), SECRET, { now: SIGNED_AT - 6 * MINUTE_MS }))).toBe(
      "webhook-timestamp is 360 s in the future, expected at most 300 s",
    );
  });

  test("keeps to the given tolerance", async () => {
    const now = SIGNED_AT + 8 * MINUTE_MS;
    expect(await verify(signed(), SECRET, { now, toleranceMs: 10 * MINUTE_MS })).toEqual(payload);
    expect(await refusalOf(verify(signed(), SECRET, { now, toleranceMs: 1_000 }))).toContain(
      "480 s in the past",
    );
  });

  test("takes the present for now", async () => {
    const justNow = Math.floor(Date.now() / 1_000) * 1_000;
    expect(await verifyCallback(signed(SECRET, undefined, justNow), SECRET)).toEqual(payload);
    expect(await refusalOf(verifyCallback(signed(SECRET, undefined, 1_000), SECRET))).toContain(
      "in the past",
    );
  });

  test.each(["", "1.5", "-1", "soon", "1e9"])("refuses the timestamp %j", async (timestamp) => {
    const { headers, body } = signed();
    const message = await refusalOf(
      verify({ headers: { ...headers, "webhook-timestamp": timestamp }, body }),
    );
    expect(message).toContain("webhook-timestamp");
  });

  test.each(["whsec_", "", "whsec_%%%"])("refuses the secret %j", async (secret) => {
    expect(await refusalOf(verify(signed(), secret))).toBe("expected a secret of whsec_ and base64");
  });

  test("refuses to verify without a secret", async () => {
    expect(await refusalOf(verify(signed(), []))).toBe("expected at least one secret, got none");
  });

  test("refuses a request whose body was read", async () => {
    const { headers, body } = signed();
    const request = new Request("https://me.example.com/hook", { method: "POST", headers, body });
    await request.text();
    expect(await refusalOf(verify(request))).toContain("body was read before");
  });

  test("refuses a signed body that is no JSON", async () => {
    expect(await refusalOf(verify(signed(SECRET, "hello")))).toBe("the body is signed but is not JSON");
  });

  test("refuses a signed body that is no callback, and says where", async () => {
    const body = JSON.stringify({ ...payload, data: { ...payload.data, history: "none" } });
    expect(await refusalOf(verify(signed(SECRET, body)))).toContain("is no callback: data.history: ");
  });
});
