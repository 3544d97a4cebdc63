import { once } from "node:events";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startServer, type TestServer } from "../../support/server/server.ts";

let server: TestServer;
let port: number;

beforeAll(async () => {
  server = await startServer({ env: { REDRIVE_OWN_HOSTS: "build.lan" } });
  port = Number(new URL(server.url).port);
});
afterAll(() => server.stop());

describe("a host", () => {
  const PATHS = [
    "/healthz",
    "/readyz",
    "/docs",
    "/openapi.json",
    "/v1/tasks",
    "/sandbox/inbox",
    "/sandbox/target",
    "/nowhere",
  ];

  test.each(PATHS)("that is a stranger's name gets nothing of %s, with the key too", async (path) => {
    const answer = await raw(`GET ${path}`, { host: `evil.example:${port}`, ...withKey() });

    expect(answer.status).toBe(421);
    expect(answer.body).toMatchObject({
      code: "misdirected_request",
      detail: expect.stringContaining(`got "evil.example:${port}"; name it in REDRIVE_OWN_HOSTS`),
    });
  });

  test.each(["127.0.0.1", "localhost", "LOCALHOST.", "[::1]", "build.lan", "192.168.7.7"])(
    "%s is served",
    async (host) => {
      expect((await raw("GET /healthz", { host })).status).toBe(200);
      expect((await raw("GET /healthz", { host: `${host}:${port}` })).status).toBe(200);
    },
  );
});

describe("a page of another origin", () => {
  const own = () => ({ host: `127.0.0.1:${port}` });

  test.each(["http://evil.example", "http://127.0.0.1:3000", "null"])(
    "%s posts nothing into the inbox",
    async (origin) => {
      await raw("DELETE /sandbox/inbox", { ...own(), ...withKey() });
      const headers = { ...own(), origin, "content-type": "text/plain", "content-length": "2" };
      const answer = await raw("POST /sandbox/inbox", headers, "{}");

      expect(answer.status).toBe(403);
      expect(answer.body).toMatchObject({
        code: "forbidden",
        detail: expect.stringContaining("without an API key"),
      });
      expect((await raw("GET /sandbox/inbox", { ...own(), ...withKey() })).body).toMatchObject({ total: 0 });
    },
  );

  test("that is this server itself may, and so may a program, which has no origin", async () => {
    for (const origin of [{ origin: server.url }, {}]) {
      const headers = { ...own(), ...origin, "content-length": "2" };
      expect((await raw("POST /sandbox/inbox", headers, "{}")).status).toBe(204);
    }
  });
});

describe("the sandbox's inbox", () => {
  test.each(["GET", "DELETE"])("takes the key for %s", async (method) => {
    const host = `127.0.0.1:${port}`;
    expect((await raw(`${method} /sandbox/inbox`, { host })).status).toBe(401);
    expect((await raw(`${method} /sandbox/inbox`, { host, ...withKey() })).status).toBeLessThan(300);
  });
});

describe("a target", () => {
  test.each([
    ["own port", () => `http://127.0.0.1:${port}/healthz`, 400],
    ["own port by another name", () => `http://localhost:${port}/v1/tasks`, 400],
    ["own sandbox", () => `http://127.0.0.1:${port}/sandbox/target`, 202],
    ["own host name", () => "http://build.lan/", 400],
  ])("%s is answered rightly", async (_, url, status) => {
    expect((await submit(url())).status).toBe(status);
  });

  test("own breaker can be looked at", async () => {
    const key = encodeURIComponent(server.url);
    const response = await fetch(`${server.url}/v1/breakers/${key}`, { headers: withKey() });
    expect(await response.json()).toMatchObject({ code: "breaker_not_found" });
  });
});

function submit(url: string): Promise<Response> {
  return fetch(`${server.url}/v1/tasks`, {
    method: "POST",
    headers: { ...withKey(), "content-type": "application/json" },
    body: JSON.stringify({ url }),
  });
}

function withKey() {
  return { authorization: `Bearer ${server.apiKey}` };
}

/** A request as it is written here, whatever a client would make of it. */
async function raw(
  line: string,
  headers: Record<string, string>,
  body = "",
): Promise<{ status: number; body: unknown }> {
  const socket = connect(port, "127.0.0.1");
  await once(socket, "connect");
  const fields = Object.entries({ ...headers, connection: "close" }).map(
    ([name, value]) => `${name}: ${value}\r\n`,
  );
  socket.end(`${line} HTTP/1.1\r\n${fields.join("")}\r\n${body}`);
  const answer = await text(socket);
  const [head = "", ...rest] = answer.split("\r\n\r\n");
  const json = /\{.*\}/s.exec(rest.join(""))?.[0];
  return { status: Number(head.split(" ")[1]), body: json === undefined ? null : JSON.parse(json) };
}
