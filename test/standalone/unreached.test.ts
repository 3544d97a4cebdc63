import { afterAll, beforeAll, expect, test } from "vitest";
import type { RedriveClient } from "../../src/client/index.ts";
import type { BreakerView } from "../../src/schema/breaker.ts";
import type { AttemptView } from "../../src/schema/task.ts";
import { SELF_SIGNED } from "../support/server/certificates.ts";
import { type RawAnswer, raw, startRawTarget } from "../support/server/raw-target.ts";
import { startServer, type TestServer } from "../support/server/server.ts";
import { ask, clientOf, eventually, taskWhen } from "../support/server/stories.ts";
import { startTarget } from "../support/server/target.ts";

const HELLO = raw("HTTP/1.1 200 OK\nContent-Length: 0");

const SHARDS = 4;

let server: TestServer;
let client: RedriveClient;
const targets: { stop(): Promise<void> }[] = [];

beforeAll(async () => {
  server = await startServer();
  client = clientOf(server);
});
afterAll(async () => {
  await Promise.all([server.stop(), ...targets.map((target) => target.stop())]);
});

async function targetOf(answer: RawAnswer, tls?: typeof SELF_SIGNED): Promise<string> {
  const target = await startRawTarget(() => answer, tls);
  targets.push(target);
  return target.url;
}

async function plainTarget(): Promise<string> {
  const target = await startTarget(() => ({ status: 200 }));
  targets.push(target);
  return target.url;
}

async function onlyAttempt(url: string): Promise<AttemptView | undefined> {
  const { id } = await client.submit({ url, retry: { max_attempts: 1 } });
  const { attempts } = await taskWhen(client, id, ({ state }) => state === "failed");
  return attempts[0];
}

test.each([
  [
    "a certificate that signs itself",
    () => targetOf(HELLO, SELF_SIGNED),
    "tls",
    /^TLS handshake failed: invalid peer certificate/,
  ],
  [
    "https to a port that speaks HTTP",
    async () => (await plainTarget()).replace("http:", "https:"),
    "tls",
    /^TLS handshake failed: \S/,
  ],
  [
    "a name that does not resolve",
    async () => "http://nowhere.invalid/",
    "dns",
    /^failed to lookup address information: \S/,
  ],
])("%s is told by its reason", async (_, target, error_type, reason) => {
  const url = await target();
  // On a busy machine the launcher may tell it too late.
  const attempt = await eventually("the reason is told", async () => {
    const one = await onlyAttempt(url);
    return one?.error_type === "network" ? null : one;
  });
  expect(attempt).toMatchObject({ status: 0, error_type, error_code: error_type });
  expect(attempt?.error_message).toMatch(reason);
});

const BREAKS_OFF = "connection reset before an answer came";
/** A target's answer to anything, and what is said of it. */
const ANSWERS: [string, RawAnswer, string, string][] = [
  ["hangs up", ["FIN"], "reset", BREAKS_OFF],
  ["resets", ["RST"], "reset", BREAKS_OFF],
  ["hangs up amid its headers", ["HTTP/1.1 200 OK\r\nContent-Le", "FIN"], "reset", BREAKS_OFF],
  [
    "speaks another protocol",
    ["SSH-2.0-x\r\n", "FIN"],
    "protocol",
    'what came is no HTTP: it begins with "SSH-2.0-x"',
  ],
  [
    "greets and goes on to listen",
    ["220 mail.example ESMTP\r\n"],
    "protocol",
    'what came is no HTTP: it begins with "220"',
  ],
  [
    "speaks TLS",
    [Uint8Array.of(0x15, 3, 1, 0, 2, 2, 0x16), "FIN"],
    "protocol",
    "what came is TLS: the URL may have to begin with https",
  ],
  [
    "folds a header",
    raw("HTTP/1.1 200 OK\nA: b\n c\nContent-Length: 0"),
    "protocol",
    "a header of the answer is folded over two lines (header line 2)",
  ],
  [
    "has a header without a name",
    raw("HTTP/1.1 200 OK\nA b: c\nContent-Length: 0"),
    "protocol",
    "a header of the answer has no valid name with a colon (header line 1)",
  ],
  [
    "says two lengths",
    raw("HTTP/1.1 200 OK\nContent-Length: 2\nContent-Length: 3", "ok"),
    "protocol",
    "the answer has two different content-length headers",
  ],
];

test.each(ANSWERS)(
  "a target that %s is told as such, asked once, and opens no breaker as one that cannot be connected to",
  async (_, answer, error_type, error_message) => {
    const target = await startRawTarget(() => answer);
    targets.push(target);
    for (let i = 0; i < 6; i++) {
      const attempt = await onlyAttempt(`${target.url}hook?key=of-the-task`);
      expect(attempt).toMatchObject({ status: 0, error_type, error_message });
    }

    const asked = target.calls.filter(({ text }) => text.startsWith("OPTIONS "));
    expect(asked.map(({ text }) => text.split("\r\n")[0])).toEqual(["OPTIONS /hook HTTP/1.1"]);
    expect(asked[0]?.text).not.toMatch(/redrive-|idempotency|of-the-task/);
    expect(target.calls).toHaveLength(7);
    const { body } = await ask(
      server,
      "GET",
      `/v1/breakers/${encodeURIComponent(new URL(target.url).origin)}`,
    );
    expect(body).toMatchObject({ state: "closed" });
  },
);

test("a target that hangs up opens its breaker after ten calls in a row, those of a shard after its first", async () => {
  const target = await startRawTarget(() => ["FIN"]);
  targets.push(target);
  for (let i = 0; i < 9 + SHARDS; i++) await onlyAttempt(target.url);
  const breaker = await eventually("the breaker opens", async () => {
    const { body } = await ask(
      server,
      "GET",
      `/v1/breakers/${encodeURIComponent(new URL(target.url).origin)}`,
    );
    return (body as BreakerView).state === "open" ? (body as BreakerView) : null;
  });
  expect(breaker.audit.at(-1)?.reason).toMatch(/calls in a row got no answer/);
});

test("a port where nothing listens is connect", async () => {
  const target = await startTarget(() => ({ status: 200 }));
  await target.stop();
  const attempts = [await onlyAttempt(target.url), await onlyAttempt(target.url)];
  const refused = { error_type: "connect", error_message: "connection refused" };
  expect(attempts).toMatchObject([refused, refused]);
});

test("targets that give no connection open their breaker as such", async () => {
  const url = await targetOf(HELLO, SELF_SIGNED);
  for (let i = 0; i < 5; i++) await onlyAttempt(url);
  const breaker = await eventually("the breaker opens", async () => {
    const { body } = await ask(server, "GET", `/v1/breakers/${encodeURIComponent(new URL(url).origin)}`);
    return (body as BreakerView).state === "open" ? (body as BreakerView) : null;
  });
  expect(breaker.audit.at(-1)?.reason).toMatch(/could not connect/);
});
