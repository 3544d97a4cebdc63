import { afterEach, expect, test } from "vitest";
import { CallReasons } from "../../src/standalone/reasons/call-reasons.ts";
import { type ReasonServer, serveReasons } from "../../src/standalone/reasons/reason-server.ts";

const LOG =
  "workerd/jsg/util.c++:320: error: e = rust/worker/ffi.rs:104: failed: TLS handshake failed: invalid peer certificate\n" +
  "stack: workerd@2b5edc0 workerd@3fe4230; sentryErrorContext = jsgInternalError; wdErrId = asf987nhg3\n";

let server: ReasonServer | undefined;
afterEach(() => server?.stop());

test("a reason is found by its reference wherever the log is cut, and given once", async () => {
  for (let cut = 0; cut < LOG.length; cut++) {
    const reasons = new CallReasons();
    reasons.read(`${LOG.replace("asf987nhg3", "other")}some words\n${LOG.slice(0, cut)}`);
    reasons.read(LOG.slice(cut));
    expect(await reasons.take("asf987nhg3", 0)).toBe("TLS handshake failed: invalid peer certificate");
    expect(await reasons.take("asf987nhg3", 0)).toBeNull();
  }
});

test("an entry without a reference lends its reason to no other", async () => {
  const reasons = new CallReasons();
  reasons.read("a.c++:1: error: e = b.rs:1: failed: not this\nstack: workerd@1\n");
  reasons.read(LOG);
  expect(await reasons.take("asf987nhg3", 0)).toBe("TLS handshake failed: invalid peer certificate");
});

test("a reason that comes later is waited for", async () => {
  const reasons = new CallReasons();
  const taken = reasons.take("asf987nhg3", 60_000);
  reasons.read(LOG);
  expect(await taken).toBe("TLS handshake failed: invalid peer certificate");
});

test("the oldest of too many is forgotten", async () => {
  const reasons = new CallReasons();
  for (let i = 0; i <= 1_000; i++) reasons.read(LOG.replace("asf987nhg3", `id${i}`));
  expect(await reasons.take("id0", 0)).toBeNull();
  expect(await reasons.take("id1", 0)).not.toBeNull();
});

test("only who has the token is told", async () => {
  const reasons = new CallReasons();
  reasons.read(LOG);
  server = await serveReasons(reasons);
  const { address, token } = server;
  const ask = async (authorization: string, path = "asf987nhg3") => {
    const answer = await fetch(`http://${address}/${path}`, { headers: { authorization } });
    return [answer.status, await answer.text()];
  };
  expect(await ask("")).toEqual([404, ""]);
  expect(await ask(`${token}x`)).toEqual([404, ""]);
  expect(await ask(token, "../asf987nhg3?")).toEqual([404, ""]);
  expect(await ask(token)).toEqual([200, "TLS handshake failed: invalid peer certificate"]);
  expect(await ask(token)).toEqual([404, ""]);
});
