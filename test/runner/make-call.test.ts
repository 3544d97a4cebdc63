import { once } from "node:events";
import { createServer, type IncomingMessage, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { deflateSync, gzipSync } from "node:zlib";
import { Webhook } from "standardwebhooks";
import { afterEach, describe, expect, test } from "vitest";
import type { CallRequest } from "../../src/core/call/call.ts";
import { type CallPorts, makeCall } from "../../src/runner/make-call.ts";

const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const servers: Server[] = [];
const ports: CallPorts = { fetch, now: Date.now, checkUrl: () => ({ ok: true }) };

afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

describe("makeCall", () => {
  test("gives status, lower-case headers and body of the answer", async () => {
    const { origin } = await serve((_, answer) => {
      answer.writeHead(201, { "X-Kind": "made", "content-type": "text/plain" }).end("größer 🙂");
    });

    const result = await makeCall(buildRequest({ url: `${origin}/charge` }), ports);

    expect(result).toMatchObject({
      status: 201,
      headers: { "x-kind": "made", "content-type": "text/plain" },
      body: "größer 🙂",
      bodyEncoding: "utf8",
      truncated: false,
      error: null,
    });
  });

  test("sends method, headers and body as they are, and no content type of its own", async () => {
    const { origin, requests } = await serve((_, answer) => answer.end());

    await makeCall(
      buildRequest({ url: `${origin}/a?b=c`, method: "PUT", headers: { "x-one": "1" }, body: "ünï" }),
      ports,
    );

    expect(requests).toMatchObject([{ method: "PUT", url: "/a?b=c", body: Buffer.from("ünï") }]);
    expect(requests[0]?.headers).toMatchObject({ "x-one": "1", "content-length": "5" });
    expect(requests[0]?.headers).not.toHaveProperty("content-type");
  });

  test("sends bytes as they are", async () => {
    const { origin, requests } = await serve((_, answer) => answer.end());

    await makeCall(buildRequest({ url: origin, body: new Uint8Array([0, 255, 10]) }), ports);

    expect(requests[0]?.body).toEqual(Buffer.from([0, 255, 10]));
  });

  test.each([
    ["HEAD", 200],
    ["POST", 204],
  ])("gives an empty body for %s and %i", async (method, status) => {
    const { origin } = await serve((_, answer) => answer.writeHead(status).end());

    const result = await makeCall(buildRequest({ url: origin, method, body: null }), ports);

    expect(result).toMatchObject({ status, body: "", bodyEncoding: "utf8", truncated: false, error: null });
  });

  test("gives a body that is not UTF-8 in base64", async () => {
    const bytes = Buffer.from([0xff, 0xfe, 0x00]);
    const { origin } = await serve((_, answer) => answer.end(bytes));

    expect(await makeCall(buildRequest({ url: origin }), ports)).toMatchObject({
      body: bytes.toString("base64"),
      bodyEncoding: "base64",
    });
  });

  test("signs the body with the time of sending, as the public library verifies", async () => {
    const { origin, requests } = await serve((_, answer) => answer.end());
    const sign = { messageId: "tsk_1_1", secrets: [SECRET] };

    await makeCall(buildRequest({ url: origin, body: '{"a":"ü"}', sign }), ports);

    const [received] = requests;
    expect(received?.headers["webhook-id"]).toBe("tsk_1_1");
    const headers = received?.headers as Record<string, string>;
    expect(new Webhook(SECRET).verify(received?.body.toString() ?? "", headers)).toEqual({ a: "ü" });
  });

  test("ends in an error, sending nothing, where a secret cannot sign", async () => {
    const { origin, requests } = await serve((_, answer) => answer.end());

    const result = await makeCall(
      buildRequest({ url: origin, sign: { messageId: "m", secrets: ["x"] } }),
      ports,
    );

    expect(result).toMatchObject({ status: 0, error: { message: expect.stringContaining("secret") } });
    expect(requests).toEqual([]);
  });
});

describe("makeCall on a target that fails", () => {
  test("gives TimeoutError where no headers come in time", async () => {
    const { origin } = await serve(() => undefined);

    const result = await makeCall(buildRequest({ url: origin, timeoutMs: 40 }), ports);

    expect(result).toMatchObject({ status: 0, error: { name: "TimeoutError" } });
    expect(result.durationMs).toBeGreaterThanOrEqual(35);
  });

  test("keeps status and headers where the body does not end in time", async () => {
    const { origin } = await serve((_, answer) =>
      answer.writeHead(429, { "retry-after": "60" }).write("half"),
    );

    const result = await makeCall(buildRequest({ url: origin, timeoutMs: 40 }), ports);

    expect(result).toMatchObject({
      status: 429,
      headers: { "retry-after": "60" },
      bodyError: "timeout",
      error: null,
    });
    expect(result).toMatchObject({ body: "", truncated: true });
  });

  test("bounds all redirects together by one timeout", async () => {
    const { origin } = await serve((request, answer) => {
      setTimeout(() => answer.writeHead(307, { location: `${request.url}x` }).end(), 30);
    });

    const result = await makeCall(buildRequest({ url: origin, timeoutMs: 80, maxRedirects: 10 }), ports);

    expect(result.error?.name).toBe("TimeoutError");
  });

  test("keeps the status where the body breaks off, and nothing of the body", async () => {
    const { origin } = await serve((_, answer) => {
      answer.writeHead(200, { "content-length": "100" });
      answer.write("half", () => answer.destroy());
    });

    const result = await makeCall(buildRequest({ url: origin }), ports);

    expect(result).toMatchObject({ status: 200, body: "", truncated: true, bodyError: "reset", error: null });
  });

  test("says that the body cannot be decoded", async () => {
    // As workerd's own decoder fails.
    const body = new ReadableStream({
      pull: (controller) => controller.error(new TypeError("Gzip decompression failed.")),
    });
    const answering = async () => new Response(body, { headers: { "content-encoding": "gzip" } });

    const result = await makeCall(buildRequest(), { ...ports, fetch: answering });

    expect(result).toMatchObject({
      status: 200,
      body: "",
      truncated: true,
      bodyError: "decode",
      error: null,
    });
  });

  test("gives status 0 and the error where nobody listens", async () => {
    const { origin } = await serve((_, answer) => answer.end());
    servers.splice(0).forEach((server) => void server.close());

    expect(await makeCall(buildRequest({ url: origin }), ports)).toMatchObject({
      status: 0,
      error: { name: "TypeError", message: "fetch failed" },
    });
  });

  test("cuts a long error message", async () => {
    const failing = () => Promise.reject(new Error("x".repeat(10_000)));

    const result = await makeCall(buildRequest(), { ...ports, fetch: failing });

    expect(result.error?.message).toHaveLength(500);
  });

  test("keeps an exception that is no Error", async () => {
    const failing = () => Promise.reject("gone");

    const result = await makeCall(buildRequest(), { ...ports, fetch: failing });

    expect(result.error).toEqual({ name: "Error", message: "gone" });
  });
});

describe("makeCall on a large answer", () => {
  const CAP = 65_536;

  test("keeps a body of just the cap whole", async () => {
    const { origin } = await serve((_, answer) => answer.end("a".repeat(CAP)));

    const result = await makeCall(buildRequest({ url: origin }), ports);

    expect(result).toMatchObject({ truncated: false, body: "a".repeat(CAP) });
  });

  test("cuts a body one byte over the cap", async () => {
    const { origin } = await serve((_, answer) => answer.end("a".repeat(CAP + 1)));

    const result = await makeCall(buildRequest({ url: origin }), ports);

    expect(result).toMatchObject({ truncated: true, body: "a".repeat(CAP), error: null });
  });

  test.each([1, 2, 3])("leaves out a character that the cap cuts after its byte %i", async (bytesKept) => {
    const before = "a".repeat(CAP - bytesKept);
    const { origin } = await serve((_, answer) => answer.end(`${before}🙂 and more`));

    const result = await makeCall(buildRequest({ url: origin }), ports);

    expect(result).toMatchObject({ truncated: true, bodyEncoding: "utf8" });
    expect(result.body === before).toBe(true);
  });

  test("takes a whole body that ends amid a character for bytes", async () => {
    const bytes = Buffer.from("ab🙂").subarray(0, 4);
    const { origin } = await serve((_, answer) => answer.end(bytes));

    expect(await makeCall(buildRequest({ url: origin }), ports)).toMatchObject({
      body: bytes.toString("base64"),
      bodyEncoding: "base64",
    });
  });

  test("closes the connection of a body that never ends", async () => {
    let closed: Promise<unknown> | undefined;
    const { origin } = await serve((_, answer) => {
      closed = once(answer, "close");
      const more = () => {
        while (!answer.destroyed && answer.write("a".repeat(10_000)));
        answer.once("drain", more);
      };
      more();
    });

    const result = await makeCall(buildRequest({ url: origin }), ports);
    await closed;

    expect(result).toMatchObject({ status: 200, truncated: true });
  });

  test("leaves out the headers that do not fit into 64 KB", async () => {
    const wide = { "x-1": "v".repeat(40_000), "x-2": "v".repeat(40_000), "x-3": "v".repeat(20_000) };
    const answering = async () => new Response(null, { headers: { ...wide, "x-4": "v" } });

    const result = await makeCall(buildRequest(), { ...ports, fetch: answering });

    expect(Object.keys(result.headers)).toEqual(["x-1", "x-3", "x-4"]);
  });

  test("joins headers of the same name", async () => {
    const { origin } = await serve((_, answer) => answer.setHeader("set-cookie", ["a=1", "b=2"]).end());

    expect((await makeCall(buildRequest({ url: origin }), ports)).headers["set-cookie"]).toBe("a=1, b=2");
  });
});

describe("makeCall on a coded body", () => {
  const coded = (bytes: Uint8Array, coding: string) => async () =>
    new Response(new Uint8Array(bytes), {
      headers: { "content-encoding": coding, "content-length": String(bytes.length) },
    });

  test.each([
    ["x-gzip", gzipSync("text")],
    ["X-GZIP", gzipSync("text")],
    ["Gzip", gzipSync("text")],
    ["deflate", deflateSync("text")],
    ["identity, x-gzip", gzipSync("text")],
    ["deflate, gzip", gzipSync(deflateSync("text"))],
  ])("undoes %s, and drops the headers of the coded one", async (coding, bytes) => {
    const result = await makeCall(buildRequest(), { ...ports, fetch: coded(bytes, coding) });
    expect(result).toMatchObject({ body: "text", truncated: false, headers: {}, error: null });
    expect(result).not.toHaveProperty("bodyError");
  });

  test.each(["zstd", "x-gzip, zstd", "x-gzip, x-gzip, x-gzip"])("leaves %s as it is", async (coding) => {
    const bytes = Uint8Array.of(0xff, 0);
    const result = await makeCall(buildRequest(), { ...ports, fetch: coded(bytes, coding) });
    expect(result).toMatchObject({ body: "/wA=", bodyEncoding: "base64" });
    expect(result.headers).toEqual({ "content-encoding": coding, "content-length": "2" });
  });

  test("cuts what a small body grows to", async () => {
    const result = await makeCall(buildRequest(), {
      ...ports,
      fetch: coded(gzipSync("a".repeat(9e6)), "x-gzip"),
    });
    expect(result).toMatchObject({ body: "a".repeat(65_536), truncated: true, error: null });
  });

  test.each(["x-gzip", "gzip", "deflate", "br"])("takes an empty body in %s for one", async (coding) => {
    const result = await makeCall(buildRequest(), { ...ports, fetch: coded(new Uint8Array(), coding) });
    expect(result).toMatchObject({ status: 200, body: "", truncated: false, error: null });
    expect(result).not.toHaveProperty("bodyError");
  });
});

describe("makeCall on a redirect", () => {
  test("gives the 3xx itself where no redirects are asked for", async () => {
    const { origin, requests } = await serve((_, answer) =>
      answer.writeHead(302, { location: "/b" }).end("see"),
    );

    const result = await makeCall(buildRequest({ url: origin, maxRedirects: 0 }), ports);

    expect(result).toMatchObject({ status: 302, headers: { location: "/b" }, body: "see", error: null });
    expect(requests).toHaveLength(1);
  });

  test("gives a 3xx that names no location", async () => {
    const { origin } = await serve((_, answer) => answer.writeHead(304).end());

    expect(await makeCall(buildRequest({ url: origin, maxRedirects: 3 }), ports)).toMatchObject({
      status: 304,
    });
  });

  test.each([
    ["POST", 301, "GET"],
    ["POST", 302, "GET"],
    ["POST", 303, "GET"],
    ["PUT", 303, "GET"],
    ["HEAD", 303, "HEAD"],
    ["PUT", 301, "PUT"],
    ["DELETE", 302, "DELETE"],
    ["POST", 307, "POST"],
    ["PATCH", 308, "PATCH"],
  ])("follows %s %i with %s as a browser does, where the task says so", async (method, status, expected) => {
    const { origin, requests } = await serve(redirectOnce(status, "/b"));
    const body = method === "HEAD" ? null : "text";
    const headers = { "content-type": "text/plain", "x-one": "1" };

    const request = buildRequest({
      url: origin,
      method,
      body,
      headers,
      maxRedirects: 1,
      redirectMode: "loose",
    });

    const result = await makeCall(request, ports);

    expect(result).toMatchObject({ status: 200, error: null });
    expect(requests[1]).toMatchObject({ method: expected, url: "/b", headers: { "x-one": "1" } });
    const kept = method === expected;
    expect(requests[1]?.headers["content-type"]).toBe(kept ? "text/plain" : undefined);
    expect(requests[1]?.body.toString()).toBe(kept && body !== null ? "text" : "");
  });

  test("keeps secret headers within the origin", async () => {
    const { origin, requests } = await serve(redirectOnce(307, "/b"));

    await makeCall(
      buildRequest({ url: origin, headers: { Authorization: "Bearer x" }, maxRedirects: 1 }),
      ports,
    );

    expect(requests[1]?.headers.authorization).toBe("Bearer x");
  });

  test.each([
    ["POST", 301],
    ["POST", 302],
    ["POST", 303],
    ["PUT", 303],
    ["DELETE", 303],
  ])("gives the answer to a %s that a %i would make a GET without body", async (method, status) => {
    const { origin, requests } = await serve(redirectOnce(status, "/b"));

    const result = await makeCall(
      buildRequest({ url: origin, method, body: "text", maxRedirects: 3 }),
      ports,
    );

    expect(result).toMatchObject({ status, headers: { location: "/b" }, body: "moved", error: null });
    expect(requests).toHaveLength(1);
  });

  test.each([
    ["PUT", 301],
    ["DELETE", 302],
    ["POST", 307],
    ["PATCH", 308],
  ])("follows a %s %i within the origin with all there is", async (method, status) => {
    const { origin, requests } = await serve(redirectOnce(status, "/b"));
    const headers = { "x-one": "1", authorization: "Bearer x", "idempotency-key": "i" };

    await makeCall(buildRequest({ url: origin, method, body: "text", headers, maxRedirects: 1 }), ports);

    expect(requests[1]).toMatchObject({ method, url: "/b", headers, body: Buffer.from("text") });
  });

  test.each([
    ["POST", "text", 307],
    ["POST", null, 307],
    ["PUT", "text", 308],
    ["OPTIONS", "text", 301],
  ])("does not follow a %s with body %j to another origin", async (method, body, status) => {
    const other = await serve((_, answer) => answer.end());
    const { origin } = await serve(redirectOnce(status, `${other.origin}/`));

    const result = await makeCall(buildRequest({ url: origin, method, body, maxRedirects: 1 }), ports);

    expect(result).toMatchObject({ status, error: null });
    expect(other.requests).toEqual([]);
  });

  test("takes a GET to another origin with no header of the task's, and does not bring them back", async () => {
    const home = await serve((_, answer) => answer.end());
    const other = await serve(redirectOnce(307, `${home.origin}/back`));
    const first = await serve(redirectOnce(302, `${other.origin}/`));
    const own = {
      "x-custom-pw": "s",
      "x-hub-key": "s",
      "idempotency-key": "i",
      "redrive-task-id": "t",
      Cookie: "a=b",
    };
    const headers = { ...own, "user-agent": "Redrive" };

    const request = buildRequest({ url: first.origin, method: "GET", headers, maxRedirects: 2 });
    expect(await makeCall(request, ports)).toMatchObject({ status: 200 });

    for (const received of [other.requests[0], home.requests[0]]) {
      expect(received?.headers["user-agent"]).toBe("Redrive");
      const names = Object.keys(own).map((name) => name.toLowerCase());
      expect(names.filter((name) => received && name in received.headers)).toEqual([]);
    }
  });

  test("refuses two Location headers", async () => {
    const { origin, requests } = await serve((_, answer) =>
      answer
        .writeHead(
          307,
          [
            ["location", "/same"],
            ["location", "/same2"],
          ].flat(),
        )
        .end(),
    );

    const result = await makeCall(buildRequest({ url: origin, maxRedirects: 3 }), ports);

    expect(result.error).toMatchObject({
      name: "RedirectRefusedError",
      message: expect.stringContaining("one URL"),
    });
    expect(requests).toHaveLength(1);
  });

  test("asks of each hop where it came from", async () => {
    const { origin } = await serve(redirectOnce(307, "/b"));
    const asked: string[][] = [];
    const checkUrl = (...hop: [string, string]) => {
      asked.push(hop);
      return { ok: true };
    };

    await makeCall(buildRequest({ url: `${origin}/a`, maxRedirects: 1 }), { ...ports, checkUrl });

    expect(asked).toEqual([[`${origin}/b`, `${origin}/a`]]);
  });

  test("drops secret headers for another origin in mode loose, and does not bring them back", async () => {
    const home = await serve((_, answer) => answer.end());
    const other = await serve(redirectOnce(307, `${home.origin}/back`));
    const first = await serve(redirectOnce(307, `${other.origin}/`));
    const headers = { Authorization: "Bearer x", Cookie: "a=b", "X-Api-Key": "k", "Idempotency-Key": "i" };

    const request = buildRequest({ url: first.origin, headers, maxRedirects: 2, redirectMode: "loose" });
    await makeCall(request, ports);

    for (const received of [other.requests[0], home.requests[0]]) {
      expect(received?.headers).toMatchObject({ "idempotency-key": "i" });
      const names = Object.keys(received?.headers ?? {});
      expect(names.filter((name) => /authorization|cookie|api-key/.test(name))).toEqual([]);
    }
  });

  test("refuses a hop that is not allowed, without calling it", async () => {
    const other = await serve((_, answer) => answer.end());
    const { origin } = await serve(redirectOnce(302, `${other.origin}/x`));
    const checkUrl = (url: string) => ({
      ok: url !== `${other.origin}/x`,
      message: "expected a public host",
    });

    const result = await makeCall(buildRequest({ url: origin, maxRedirects: 5 }), { ...ports, checkUrl });

    expect(result).toMatchObject({
      status: 0,
      error: { name: "RedirectRefusedError", message: "expected a public host" },
    });
    expect(other.requests).toEqual([]);
  });

  test("refuses a location that is no URL", async () => {
    const { origin } = await serve((_, answer) => answer.writeHead(302, { location: "http://[" }).end());

    const result = await makeCall(buildRequest({ url: origin, maxRedirects: 5 }), ports);

    expect(result.error?.name).toBe("RedirectRefusedError");
  });

  test("ends after as many redirects as were asked for", async () => {
    const { origin, requests } = await serve((_, answer) =>
      answer.writeHead(307, { location: "/again" }).end(),
    );

    const result = await makeCall(buildRequest({ url: origin, maxRedirects: 2 }), ports);

    expect(result).toMatchObject({ status: 0, error: { name: "TooManyRedirectsError" } });
    expect(requests).toHaveLength(3);
  });
});

interface Received {
  method: string | undefined;
  url: string | undefined;
  headers: IncomingMessage["headers"];
  body: Buffer;
}

/** A server on a free port that notes each request before it answers. */
async function serve(listener: RequestListener): Promise<{ origin: string; requests: Received[] }> {
  const requests: Received[] = [];
  const server = createServer(async (request, answer) => {
    const { method, url, headers } = request;
    requests.push({ method, url, headers, body: await buffer(request) });
    listener(request, answer);
  });
  servers.push(server);
  await once(server.listen(0, "127.0.0.1"), "listening");
  return { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests };
}

/** Redirects the first request and answers 200 to the others. */
function redirectOnce(status: number, location: string): RequestListener {
  let redirected = false;
  return (_, answer) => {
    if (redirected) return void answer.end();
    redirected = true;
    answer.writeHead(status, { location }).end("moved");
  };
}

function buildRequest(overrides: Partial<CallRequest> = {}): CallRequest {
  return {
    url: "http://127.0.0.1:9/",
    method: "POST",
    headers: {},
    body: null,
    timeoutMs: 5_000,
    maxRedirects: 0,
    sign: null,
    ...overrides,
  };
}
