import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { startServer, type TestServer } from "../support/server/server.ts";
import { ask, clientOf, eventually, inTurn, taskWhen, verified } from "../support/server/stories.ts";
import { startTarget, type Target, type TargetCall } from "../support/server/target.ts";

const OLD_KEY = "the first deployment secret, long enough".replaceAll(" ", "-");
const NEW_KEY = "the second deployment secret, long enough".replaceAll(" ", "-");
const SIGNING = `whsec_${Buffer.from("signs callbacks of this test only").toString("base64")}`;
/** What must be in no file; each is told from the others. */
const PLANTED = {
  header: "Bearer planted-for-the-target-7f3a",
  cookie: "session=planted-cookie-e1c9",
  ofTask: "Bearer planted-for-the-receiver-by-the-task-04bd",
  ofQueue: "Bearer planted-for-the-receiver-by-the-queue-a9e2",
};
/** The same of bodies, in a queue that wants them encrypted. */
const BODIES = {
  text: "planted-in-a-body-c77b",
  long: `planted-in-a-long-body-19d5 ${"x".repeat(9_000)}`,
  answer: "planted-in-an-answer-66f0",
  message: "planted-in-an-error-message-8e41",
  setCookie: "planted-in-an-answers-cookie-b3a8",
};
/** What is no secret, and therefore in some file: else the search would prove nothing. */
const PLAIN = "not-a-secret-5d20";
const HEADERS = { authorization: PLANTED.header, cookie: PLANTED.cookie, "x-plain": PLAIN };

let target: Target;
let dataDir: string;
let server: TestServer | null = null;

beforeAll(async () => {
  target = await startTarget();
  dataDir = await mkdtemp(join(tmpdir(), "redrive-test-"));
});
afterEach(async () => {
  await server?.stop();
  target.calls.length = 0;
  target.respond(() => null);
});
afterAll(async () => {
  await target.stop();
  await rm(dataDir, { recursive: true, force: true });
});

async function start(env: Record<string, string>, folder = dataDir): Promise<TestServer> {
  await server?.stop();
  server = await startServer({
    dataDir: folder,
    env: { REDRIVE_API_KEY: "root-key-of-this-test", REDRIVE_SIGNING_SECRET: SIGNING, ...env },
  });
  return server;
}

/** Makes a queue with callback credentials, a task that fails once and then succeeds, and one that waits. */
async function useSecrets(at: TestServer, queue: string, key = queue) {
  const client = clientOf(at);
  const retry = {
    backoff: { strategy: "fixed" as const, initial_interval: "50ms", jitter: "none" as const },
  };
  const callback = { url: `${target.url}/hook/${queue}`, headers: { Authorization: PLANTED.ofQueue } };
  await client.queues.put(queue, { callback, retry });
  target.respond(inTurn({ status: 503 }, { status: 200 }));
  const url = `${target.url}/call/${queue}`;
  const own = { url: `${target.url}/own/${queue}`, headers: { Authorization: PLANTED.ofTask } };
  const done = await client.submit({ url, queue, headers: HEADERS, idempotency_key: key, callback: own });
  const queued = await client.submit({ url, queue, headers: HEADERS });
  const waiting = await client.submit({ url, queue, headers: HEADERS, delay: "1h" });
  for (const { id } of [done, queued]) {
    await taskWhen(client, id, ({ callback }) => callback?.state === "delivered");
  }
  return { client, url, done, waiting };
}

/** Tasks with bodies, one of which fails, in a queue that wants them encrypted. */
async function useBodies(at: TestServer, queue: string) {
  const client = clientOf(at);
  await client.queues.put(queue, { encrypt: true, callback: { url: `${target.url}/hook/${queue}` } });
  const url = `${target.url}/bodies/${queue}`;
  const answer = JSON.stringify({ said: BODIES.answer, error: { code: "odd", message: BODIES.message } });
  const headers = { "set-cookie": `id=${BODIES.setCookie}`, "content-type": "application/json" };
  target.respond(({ path, body }) =>
    path.startsWith("/bodies") ? { status: body.includes("fail") ? 400 : 200, headers, body: answer } : null,
  );
  const bytes = Buffer.from(`${BODIES.text}\u0000\u00ff`, "latin1");
  const given = [
    { body: { here: BODIES.text, id: 1 }, idempotency_key: "body" },
    { body: BODIES.long },
    { body_base64: bytes.toString("base64") },
    { body: { fail: BODIES.text } },
  ];
  const views = [];
  for (const task of given) {
    const { id } = await client.submit({ url, queue, ...task });
    views.push(await taskWhen(client, id, ({ callback }) => callback?.state === "delivered"));
  }
  return { client, views, answer, bytes };
}

function callsTo(path: string): TargetCall[] {
  return target.calls.filter((call) => call.path.startsWith(path));
}

/** Every file of a folder, with what is not yet in the databases but in their logs. */
async function filesOf(folder: string): Promise<{ path: string; text: string }[]> {
  const names = await readdir(folder, { recursive: true });
  const files = names.map(async (name) => {
    const path = join(folder, name);
    return (await stat(path)).isFile() ? [{ path, text: await readFile(path, "latin1") }] : [];
  });
  return (await Promise.all(files)).flat();
}

async function holding(folder: string, value: string): Promise<string[]> {
  const text = value.replace(/^(Bearer |session=|whsec_)/, "");
  return (await filesOf(folder)).filter((file) => file.text.includes(text)).map(({ path }) => path);
}

describe.each(["shard", "edge"])("a server that makes its calls at the %s", (REDRIVE_CALLS) => {
  test("sends secrets where they belong, and has none of them in its files", async () => {
    const folder = await mkdtemp(join(tmpdir(), "redrive-test-"));
    try {
      const at = await start({ REDRIVE_ENCRYPTION_KEY: OLD_KEY, REDRIVE_CALLS }, folder);
      const { client, url, done, waiting } = await useSecrets(at, "pay");
      const { secret } = await client.queues.rotateSecret("pay");
      const again = { url, queue: "pay", headers: HEADERS, idempotency_key: "pay" };
      const own = { url: `${target.url}/own/pay`, headers: { Authorization: PLANTED.ofTask } };
      const repeated = await client.submit({ ...again, callback: own });
      const other = { ...again, headers: { ...HEADERS, cookie: "session=other" }, callback: own };
      const conflict = await ask(at, "POST", "/v1/tasks", { body: other });
      await client.retry(waiting.id);
      await taskWhen(client, waiting.id, ({ callback }) => callback?.state === "delivered");

      const sent = callsTo("/call/pay").map(({ headers }) => [headers.authorization, headers.cookie]);
      expect(sent.length).toBeGreaterThanOrEqual(4);
      expect(new Set(sent.map(String))).toEqual(new Set([`${PLANTED.header},${PLANTED.cookie}`]));
      expect(callsTo("/own/pay").map(({ headers }) => headers.authorization)).toEqual([PLANTED.ofTask]);
      const hooks = callsTo("/hook/pay");
      expect(hooks.map(({ headers }) => headers.authorization)).toEqual([PLANTED.ofQueue, PLANTED.ofQueue]);
      const [first, last] = hooks;
      if (first === undefined || last === undefined) throw new Error("no callbacks");
      expect(verified(first, SIGNING).type).toBe("task.succeeded");
      for (const valid of [SIGNING, secret]) expect(verified(last, valid).data.task.id).toBe(waiting.id);
      expect([repeated.id, repeated.duplicate, conflict.status]).toEqual([done.id, true, 409]);
      expect((await ask(at, "GET", "/readyz")).body).toEqual({ status: "ok", encryption: "on" });

      expect((await holding(folder, PLAIN)).some((path) => path.includes("redrive-shard"))).toBe(true);
      for (const value of [...Object.values(PLANTED), SIGNING, secret, OLD_KEY]) {
        expect(await holding(folder, value), value).toEqual([]);
      }
    } finally {
      await server?.stop();
      await rm(folder, { recursive: true, force: true });
    }
  });
});

describe("a queue that wants bodies encrypted", () => {
  test.each(["shard", "edge"])(
    "sends, shows and tells them, and has none in its files (%s)",
    async (REDRIVE_CALLS) => {
      const folder = await mkdtemp(join(tmpdir(), "redrive-test-"));
      try {
        const at = await start({ REDRIVE_ENCRYPTION_KEY: OLD_KEY, REDRIVE_CALLS }, folder);
        const { client, views, answer, bytes } = await useBodies(at, "sealed");
        const sent = callsTo("/bodies/sealed").map(({ body }) => body);
        expect(sent.slice(0, 2)).toEqual([JSON.stringify({ here: BODIES.text, id: 1 }), BODIES.long]);
        expect(sent[2]).toContain(bytes.toString("latin1").slice(0, -1));
        expect(views.map(({ state, response }) => [state, response?.body])).toEqual([
          ["succeeded", answer],
          ["succeeded", answer],
          ["succeeded", answer],
          ["failed", answer],
        ]);
        expect(views.at(-1)?.attempts.at(-1)).toMatchObject({ error_code: "odd", error_message: null });
        const told = callsTo("/hook/sealed").map((call) => verified(call, SIGNING).data);
        expect(told.map(({ response }) => response?.body)).toEqual([answer, answer, answer, answer]);
        const again = { url: `${target.url}/bodies/sealed`, queue: "sealed", idempotency_key: "body" };
        const same = await client.submit({ ...again, body: { id: 1, here: BODIES.text } });
        expect(same).toMatchObject({ duplicate: true, id: views[0]?.id });

        for (const value of Object.values(BODIES)) expect(await holding(folder, value), value).toEqual([]);
        expect(await holding(folder, bytes.toString("base64").slice(0, 24))).toEqual([]);

        const blind = clientOf(await start({ REDRIVE_ENCRYPTION_KEY: NEW_KEY, REDRIVE_CALLS }, folder));
        expect((await blind.get(views[0]?.id ?? "")).response?.body).toBe("[encrypted]");
        const list = await blind.list({ queue: "sealed" }).next();
        expect(list.value).not.toHaveProperty("response");
      } finally {
        await server?.stop();
        await rm(folder, { recursive: true, force: true });
      }
    },
  );
});

describe("the deployment's secret", () => {
  test("is rotated while tasks wait, is missed where it is gone, and can be given up", async () => {
    const first = await useSecrets(await start({ REDRIVE_ENCRYPTION_KEY: OLD_KEY }), "pay");
    const second = await first.client.submit({ url: first.url, queue: "pay", headers: HEADERS, delay: "1h" });
    const third = await first.client.submit({ url: first.url, queue: "pay", headers: HEADERS, delay: "1h" });
    const runs = async (at: TestServer, id: string) => {
      const client = clientOf(at);
      const before = target.calls.length;
      await client.retry(id);
      await taskWhen(client, id, ({ callback }) => callback?.state === "delivered");
      return target.calls.slice(before).map(({ headers }) => headers.authorization);
    };
    const both = [PLANTED.header, PLANTED.ofQueue];

    const rotating = { REDRIVE_ENCRYPTION_KEY: NEW_KEY, REDRIVE_ENCRYPTION_KEY_PREVIOUS: OLD_KEY };
    expect(await runs(await start(rotating), first.waiting.id)).toEqual(both);
    expect(await runs(await start({ REDRIVE_ENCRYPTION_KEY: NEW_KEY }), second.id)).toEqual(both);

    // The server makes a key of its own, which is another one.
    const without = await start({});
    const client = clientOf(without);
    expect(await ask(without, "GET", "/readyz")).toMatchObject({
      status: 503,
      body: {
        code: "not_configured",
        detail: expect.stringContaining("REDRIVE_ENCRYPTION_KEY is another one"),
      },
    });
    const refused = await ask(without, "POST", "/v1/tasks", {
      body: { url: first.url, queue: "pay", headers: HEADERS },
    });
    expect(refused).toMatchObject({ status: 503, body: { code: "not_configured" } });
    const plain = await client.submit({ url: first.url, queue: "pay", callback: null });
    expect((await client.wait(plain.id)).state).toBe("succeeded");
    const before = target.calls.length;
    await client.retry(third.id);
    const failed = await client.wait(third.id);
    expect(failed).toMatchObject({ state: "failed", reason: "max_attempts", attempt_count: 5 });
    expect(failed.summary).toContain("encryption");
    expect(failed.attempts.at(-1)).toMatchObject({
      status: 0,
      error_type: "encryption",
      error_message: expect.stringContaining("REDRIVE_ENCRYPTION_KEY is another one"),
    });
    expect(target.calls.slice(before)).toEqual([]);

    // The message of the round that failed may be delivered now, too.
    const sent = await runs(await start({ REDRIVE_ENCRYPTION_KEY: NEW_KEY }), third.id);
    expect(new Set(sent)).toEqual(new Set(both));

    const anew = await start({ REDRIVE_ENCRYPTION_LOST: "on" });
    expect((await ask(anew, "GET", "/readyz")).body).toEqual({ status: "ok", encryption: "on" });
    const { secret } = await clientOf(anew).queues.rotateSecret("pay");
    const fresh = await useSecrets(anew, "pay", "another key");
    expect((await fresh.client.get(fresh.done.id)).state).toBe("succeeded");
    const hook = await eventually("a callback", () => callsTo("/hook/pay").at(-1) ?? null);
    expect(verified(hook, secret).type).toBe("task.succeeded");
    for (const value of Object.values(PLANTED)) expect(await holding(dataDir, value)).toEqual([]);
  });
});

describe("a server that is given no key", () => {
  test("makes one once, and adds it to what a release without encryption kept", async () => {
    const folder = await mkdtemp(join(tmpdir(), "redrive-test-"));
    const path = join(folder, "secrets.json");
    const read = async () => JSON.parse(await readFile(path, "utf8")) as Record<string, string>;
    try {
      await start({}, folder);
      const { encryption_key: made, ...older } = await read();
      await server?.stop();
      await writeFile(path, JSON.stringify(older));
      await start({}, folder);
      const added = await read();
      await start({}, folder);

      expect(made).toMatch(/^[\w-]{43}$/);
      expect(added).toEqual({ ...older, encryption_key: expect.stringMatching(/^[\w-]{43}$/) });
      expect(await read()).toEqual(added);
      expect((await stat(path)).mode & 0o777).toBe(0o600);
    } finally {
      await server?.stop();
      await rm(folder, { recursive: true, force: true });
    }
  });
});
