import { deflateSync, gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { RedriveClient } from "../../src/client/index.ts";
import type { TaskView } from "../../src/schema/task.ts";
import { type RawAnswer, type RawTarget, raw, startRawTarget } from "../support/server/raw-target.ts";
import { startServer, type TestServer } from "../support/server/server.ts";
import { clientOf, FAILS_ON_PURPOSE, taskWhen } from "../support/server/stories.ts";

const JSON_BODY = '{"a":1,"b":"two"}';
const GZIP = gzipSync(JSON_BODY);
const RETRY = {
  max_attempts: 2,
  backoff: { strategy: "fixed", initial_interval: "50ms", jitter: "none" },
} as const;

/** How a body breaks, as what follows the status line. */
const BROKEN = {
  "cut short": { head: "Content-Length: 50", acts: ['{"a":', "FIN"], bodyError: "reset" },
  "reset amid the body": { head: "Content-Length: 50", acts: ['{"a":', "RST"], bodyError: "reset" },
  "a chunk missing": {
    head: "Transfer-Encoding: chunked",
    acts: ["5\r\nhello\r\n", "FIN"],
    bodyError: "reset",
  },
  "a chunk size that is none": {
    head: "Transfer-Encoding: chunked",
    acts: ["zz\r\nhi\r\n"],
    bodyError: "reset",
  },
  "never ending": { head: "Transfer-Encoding: chunked", acts: ["2\r\n{}\r\n"], bodyError: "timeout" },
  "gzip that is none": {
    head: "Content-Encoding: gzip\nContent-Length: 7",
    acts: ['{"a":1}'],
    bodyError: "decode",
  },
  "brotli that is none": {
    head: "Content-Encoding: br\nContent-Length: 7",
    acts: ['{"a":1}'],
    bodyError: "decode",
  },
  "x-gzip that is none": {
    head: "Content-Encoding: x-gzip\nContent-Length: 7",
    acts: ['{"a":1}'],
    bodyError: "decode",
  },
} as const;

/** What each status means, however its body broke. */
const MEANINGS = [
  ["200 OK", { state: "succeeded", attempt_count: 1 }],
  ["400 No", { state: "failed", reason: "permanent", attempt_count: 1 }],
  ["410 Gone", { state: "failed", reason: "permanent", attempt_count: 1 }],
  ["489 No", { state: "failed", reason: "no_retry", attempt_count: 1 }],
  ["500 No\nRedrive-Retry: no", { state: "failed", reason: "no_retry", attempt_count: 1 }],
  ["429 Slow\nRetry-After: 60", { state: "retrying", attempt_count: 1 }],
  ["503 Slow\nRetry-After: 60", { state: "retrying", attempt_count: 1 }],
] as const;

let server: TestServer;
let client: RedriveClient;
const targets: RawTarget[] = [];

beforeAll(async () => {
  server = await startServer();
  client = clientOf(server);
  await client.queues.put("q", { ...FAILS_ON_PURPOSE, timeout: "1s", retry: RETRY });
});
afterAll(async () => {
  await Promise.all([server?.stop(), ...targets.map((target) => target.stop())]);
});

async function targetThat(answer: RawAnswer): Promise<RawTarget> {
  const target = await startRawTarget(() => answer);
  targets.push(target);
  return target;
}

/** The task once its first attempt has ended. */
async function tried(url: string): Promise<TaskView> {
  const { id } = await client.submit({ url, queue: "q", body: {} });
  return taskWhen(client, id, ({ attempts }) => (attempts[0]?.decision ?? null) !== null);
}

describe.concurrent("an answer whose body broke", () => {
  for (const [how, { head, acts, bodyError }] of Object.entries(BROKEN)) {
    for (const [status, meaning] of MEANINGS) {
      test.concurrent(`${how}: its status ${JSON.stringify(status)} decides`, async () => {
        const target = await targetThat([...raw(`HTTP/1.1 ${status}\n${head}`), ...acts]);

        const task = await tried(target.url);

        expect(task).toMatchObject({
          ...meaning,
          attempts: [{ status: Number.parseInt(status, 10), body_error: bodyError }],
          response: { status: Number.parseInt(status, 10), body: "", truncated: true },
        });
        expect(target.calls).toHaveLength(1);
      });
    }
  }

  test.concurrent("makes a rule about its body not hold, and says why", async () => {
    const rules = [
      { when: "status == 200 && body.state == 'queued'", do: "retry" },
      { when: "body_error == reset", do: "hold", until: "signal" },
    ] as const;
    await client.queues.put("ruled", { ...FAILS_ON_PURPOSE, retry: { ...RETRY, rules: [...rules] } });
    const target = await targetThat([...raw("HTTP/1.1 200 OK\nContent-Length: 50", "{"), "FIN"]);

    const { id } = await client.submit({ url: target.url, queue: "ruled", body: {} });

    const task = await taskWhen(client, id, ({ state }) => state === "held");
    expect(task.attempts[0]?.rule).toContain(
      "rules[1]: body_error == reset (rules[0] failed: the body broke: reset)",
    );
  });

  test.concurrent.each([
    ["200 OK", "delivered"],
    ["410 Gone", "failed"],
    ["489 No", "failed"],
  ])("of a callback's receiver: %s decides", async (status, state) => {
    const target = await targetThat(raw("HTTP/1.1 200 OK\nContent-Length: 0"));
    const receiver = await targetThat([...raw(`HTTP/1.1 ${status}\nContent-Length: 9`, "{"), "FIN"]);

    const { id } = await client.submit({ url: target.url, queue: "q", callback: { url: receiver.url } });

    const isOver = ({ callback }: TaskView) =>
      callback?.state === "delivered" || callback?.state === "failed";
    const { callback } = await taskWhen(client, id, isOver);
    expect(callback).toMatchObject({ state, attempts: [{ body_error: "reset" }] });
    expect(receiver.calls).toHaveLength(1);
  });
});

describe.concurrent("an empty body under a coding", () => {
  const codings = ["gzip", "br", "x-gzip", "deflate", "GZIP"];
  const lengths = [
    ["Content-Length: 0", ""],
    ["Transfer-Encoding: chunked", "0\r\n\r\n"],
  ] as const;
  for (const coding of codings) {
    for (const [length, body] of lengths) {
      test.concurrent(`${coding}, ${length}: is an empty body`, async () => {
        const target = await targetThat(raw(`HTTP/1.1 200 OK\nContent-Encoding: ${coding}\n${length}`, body));

        expect(await tried(target.url)).toMatchObject({
          state: "succeeded",
          attempts: [{ status: 200, body_error: null }],
          response: { status: 200, body: "", truncated: false },
        });
      });
    }
  }

  test.concurrent("is a ready answer to the probe of a held task", async () => {
    const empty = "HTTP/1.1 200 OK\nContent-Encoding: gzip\nContent-Length: 0";
    const probed = await targetThat(raw(empty));
    const target = await startRawTarget(({ number, connection }) =>
      raw(number + connection === 2 ? "HTTP/1.1 402 Pay\nContent-Length: 0" : empty),
    );
    targets.push(target);
    const until = { probe: { url: probed.url, period: "1s" } };
    const retry = { ...RETRY, rules: [{ when: "status == 402", do: "hold" as const, until }] };

    const { id } = await client.submit({ url: target.url, queue: "q", retry });

    await taskWhen(client, id, ({ state }) => state === "succeeded");
  });
});

describe.concurrent("a coded body", () => {
  test.concurrent.each([
    ["gzip", GZIP],
    ["GZIP", GZIP],
    ["x-gzip", GZIP],
    ["deflate", deflateSync(JSON_BODY)],
    ["deflate, gzip", gzipSync(deflateSync(JSON_BODY))],
  ])("in %s is kept decoded, without the headers of the coded one", async (coding, bytes) => {
    const head = `HTTP/1.1 200 OK\nContent-Type: application/json\nContent-Encoding: ${coding}\nContent-Length: ${bytes.length}`;
    const target = await targetThat(raw(head, bytes));

    const { response } = await tried(target.url);

    expect(response).toEqual({
      status: 200,
      headers: { "content-type": "application/json" },
      body: JSON_BODY,
      body_encoding: "utf8",
      truncated: false,
    });
  });

  test.concurrent("in a coding that is not known stays as it came, headers and all", async () => {
    const head = "HTTP/1.1 200 OK\nContent-Encoding: zstd\nContent-Length: 4";
    const target = await targetThat(raw(head, Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd)));

    expect((await tried(target.url)).response).toMatchObject({
      headers: { "content-encoding": "zstd", "content-length": "4" },
      body: "KLUv/Q==",
      body_encoding: "base64",
    });
  });
});
