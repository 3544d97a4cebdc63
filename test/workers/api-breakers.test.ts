import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { env as rawEnv } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createApp } from "../../src/api/app.ts";
import type { Env } from "../../src/platform/env.ts";
import type { BreakerSync, TargetSummary } from "../../src/protocol/breaker-api.ts";
import { breakerName } from "../../src/protocol/names.ts";
import { type BreakerList, BreakerSettings, type ShownBreaker } from "../../src/schema/breaker.ts";
import type { Scope } from "../../src/schema/key.ts";
import type { Problem } from "../../src/schema/problem.ts";
import { QueueShard } from "../../src/shard/queue-shard.ts";
import { type CallOptions, call, callJson, callProblem, makeRequest } from "../support/workers/api.ts";

const env = rawEnv as unknown as Env;
const app = createApp();

let count = 0;
/** A target of this test's own. */
let origin: string;
/** What shards say of their targets, by the shard's name. */
const targets = new Map<string, TargetSummary[]>();

/** Which shards were told to ask their Breaker object, and about which target. */
const asked: [string, string][] = [];

beforeEach(() => {
  origin = `https://t${++count}.example.com`;
  targets.clear();
  asked.length = 0;
  vi.spyOn(QueueShard.prototype, "targets").mockImplementation(async function (this: QueueShard) {
    const name = (this as unknown as { ctx: DurableObjectState }).ctx.id.name ?? "";
    return targets.get(name) ?? [];
  });
  vi.spyOn(QueueShard.prototype, "breakerChanged").mockResolvedValue();
  vi.spyOn(QueueShard.prototype, "askBreaker").mockImplementation(async function (
    this: QueueShard,
    key: string,
  ) {
    asked.push([(this as unknown as { ctx: DurableObjectState }).ctx.id.name ?? "", key]);
  });
});

afterEach(() => {
  vi.restoreAllMocks();
});

const pathOf = (key: string) => `/v1/breakers/${encodeURIComponent(key)}`;

async function makeKey(scopes: Scope[], queues?: string[]): Promise<{ id: string; key: string }> {
  const body = { name: "test", scopes, ...(queues && { queues }) };
  return (await callJson<{ id: string; key: string }>("POST", "/v1/keys", { body })).json;
}

/** Makes a queue of one shard and gives its ref. */
async function makeQueue(name: string, breaker: object = {}): Promise<number> {
  await call("PUT", `/v1/queues/${name}`, { body: { shards: 1, breaker } });
  const catalog = env.CATALOG.getByName("catalog") as unknown as {
    queueByName(name: string): Promise<{ ref: number }>;
  };
  return (await catalog.queueByName(name)).ref;
}

/** Has a shard of the queue say that it uses the target, to the API and to the target's Breaker object. */
async function use(
  ref: number,
  key: string,
  more: Partial<TargetSummary> & { tell?: Partial<BreakerSync> } = {},
): Promise<void> {
  const { tell, ...summary } = more;
  const shard = `q${ref}-0`;
  const target = { key, breaker: key, state: "closed" as const, usedAt: Date.now(), parked: 0, ...summary };
  targets.set(shard, [...(targets.get(shard) ?? []), target]);
  await env.BREAKER.getByName(target.breaker).sync({
    key,
    shard,
    queue: "any",
    queueRef: ref,
    settings: BreakerSettings.parse({ minimum: 10 }),
    report: null,
    parked: null,
    wantLeaseMs: null,
    probed: null,
    load: { limit: 5, loadFactor: 0, budgetLeft: null },
    ...tell,
  });
}

/** What a shard tells that finds the target down. */
function down(ref: number): { tell: Partial<BreakerSync>; state: "open" } {
  const start = Math.floor(Date.now() / 10_000) * 10_000;
  const bucket = { start, seq: 14, ok: 4, failed: 10, slow: 0, connect: 0 };
  const report = {
    source: `q${ref}-0/1`,
    buckets: [bucket],
    reach: { seq: 14, reachedAt: start, failedAt: [] },
  };
  return { state: "open", tell: { report, parked: { tasks: 3, probe: null }, wantLeaseMs: 1_000 } };
}

async function page(query = "", options: CallOptions = {}): Promise<BreakerList> {
  const { status, json } = await callJson<BreakerList>("GET", `/v1/breakers${query}`, options);
  expect(status).toBe(200);
  return json;
}

async function list(query = "", options: CallOptions = {}): Promise<ShownBreaker[]> {
  return (await page(query, options)).breakers;
}

describe("GET /v1/breakers", () => {
  test("lists each breaker once, those that are not closed first, each part by name", async () => {
    const [a, b] = [await makeQueue("list-a"), await makeQueue("list-b")];
    await use(a, `${origin}:9001`, { usedAt: 1_000 });
    await use(a, `${origin}:9002`, { usedAt: 3_000 });
    await use(a, `${origin}:9003`, { usedAt: 500, ...down(a) });
    await use(b, `${origin}:9002`, { usedAt: 2_000 });
    await use(b, `${origin}:9001`, { usedAt: 4_000 });
    const breakers = await list();
    expect(breakers.map(({ key }) => key)).toEqual([`${origin}:9003`, `${origin}:9001`, `${origin}:9002`]);
    expect(breakers[0]).toMatchObject({ state: "open", queue: null, parked: 3, failure_rate: 10 / 14 });
    expect(breakers[1]).toMatchObject({ state: "closed", limit: 10, parked: 0 });
  });

  test("takes a state and a limit", async () => {
    const ref = await makeQueue("list-c");
    for (const port of [9_001, 9_002, 9_003]) await use(ref, `${origin}:${port}`, { usedAt: port });
    await use(ref, `${origin}:9004`, { usedAt: 0, ...down(ref) });
    const keys = async (query: string) => (await list(query)).map(({ key }) => key);
    expect(await keys("?state=open")).toEqual([`${origin}:9004`]);
    expect(await keys("?state=closed&limit=2")).toEqual([`${origin}:9001`, `${origin}:9002`]);
    expect(await keys("?state=isolated")).toEqual([]);
  });

  test("goes on where the page before ended, over several queues, each breaker once", async () => {
    const refs = [await makeQueue("list-h"), await makeQueue("list-i")];
    const ports = [9_001, 9_002, 9_003, 9_004, 9_005, 9_006, 9_007];
    for (const port of ports) {
      const ref = refs[port % 2] ?? 0;
      await use(ref, `${origin}:${port}`, port % 3 === 0 ? down(ref) : {});
    }
    for (const ref of refs) await use(ref, `${origin}:9009`);
    const seen: string[] = [];
    let cursor = "";
    do {
      const { breakers, next_cursor } = await page(`?limit=2${cursor}`);
      expect(breakers.length).toBeLessThanOrEqual(2);
      seen.push(...breakers.map(({ key }) => key));
      cursor = next_cursor === null ? "" : `&cursor=${encodeURIComponent(next_cursor)}`;
    } while (cursor !== "");
    const isDown = (port: number) => port < 9_009 && port % 3 === 0;
    const all = [...ports, 9_009];
    expect(seen).toEqual(
      [...all.filter(isDown), ...all.filter((port) => !isDown(port))].map((port) => `${origin}:${port}`),
    );
  });

  test("refuses a cursor with another state, one of another list, and one that was tampered with", async () => {
    const ref = await makeQueue("list-j");
    for (const port of [9_001, 9_002]) await use(ref, `${origin}:${port}`);
    const { next_cursor } = await page("?limit=1");
    const cursor = encodeURIComponent(next_cursor ?? "");
    for (const query of [`state=closed&cursor=${cursor}`, `cursor=${cursor}x`, "cursor=x"]) {
      const { status, problem } = await callProblem("GET", `/v1/breakers?${query}`);
      expect([status, problem.code, problem.errors?.[0]?.path]).toEqual([400, "invalid_cursor", "cursor"]);
    }
    expect((await callProblem("GET", `/v1/tasks?cursor=${cursor}`)).problem.code).toBe("invalid_cursor");
  });

  test("names the queue of a breaker that no other goes by", async () => {
    const ref = await makeQueue("list-d", { share: "queue" });
    await use(ref, origin, { breaker: breakerName(origin, "queue", ref) });
    await use(ref, "key:list-d/x");
    const breakers = await list();
    expect(breakers.map(({ key, queue }) => [key, queue]).sort()).toEqual(
      [
        [origin, "list-d"],
        ["key:list-d/x", "list-d"],
      ].sort(),
    );
  });

  test("leaves out healthy targets that no breaker has been told of", async () => {
    const ref = await makeQueue("list-e");
    const summary = { key: origin, breaker: origin, state: "closed" as const, usedAt: 1, parked: 0 };
    targets.set(`q${ref}-0`, [summary]);
    expect(await list()).toEqual([]);
  });

  test("shows a limited key what its queues use, and nothing else", async () => {
    const [seen, hidden] = [await makeQueue("list-f"), await makeQueue("list-g")];
    await use(seen, `${origin}:9001`);
    await use(hidden, `${origin}:9002`, down(hidden));
    const { key } = await makeKey(["read"], ["list-f"]);
    expect((await list("", { key })).map((breaker) => breaker.key)).toEqual([`${origin}:9001`]);
    expect((await call("GET", pathOf(`${origin}:9001`), { key })).status).toBe(200);
    const refused = await callProblem("GET", pathOf(`${origin}:9002`), { key });
    expect([refused.status, refused.problem.code]).toEqual([404, "breaker_not_found"]);
  });

  test.each(["?limit=0", "?limit=101", "?state=half", "?queue=a"])("refuses %s", async (query) => {
    const { status, problem } = await callProblem("GET", `/v1/breakers${query}`);
    expect([status, problem.code]).toEqual([400, "invalid_request"]);
  });
});

describe("GET /v1/breakers/{key}", () => {
  test("shows a breaker that shards have told of", async () => {
    const ref = await makeQueue("one-a");
    await use(ref, origin, down(ref));
    const { status, json } = await callJson<ShownBreaker>("GET", pathOf(origin));
    expect(status).toBe(200);
    expect(json).toMatchObject({
      key: origin,
      queue: null,
      state: "open",
      reason: "10 of 14 calls failed in 60 s",
      windows: { ok: 4, failed: 10, slow: 0, connect_failed: 0 },
      audit: [{ from: "closed", to: "open", by: "counts" }],
    });
    expect(json.next_probe_at).toBe(json.until);
  });

  test("finds one that is not closed, though all shards have forgotten it", async () => {
    await use(await makeQueue("one-b"), origin);
    await call("POST", `${pathOf(origin)}/isolate`, { body: { reason: "moving" } });
    targets.clear();
    asked.length = 0;
    expect(await list()).toEqual([]);
    expect((await callJson("GET", pathOf(origin))).json).toMatchObject({ state: "isolated" });
  });

  test("tells the breaker of all queues from that of one", async () => {
    const ref = await makeQueue("one-c", { share: "queue" });
    const name = breakerName(origin, "queue", ref);
    await use(ref, origin, { breaker: name, ...down(ref) });
    expect((await call("GET", pathOf(origin))).status).toBe(404);
    const { json } = await callJson("GET", `${pathOf(origin)}?queue=one-c`);
    expect(json).toMatchObject({ key: origin, queue: "one-c", state: "open" });
    const { key } = await makeKey(["read"], ["one-c"]);
    expect((await call("GET", `${pathOf(origin)}?queue=one-c`, { key })).status).toBe(200);
  });

  test("finds that of a breaker_key by its queue", async () => {
    const ref = await makeQueue("one-d", { share: "queue" });
    await use(ref, "key:one-d/eu:1", { breaker: breakerName("key:one-d/eu:1", "queue", ref) });
    const { json } = await callJson("GET", pathOf("key:one-d/eu:1"));
    expect(json).toMatchObject({ key: "key:one-d/eu:1", queue: "one-d" });
    const { key } = await makeKey(["read"], ["default"]);
    const refused = await callProblem("GET", pathOf("key:one-d/eu:1"), { key });
    expect(refused.problem.code).toBe("queue_not_found");
  });

  test.each<[string, string, number, string]>([
    ["one that nobody has told of", pathOf("https://nobody.example.com"), 404, "breaker_not_found"],
    ["a text that is no key", pathOf("example"), 400, "invalid_request"],
    ["a URL with a query", pathOf("https://a.example.com/x?y=1"), 400, "invalid_request"],
    ["a path that ends in a slash", pathOf("https://a.example.com/x/"), 400, "invalid_request"],
    ["a path that nobody has told of", pathOf("https://a.example.com/x"), 404, "breaker_not_found"],
    ["a refused address", pathOf("http://10.0.0.1"), 400, "invalid_request"],
    ["a key without a name", pathOf("key:default/"), 400, "invalid_request"],
    ["a key of no queue", pathOf("key:none/x"), 404, "queue_not_found"],
    ["a key of another queue", `${pathOf("key:default/x")}?queue=other`, 400, "invalid_request"],
    ["no queue of its own", `${pathOf("https://a.example.com")}?queue=default`, 400, "invalid_request"],
    ["a queue that is not there", `${pathOf("https://a.example.com")}?queue=none`, 404, "queue_not_found"],
    ["an unknown query", `${pathOf("https://a.example.com")}?shard=1`, 400, "invalid_request"],
  ])("answers %s with its problem", async (_, path, status, code) => {
    const refusal = await callProblem("GET", path);
    expect([refusal.status, refusal.problem.code]).toEqual([status, code]);
  });
});

describe("POST /v1/breakers/{key}/isolate and /reset", () => {
  const isolate = (key: string, options: CallOptions = {}) =>
    callProblem("POST", `${pathOf(key)}/isolate`, { body: { reason: "moving" }, ...options });
  const reset = (key: string, options: CallOptions = {}) =>
    callProblem("POST", `${pathOf(key)}/reset`, { body: { reason: "moved" }, ...options });

  test("hold a target that nobody has called yet, and let it go again; the audit says who", async () => {
    const { id, key } = await makeKey(["admin"]);
    const held = await isolate(origin);
    expect(held.status).toBe(200);
    expect(held.problem).toMatchObject({ key: origin, state: "isolated", reason: "moving", parked: 0 });
    const freed = await reset(origin, { key });
    expect(freed.problem).toMatchObject({
      state: "closed",
      reason: null,
      audit: [
        { from: "isolated", to: "closed", reason: "moved", by: id },
        { from: "closed", to: "isolated", reason: "moving", by: "root" },
      ],
    });
  });

  test("tell every shard that uses the target", async () => {
    const [a, b] = [await makeQueue("operate-a"), await makeQueue("operate-b")];
    await use(a, origin);
    await use(b, origin);
    await isolate(origin);
    const { breakerChanged } = QueueShard.prototype;
    await vi.waitFor(() => expect(breakerChanged).toHaveBeenCalledTimes(2));
    expect(breakerChanged).toHaveBeenCalledWith(origin, expect.objectContaining({ state: "isolated" }), null);
  });

  test("make all other shards ask, also those that have never called the target", async () => {
    const refs = [await makeQueue("operate-d"), await makeQueue("operate-e", { share: "queue" })];
    await isolate(origin);
    expect(asked).toEqual(expect.arrayContaining(refs.map((ref) => [`q${ref}-0`, origin])));
    asked.length = 0;
    await callProblem("POST", `${pathOf(origin)}/isolate?queue=operate-e`, { body: { reason: "moving" } });
    expect(asked).toEqual([[`q${refs[1]}-0`, origin]]);
  });

  test("reset no breaker that is not there", async () => {
    const { status, problem } = await reset(origin);
    expect([status, problem.code]).toEqual([404, "breaker_not_found"]);
    expect((await call("GET", pathOf(origin))).status).toBe(404);
  });

  test("need admin for all queues where all go by the breaker", async () => {
    await makeQueue("operate-c");
    const operate = await makeKey(["operate"]);
    const limited = await makeKey(["admin"], ["operate-c"]);
    for (const { key } of [operate, limited]) {
      for (const operation of [isolate, reset]) {
        const { status, problem } = await operation(origin, { key });
        expect([status, problem.code]).toEqual([403, "forbidden"]);
      }
    }
    expect((await call("GET", pathOf(origin))).status).toBe(404);
  });

  test("need operate for the queue where no other goes by the breaker", async () => {
    await makeQueue("operate-d", { share: "queue" });
    const own = await makeKey(["operate"], ["operate-d"]);
    const other = await makeKey(["admin"], ["default"]);
    for (const key of [`${origin}`, "key:operate-d/x"]) {
      const path = `${pathOf(key)}/isolate?queue=operate-d`;
      const body = { reason: "ours" };
      expect((await callProblem("POST", path, { body, key: other.key })).problem.code).toBe(
        "queue_not_found",
      );
      const held = await callJson("POST", path, { body, key: own.key });
      expect(held.json).toMatchObject({ key, queue: "operate-d", state: "isolated" });
    }
    expect((await call("GET", pathOf(origin))).status).toBe(404);
  });

  test.each<[object | string, string]>([
    [{}, "reason"],
    [{ reason: "" }, "reason"],
    [{ reason: "x".repeat(201) }, "reason"],
    [{ reason: "x", until: "1h" }, "until"],
  ])("refuse %j", async (body, path) => {
    const { status, problem } = await isolate(origin, { body });
    expect([status, problem.code, problem.errors?.[0]?.path]).toEqual([400, "invalid_request", path]);
  });
});

describe("a Breaker object that does not answer", () => {
  test("makes its routes answer 503", async () => {
    const BREAKER = {
      getByName: () => ({ view: () => Promise.reject(new Error("Network connection lost.")) }),
    };
    const ctx = createExecutionContext();
    const request = makeRequest("GET", pathOf(origin));
    const response = await app.fetch(request, { ...env, BREAKER } as unknown as Env, ctx);
    await waitOnExecutionContext(ctx);
    expect(response.status).toBe(503);
    expect((await response.json<Problem>()).code).toBe("unavailable");
    expect(response.headers.get("retry-after")).toBe("1");
  });
});

describe("PUT /v1/queues/{name} by a key that is limited to the queue", () => {
  let key: string;
  let name: string;

  beforeEach(async () => {
    name = `limited-${++count}`;
    ({ key } = await makeKey(["admin"], [name]));
  });

  const put = (breaker: object, options: CallOptions = {}) =>
    callProblem("PUT", `/v1/queues/${name}`, { body: { shards: 1, breaker }, key, ...options });

  test.each<[string, object]>([
    ["with the defaults", {}],
    ["with a threshold", { failure_rate: 0.1 }],
    ["with a readiness URL", { readiness: { url: "https://api.example.com/ready" } }],
  ])("may not say that others trust it, %s", async (_, breaker) => {
    const { status, problem } = await put({ ...breaker, share: "trusted" });
    expect([status, problem.code]).toEqual([403, "forbidden"]);
    expect(problem.detail).toContain("share: trusted would hold for others");
    for (const share of ["deployment", "queue"])
      expect((await put({ ...breaker, share })).status).toBeLessThan(202);
  });

  test("may set what stops its own calls", async () => {
    expect((await put({ minimum: 1, open: "1s" })).status).toBe(201);
    expect((await put({ enabled: false })).status).toBe(200);
  });

  test("may leave as they are what another key has set", async () => {
    const breaker = { share: "trusted", minimum: 50, readiness: { url: "https://api.example.com/ready" } };
    await call("PUT", `/v1/queues/${name}`, { body: { shards: 1, breaker } });
    expect((await put(breaker)).status).toBe(200);
    expect((await put({ ...breaker, minimum: 51 })).status).toBe(403);
    expect((await put({ minimum: 51 })).status).toBe(200);
  });
});
