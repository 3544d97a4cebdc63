import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually, inTurn, openWorld, taskWhen, type World } from "../../support/server/stories.ts";
import type { TargetCall } from "../../support/server/target.ts";

/** Something that the run made visible to somebody, and where. */
interface Seen {
  where: string;
  text: string;
}

/** Values that tasks and queues are given, as a caller would: for a target, a receiver, or by mistake. */
const GIVEN = {
  authorization: "Bearer secret-for-target-51b2",
  apiKey: "secret-api-key-93fa",
  cookie: "session=secret-cookie-77e0",
  token: "secret-session-token-a4c1",
  receiver: "Bearer secret-for-receiver-0d6e",
  setCookie: "id=secret-set-cookie-18bd",
  userinfo: "secret-password-e5f7",
  wrongKey: "rdk_secret-wrong-key-6c2a",
};
const HEADERS = {
  authorization: GIVEN.authorization,
  "X-API-Key": GIVEN.apiKey,
  cookie: GIVEN.cookie,
  "x-session-token": GIVEN.token,
};

let world: World;
let targetCalls: TargetCall[];
let receiverCalls: TargetCall[];
/** Made in the run and handed out once: keys and signing secrets. */
const handedOut: string[] = [];
const answers: Seen[] = [];

/** Calls the API and keeps what it answered, headers and all. `once` names the field that hands a secret out. */
async function tell(
  method: string,
  path: string,
  options: { body?: unknown; key?: string; once?: string } = {},
) {
  const { body, key = world.server.apiKey, once } = options;
  const response = await fetch(`${world.server.url}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${key}`,
      ...(body !== undefined && { "content-type": "application/json" }),
    },
    ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  const value = text.startsWith("{") ? (JSON.parse(text) as Record<string, unknown>) : {};
  const secret = once === undefined ? undefined : value[once];
  if (typeof secret === "string") handedOut.push(secret);
  const shown = typeof secret === "string" ? text.replace(secret, "") : text;
  const where = `${method} ${path}: ${response.status}`;
  answers.push({ where, text: `${JSON.stringify([...response.headers])} ${shown}` });
  return { status: response.status, value };
}

/** A busy run: every kind of outcome, refusal and operation, keys made and revoked, a secret rotated twice. */
async function busyRun(): Promise<void> {
  const target = world.place(({ path }) => {
    const headers = { "set-cookie": GIVEN.setCookie, "x-request-token": GIVEN.token };
    return {
      status: Number(/[?&]status=(\d+)/.exec(path)?.[1] ?? 200),
      headers,
      body: '{"error":{"code":"odd"}}',
    };
  });
  const receiver = world.place(inTurn({ status: 500 }, { status: 200 }));
  const events = world.place();
  const quick = { strategy: "fixed", initial_interval: "20ms", jitter: "none" };
  await tell("PUT", "/v1/queues/busy", {
    body: {
      retry: { max_attempts: 2, backoff: quick, rules: [{ when: "status == 503", do: "retry", log: true }] },
      callback: {
        ...{
          url: receiver.url,
          on: ["succeeded", "failed", "cancelled"],
          headers: { authorization: GIVEN.receiver },
        },
        retry: { max_attempts: 5, backoff: quick },
      },
      events: { url: events.url },
      breaker: { share: "queue", consecutive_failures: 3, minimum: 3, open: "1s", max_open: "1s" },
      retry_budget: { enabled: false },
    },
    once: "signing_secret",
  });
  const made = await tell("POST", "/v1/keys", { body: { name: "busy", scopes: ["admin"] }, once: "key" });
  const limited = await tell("POST", "/v1/keys", {
    body: { name: "one", scopes: ["read"], queues: ["busy"] },
    once: "key",
  });
  const [key = "", limitedKey = ""] = handedOut.slice(-2);
  const submit = async (more: object) => {
    const task = { url: target.url, method: "GET", queue: "busy", headers: HEADERS, ...more };
    return String((await tell("POST", "/v1/tasks", { body: task, key })).value.id);
  };
  const done = (id: string) => taskWhen(world.client, id, ({ callback }) => callback?.state === "delivered");
  const first = await submit({ idempotency_key: "order-1", method: "POST", body: { amount: 5 } });
  await done(first);
  await tell("POST", "/v1/queues/busy/rotate-secret", { once: "secret" });
  const ids = [
    first,
    await submit({ url: `${target.url}?status=503` }),
    await submit({ url: `${target.url}?status=404` }),
    await submit({ url: "http://127.0.0.1:2/closed" }),
    await submit({ url: world.place(() => "reset").url }),
    await submit({ url: world.place(() => "hang").url, timeout: "50ms" }),
    await submit({ url: world.place(() => ({ status: 302, headers: { location: "http://10.0.0.1/" } })).url, max_redirects: 2 }),
  ]; // biome-ignore format: one task a line
  await tell("GET", "/v1/breakers");
  const waiting = await submit({ delay: "1h" });
  await tell("POST", `/v1/tasks/${waiting}/cancel`, { key });
  await Promise.all([...ids.slice(2, 3), waiting].map(done));
  const origin = encodeURIComponent(new URL(target.url).origin);
  for (const operation of ["isolate", "reset"]) {
    await tell("POST", `/v1/breakers/${origin}/${operation}?queue=busy`, { body: { reason: "a test" }, key });
  }
  await refusals(target.url, { key, limitedKey });
  await tell("POST", "/v1/queues/busy/rotate-secret", { once: "secret" });
  await tell("POST", `/v1/tasks/${first}/retry?force=true`, { key });
  await eventually(
    "a second round's callback",
    () => receiver.calls().find(({ body }) => body.includes('"round":2')) ?? null,
  );
  await eventually("every task ended", async () => {
    const { counts } = await world.client.queues.get("busy");
    return counts !== undefined && counts.running + counts.pending + counts.retrying === 0 ? counts : null;
  });
  for (const id of [...ids, waiting]) await tell("GET", `/v1/tasks/${id}`, { key: limitedKey });
  await readEverything(key);
  await tell("DELETE", `/v1/keys/${String(limited.value.id)}`);
  await tell("GET", "/v1/tasks", { key: limitedKey });
  await tell("DELETE", `/v1/keys/${String(made.value.id)}`, { key });
  targetCalls = target.calls();
  receiverCalls = [...receiver.calls(), ...events.calls()];
}

/** Requests that are wrong, some of them just where a secret stands. */
async function refusals(
  url: string,
  { key, limitedKey }: { key: string; limitedKey: string },
): Promise<void> {
  const wrong = [
    { url, headers: { authorization: `${GIVEN.authorization} é` } },
    { url, headers: { authorization: { bearer: GIVEN.authorization } } },
    { url, headers: { authorization: [GIVEN.authorization], cookie: 5 } },
    { url, headers: HEADERS, callback: { url, headers: { authorization: [GIVEN.receiver] } } },
    { url, headers: { ...HEADERS, host: GIVEN.token } },
    { url: `https://user:${GIVEN.userinfo}@api.redrive.invalid/` },
    { url, queue: "busy", headers: HEADERS, idempotency_key: "order-1", body: { amount: 6 } },
    { url, queue: "none", headers: HEADERS },
  ];
  for (const body of wrong) await tell("POST", "/v1/tasks", { body, key });
  await tell("POST", "/v1/tasks/batch", { body: { tasks: wrong }, key });
  await tell("PUT", "/v1/queues/busy", {
    body: { callback: { url, headers: { authorization: [GIVEN.receiver] } } },
    key,
  });
  await tell("POST", "/v1/tasks", { body: '{"url": nonsense', key });
  await tell("POST", "/v1/tasks", { body: wrong[0], key: limitedKey });
  await tell("GET", "/v1/tasks", { key: GIVEN.wrongKey });
  await tell("GET", "/v1/tasks?cursor=nonsense", { key });
  await tell("DELETE", "/v1/queues/default", { key });
  await tell("PATCH", "/v1/tasks", { key });
  await tell("GET", "/nowhere", { key });
}

async function readEverything(key: string): Promise<void> {
  const paths = [
    ...[
      "/v1/tasks?limit=200",
      "/v1/tasks?queue=busy&state=failed",
      "/v1/queues",
      "/v1/queues/busy",
      "/v1/breakers",
    ],
    ...["/v1/keys", "/healthz", "/readyz", "/openapi.json", "/docs", "/sandbox/inbox"],
  ];
  for (const path of paths) await tell("GET", path, { key });
}

/** Where any of the secrets stands, in itself or without its scheme. */
function leaks(seen: readonly Seen[], secrets: readonly string[]): string[] {
  return seen.flatMap(({ where, text }) =>
    secrets
      .map((secret) => secret.replace(/^(Bearer |whsec_|session=|id=)/, ""))
      .filter((secret) => text.includes(secret))
      .map((secret) => `${where} has ${secret}: ${text.slice(0, 400)}`),
  );
}

/** What the server wrote after its banner. */
function logLines(): Seen[] {
  const { stdout, stderr } = world.server.output();
  const afterBanner = stdout.slice(stdout.indexOf("Ctrl-C stops it."));
  return `${afterBanner}\n${stderr}`.split("\n").map((text) => ({ where: "the log", text }));
}

function seenIn(where: string, calls: readonly TargetCall[]): Seen[] {
  return calls.map((call) => ({ where, text: `${call.path} ${JSON.stringify(call.headers)} ${call.body}` }));
}

beforeAll(async () => {
  world = await openWorld();
  await busyRun();
});
afterAll(() => world.stop());

describe("a busy run", () => {
  const ours = () => [world.server.apiKey, world.server.signingSecret, ...handedOut];

  test("has secrets to look for, and much to look at", () => {
    expect(ours().length).toBeGreaterThanOrEqual(6);
    expect(new Set(ours()).size).toBe(ours().length);
    expect(answers.length).toBeGreaterThan(50);
    const statuses = new Set(answers.map(({ where }) => where.slice(-3)));
    expect([...statuses]).toEqual(
      expect.arrayContaining(["200", "201", "202", "204", "400", "401", "403", "404", "405", "409"]),
    );
    expect(logLines().filter(({ text }) => text.startsWith("{")).length).toBeGreaterThan(0);
    expect(targetCalls.length).toBeGreaterThan(3);
    expect(receiverCalls.filter(({ body }) => body.includes('"type":"task.')).length).toBeGreaterThan(5);
  });

  test("gives targets their own headers and receivers theirs, or there would be nothing to find", () => {
    expect(targetCalls[0]?.headers).toMatchObject({
      authorization: GIVEN.authorization,
      cookie: GIVEN.cookie,
    });
    expect(receiverCalls[0]?.headers).toMatchObject({ authorization: GIVEN.receiver });
    expect(receiverCalls.some(({ headers }) => headers["webhook-signature"]?.includes(" v1,"))).toBe(true);
  });

  test("shows no secret in any answer, but where it is handed out once", () => {
    expect(leaks(answers, [...ours(), ...Object.values(GIVEN)])).toEqual([]);
  });

  test("writes no secret to the log", () => {
    expect(leaks(logLines(), [...ours(), ...Object.values(GIVEN)])).toEqual([]);
  });

  test("tells receivers no secret but their own header", () => {
    const { receiver, ...others } = GIVEN;
    expect(leaks(seenIn("a callback", receiverCalls), [...ours(), ...Object.values(others)])).toEqual([]);
    const bodies = receiverCalls.map(({ body }) => ({ where: "a callback's body", text: body }));
    expect(leaks(bodies, [receiver])).toEqual([]);
  });

  test("tells targets neither our keys nor what signs, nor what receivers get", () => {
    expect(leaks(seenIn("a call", targetCalls), [...ours(), GIVEN.receiver])).toEqual([]);
  });
});
