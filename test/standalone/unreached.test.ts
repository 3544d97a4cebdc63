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

test.each([
  ["hangs up", ["FIN"]],
  ["resets", ["RST"]],
  ["answers what is no HTTP", ["SSH-2.0-x\r\n", "FIN"]],
] as const)(
  "a target that %s is reset, and opens no breaker as one that cannot be connected to",
  async (_, answer) => {
    const url = await targetOf(answer);
    for (let i = 0; i < 6; i++) {
      expect(await onlyAttempt(url)).toMatchObject({ status: 0, error_type: "reset" });
    }
    const { body } = await ask(server, "GET", `/v1/breakers/${encodeURIComponent(new URL(url).origin)}`);
    expect(body).toMatchObject({ state: "closed" });
  },
);

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
