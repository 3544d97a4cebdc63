import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, test, vi } from "vitest";
import type { CallRequest } from "../../src/core/call/call.ts";
import type { Env } from "../../src/platform/env.ts";
import type { Grant, SettleAnswer, SettleMessage } from "../../src/protocol/grant.ts";
import { type CallPorts, makeCall } from "../../src/runner/make-call.ts";
import { ROOM, Runner } from "../../src/runner/runner.ts";

const bindings = env as unknown as Env;
const ACCEPTED: SettleAnswer = { status: "accepted", callback: null, next: [] };

afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

describe("makeCall in workerd", () => {
  test("keeps the status and says that the body did not end in time", async () => {
    const { response, fail } = endlessAnswer("half");
    // As the runtime's own fetch does: the signal ends the body too.
    const fetch: CallPorts["fetch"] = async (_, init) => {
      init?.signal?.addEventListener("abort", () => fail(init.signal?.reason));
      return response;
    };

    const result = await makeCall(buildRequest({ timeoutMs: 20 }), portsWith(fetch));

    expect(result).toMatchObject({ status: 200, body: "", error: null, bodyError: "timeout" });
  });

  test("cuts a body at 64 KB and cancels the rest", async () => {
    const { response, whenCancelled } = endlessAnswer("a".repeat(10_000), true);

    const result = await makeCall(
      buildRequest(),
      portsWith(async () => response),
    );
    await whenCancelled;

    expect(result).toMatchObject({ status: 200, truncated: true, body: "a".repeat(65_536) });
  });

  test.each([1, 2, 3])("leaves out a character that the cap cuts after its byte %i", async (bytesKept) => {
    const before = "a".repeat(65_536 - bytesKept);
    const fetch = async () => new Response(`${before}🙂 and more`);

    const result = await makeCall(buildRequest(), portsWith(fetch));

    expect(result).toMatchObject({ truncated: true, bodyEncoding: "utf8" });
    expect(result.body === before).toBe(true);
  });

  test("gives a body that is not UTF-8 in base64", async () => {
    const fetch = async () => new Response(new Uint8Array([0xff, 0xfe, 0x00]));

    expect(await makeCall(buildRequest(), portsWith(fetch))).toMatchObject({
      body: "//4A",
      bodyEncoding: "base64",
    });
  });

  test("gives the runtime's own exception for an address it does not take", async () => {
    const result = await makeCall(
      buildRequest({ url: "ftp://example.com/" }),
      portsWith((...call) => fetch(...call)),
    );

    expect(result).toMatchObject({ status: 0, error: { name: "TypeError" } });
  });
});

describe("Runner", () => {
  test("starts as many calls as it has room for, and answers while they go on", async () => {
    const target = heldTarget();
    await withRunner(async (runner) => {
      const answer = await runner.run({ grants: buildGrants(ROOM + 2) });

      expect(answer).toEqual({ started: ROOM });
      await target.whenCalled(ROOM);
      expect(target.called).toEqual([1, 2, 3, 4, 5, 6].map(targetUrl));
      expect(await runner.run({ grants: buildGrants(1) })).toEqual({ started: 0 });
      target.answerAll();
    });
  });

  test("is reached by RPC, and starts nothing where there is nothing", async () => {
    expect(await runnerStub().run({ grants: [] })).toEqual({ started: 0 });
  });

  test("settles each call as it ends, and has room again for as many", async () => {
    const target = heldTarget();
    await withRunner(async (runner, shard) => {
      await runner.run({ grants: buildGrants(ROOM) });
      await target.whenCalled(ROOM);
      target.answer(targetUrl(3));
      target.answer(targetUrl(5));
      await shard.whenSettled(2);
      await nextTurn();

      expect(shard.settled.map((message) => message.id).sort()).toEqual(["tsk_3", "tsk_5"]);
      expect(await runner.run({ grants: buildGrants(ROOM, 10) })).toEqual({ started: 2 });
      target.answerAll();
    });
  });

  test("goes on in the same slot with the grant that a settle brings", async () => {
    const target = heldTarget();
    const [second] = buildGrants(1, 20);
    await withRunner(
      async (runner, shard) => {
        await runner.run({ grants: buildGrants(1) });
        await target.whenCalled(1);
        target.answer(targetUrl(1));
        await target.whenCalled(2);

        expect(shard.settled).toMatchObject([{ id: "tsk_1", want: 1, edgeElapsedMs: null }]);
        expect(target.called[1]).toBe(targetUrl(20));
        expect(await runner.run({ grants: buildGrants(ROOM, 30) })).toEqual({ started: ROOM - 1 });
        target.answerAll();
      },
      [{ ...ACCEPTED, next: second ? [second] : [] }],
    );
  });

  test("wants no further grants once 60 s have passed since the run began", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const target = heldTarget();
    await withRunner(async (runner, shard) => {
      await runner.run({ grants: buildGrants(2) });
      await target.whenCalled(2);
      vi.setSystemTime(Date.now() + 59_999);
      target.answer(targetUrl(1));
      await shard.whenSettled(1);
      vi.setSystemTime(Date.now() + 1);
      target.answer(targetUrl(2));
      await shard.whenSettled(2);

      expect(shard.settled.map((message) => message.want)).toEqual([1, 0]);
    });
  });
});

/** A Runner in a real object's context, whose shard answers by the script and "accepted" after it. */
async function withRunner(
  story: (runner: Runner, shard: ReturnType<typeof fakeShard>) => Promise<void>,
  script: SettleAnswer[] = [],
): Promise<void> {
  await runInDurableObject(runnerStub(), async (_, context) => {
    const shard = fakeShard(script);
    const namespace = { getByName: () => shard } as unknown as Env["SHARD"];
    await story(new Runner(context, { ...bindings, SHARD: namespace }), shard);
  });
}

function runnerStub() {
  return bindings.RUNNER.getByName(crypto.randomUUID());
}

function fakeShard(script: SettleAnswer[]) {
  const messages = awaitableList<SettleMessage>();
  const settle = async (message: SettleMessage): Promise<SettleAnswer> => {
    messages.push(message);
    return script[messages.items.length - 1] ?? ACCEPTED;
  };
  return {
    settled: messages.items,
    whenSettled: messages.whenLength,
    settle,
    settleAll: (batch: SettleMessage[]) => Promise.all(batch.map(settle)),
  };
}

/** Stands for the network: each call waits until the test answers it. */
function heldTarget() {
  const calls = awaitableList<string>();
  const answerByUrl = new Map<string, () => void>();
  vi.stubGlobal("fetch", (url: string) => {
    const { promise, resolve } = Promise.withResolvers<Response>();
    answerByUrl.set(url, () => resolve(new Response("fine")));
    calls.push(url);
    return promise;
  });
  return {
    called: calls.items,
    whenCalled: calls.whenLength,
    answer: (url: string) => answerByUrl.get(url)?.(),
    answerAll: () => answerByUrl.forEach((answer) => void answer()),
  };
}

/** A list that can be waited for until it has a length. */
function awaitableList<T>() {
  const items: T[] = [];
  const checks = new Set<() => void>();
  return {
    items,
    push(item: T) {
      items.push(item);
      for (const check of checks) check();
    },
    whenLength: (length: number) =>
      new Promise<void>((resolve) => {
        const check = () => (items.length >= length ? resolve() : undefined);
        checks.add(check);
        check();
      }),
  };
}

/** Ends after everything that is ready to run has run. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}

/** An answer whose body begins with `text` and never ends by itself; with `forever`, `text` comes again and again. */
function endlessAnswer(text: string, forever = false) {
  const { promise: whenCancelled, resolve: cancel } = Promise.withResolvers<void>();
  const bytes = new TextEncoder().encode(text);
  let fail = (_reason: unknown) => {};
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      fail = (reason) => controller.error(reason);
      controller.enqueue(bytes);
    },
    pull: (controller) => (forever ? controller.enqueue(bytes) : undefined),
    cancel: () => cancel(),
  });
  return { response: new Response(body), fail: (reason: unknown) => fail(reason), whenCancelled };
}

function portsWith(fetchPort: CallPorts["fetch"]): CallPorts {
  return { fetch: fetchPort, now: Date.now, checkUrl: () => ({ ok: true }) };
}

const targetUrl = (number: number) => `https://api.example.com/${number}`;

function buildGrants(count: number, from = 1): Grant[] {
  return Array.from({ length: count }, (_, at) => ({
    kind: "attempt",
    shard: "default-0",
    id: `tsk_${from + at}`,
    round: 1,
    number: 1,
    lease: 1,
    leaseUntil: Date.now() + 30_000,
    leaseMs: 30_000,
    request: buildRequest({ url: targetUrl(from + at) }),
  }));
}

function buildRequest(overrides: Partial<CallRequest> = {}): CallRequest {
  return {
    url: targetUrl(1),
    method: "POST",
    headers: {},
    body: null,
    timeoutMs: 20_000,
    maxRedirects: 0,
    sign: null,
    ...overrides,
  };
}
