import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TlsOptions } from "node:tls";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { RedriveClient } from "../../src/client/index.ts";
import { EXPIRED, OF_THE_CA, OTHER_NAME, TEST_CA } from "../support/server/certificates.ts";
import { type RawTarget, raw, startRawTarget } from "../support/server/raw-target.ts";
import { startServer, type TestServer } from "../support/server/server.ts";
import { clientOf, eventually, taskWhen } from "../support/server/stories.ts";

let folder: string;
let server: TestServer;
let client: RedriveClient;
const targets: RawTarget[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "redrive-ca-"));
  await writeFile(join(folder, "ca.pem"), TEST_CA);
  server = await startServer({ env: { NODE_EXTRA_CA_CERTS: join(folder, "ca.pem") } });
  client = clientOf(server);
});
afterAll(async () => {
  await Promise.all([server?.stop(), ...targets.map((target) => target.stop())]);
  await rm(folder, { recursive: true });
});

async function targetWith(certificate: TlsOptions): Promise<string> {
  const target = await startRawTarget(() => raw("HTTP/1.1 200 OK\nContent-Length: 0"), certificate);
  targets.push(target);
  return target.url;
}

test("a target with a certificate of an authority that the operator trusts is called", async () => {
  const { id } = await client.submit({ url: await targetWith(OF_THE_CA), retry: { max_attempts: 1 } });
  const { state } = await taskWhen(client, id, ({ state }) => state === "succeeded" || state === "failed");
  expect(state).toBe("succeeded");
});

test.each([
  ["has expired", EXPIRED, /^TLS handshake failed: invalid peer certificate: certificate expired: /],
  [
    "is for another name",
    OTHER_NAME,
    /^TLS handshake failed: invalid peer certificate: certificate not valid for name "127\.0\.0\.1"/,
  ],
])("a certificate that %s is tls, and its reason is told", async (_, certificate, reason) => {
  const url = await targetWith(certificate);
  // On a busy machine the launcher may tell it too late.
  const attempt = await eventually("the reason is told", async () => {
    const { id } = await client.submit({ url, retry: { max_attempts: 1 } });
    const { attempts } = await taskWhen(client, id, ({ state }) => state === "failed");
    return attempts[0]?.error_type === "network" ? null : attempts[0];
  });
  expect(attempt).toMatchObject({ status: 0, error_type: "tls", error_code: "tls" });
  expect(attempt?.error_message).toMatch(reason);
});
