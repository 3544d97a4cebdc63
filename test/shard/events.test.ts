import { describe, expect, test } from "vitest";
import type { QueueSettingsInput } from "../../src/schema/queue.ts";
import { BreakerHost, type Call } from "../support/shard/breaker-host.ts";
import { HOOK } from "../support/shard/shard-messages.ts";

const API = "https://api.example.com";
const OPS = "https://ops.example.com";
const SETTINGS = {
  retry: { backoff: { strategy: "fixed", initial_interval: "1s", jitter: "none" } },
  events: { url: `${OPS}/alerts?room=1` },
} satisfies QueueSettingsInput;

/** What operators were sent, oldest first. */
function told(host: BreakerHost): { type: string; timestamp: string; data: Record<string, unknown> }[] {
  return host.callsTo(OPS).map(({ grant }) => JSON.parse(String(grant.request.body)));
}

async function outage(host: BreakerHost, shard = host.shards[0]): Promise<void> {
  if (shard === undefined) throw new Error("no shard");
  host.down.add(API);
  await host.submit(shard, "api", 5);
  await host.run(1_000);
}

describe("breaker.opened and breaker.closed", () => {
  test("tell what happened to which target, and why, once each", async () => {
    const host = new BreakerHost();
    host.add("q1-0", SETTINGS);
    await outage(host);
    await host.run(120_000);
    host.down.clear();
    await host.run(120_000);
    expect(told(host)).toMatchObject([
      {
        type: "breaker.opened",
        data: {
          queue: "queue-1",
          target: API,
          state: "open",
          from: "closed",
          reason: "5 calls in a row could not connect",
          by: "counts",
        },
      },
      { type: "breaker.closed", data: { queue: "queue-1", target: API, state: "closed", by: "probe" } },
    ]);
  });

  test("go once to each queue, not once for each of its shards", async () => {
    const host = new BreakerHost();
    const names = ["q1-0", "q1-1", "q1-2", "q2-0", "q2-1"];
    for (const name of names) host.add(name, { ...SETTINGS, shards: 3, breaker: { share: "trusted" } });
    for (const shard of host.shards) await host.submit(shard, "api", 25);
    await host.run(10_000);
    await outage(host);
    await host.run(10_000);
    expect(
      told(host)
        .map(({ type, data }) => `${type} ${data.queue}`)
        .sort(),
    ).toEqual(["breaker.opened queue-1", "breaker.opened queue-2"]);
  });

  test("go to operators who want to hear of them only", async () => {
    const host = new BreakerHost();
    host.add("q1-0", { ...SETTINGS, events: { ...SETTINGS.events, on: ["breaker.closed"] } });
    await outage(host);
    host.down.clear();
    await host.run(60_000);
    expect(told(host).map(({ type }) => type)).toEqual(["breaker.closed"]);
  });

  test("tell of an operator's isolation by closing only, which is what others did not know", async () => {
    const host = new BreakerHost();
    const world = host.add("q1-0", SETTINGS);
    await host.submit(world, "api", 25);
    await host.run(5_000);
    await host.isolate(API, "moving house");
    await host.reset(API);
    await host.run(5_000);
    expect(told(host)).toMatchObject([{ type: "breaker.closed", data: { from: "isolated", by: "key-1" } }]);
  });
});

describe("target.gone", () => {
  test("tells of a 410, once an hour for each target", async () => {
    const host = new BreakerHost();
    const world = host.add("q1-0", SETTINGS);
    let chance = 0;
    world.random = () => (chance++ % 32) / 32;
    host.answer = (_, to) => ({ status: to === OPS ? 200 : 410 });
    const [first] = await host.submit(world, "api", 20);
    await host.submit(world, "other", 5);
    await host.run(1_000);
    expect(told(host)).toMatchObject([
      { type: "target.gone", data: { target: API, task: first } },
      { type: "target.gone", data: { target: "https://other.example.com" } },
    ]);
    await host.run(3_600_000);
    await host.submit(world, "api", 20);
    await host.run(1_000);
    expect(told(host)).toHaveLength(3);
  });
});

describe("queue.stalled", () => {
  const slow = { ...SETTINGS, concurrency: 1, timeout: 60_000, breaker: { enabled: false } } as const;

  /** A target whose only slot is never free for long. */
  async function stalled() {
    const host = new BreakerHost();
    const world = host.add("q1-0", { ...slow, events: { ...SETTINGS.events, on: ["queue.stalled"] } });
    host.down.add(API);
    await host.isolate(API);
    const shared = host.add("q2-0", {
      ...slow,
      breaker: {},
      events: { ...SETTINGS.events, on: ["queue.stalled"] },
    });
    await host.submit(shared, "api", 3);
    return { host, world, shared };
  }

  test("tells of a task that is due for a quarter of an hour and not called, once an hour", async () => {
    const { host } = await stalled();
    const since = host.now;
    await host.run(14 * 60_000);
    expect(told(host)).toEqual([]);
    await host.run(2 * 60_000);
    expect(told(host)).toMatchObject([
      {
        type: "queue.stalled",
        data: { queue: "queue-2", target: API, waiting_on: "breaker", due_at: new Date(since).toISOString() },
      },
    ]);
    await host.run(50 * 60_000);
    expect(told(host)).toHaveLength(1);
    await host.run(10 * 60_000);
    expect(told(host)).toHaveLength(2);
  });

  test("is told once an hour though the shard loses its memory", async () => {
    const { host, shared } = await stalled();
    await host.run(16 * 60_000);
    for (let i = 0; i < 10; i++) {
      shared.restart();
      await shared.alarm();
      await host.run(60_000);
    }
    expect(told(host)).toHaveLength(1);
  });

  test("is not told of a queue that an operator has paused, nor of one where everything goes", async () => {
    const { host, shared } = await stalled();
    await shared.configure({ paused: true });
    await host.run(60 * 60_000);
    const busy = host.add("q3-0", SETTINGS);
    await busy.submitAll([busy.taskTo("other", { delayMs: 30 * 60_000 })]);
    for (let i = 0; i < 20; i++) {
      await host.submit(busy, "other", 2);
      await host.run(60_000);
    }
    expect(told(host)).toEqual([]);
  });
});

describe("an operator event", () => {
  const signs = ({ grant }: Call) => grant.request.sign;

  test("is signed as the queue's callbacks are, and its id stays the same over deliveries", async () => {
    const host = new BreakerHost();
    const world = host.add("q1-0", {
      ...SETTINGS,
      callback: { url: HOOK.url, headers: { "x-secret": "for the hook" } },
    });
    host.answer = (grant, to) =>
      to === OPS && grant.number < 3 ? { status: 500 } : { status: host.down.has(to) ? 500 : 200 };
    host.down.add(API);
    await host.submit(world, "api", 10);
    await host.run(600_000);
    const deliveries = host.callsTo(OPS);
    expect(deliveries).toHaveLength(3);
    expect(new Set(deliveries.map((call) => JSON.stringify(signs(call)))).size).toBe(1);
    expect(signs(deliveries[0] as Call)).toMatchObject({
      messageId: expect.stringMatching(/^tsk_[0-9A-Z]+_1$/i),
      secrets: world.config.secrets,
    });
    expect(new Set(deliveries.map(({ grant }) => grant.request.body)).size).toBe(1);
    expect(deliveries[0]?.grant.request).toMatchObject({ method: "POST", url: SETTINGS.events.url });
    expect(deliveries[0]?.grant.request.headers).not.toHaveProperty("x-secret");
  });

  test("is no task: not in lists, counts or views, and gone once it is delivered", async () => {
    const host = new BreakerHost();
    const world = host.add("q1-0", SETTINGS);
    host.down.add(OPS);
    await outage(host);
    const [row] = world.rows("SELECT id FROM tasks WHERE id LIKE '%~event'");
    const query = { before: null, state: null, label: null, target: null, createdAfter: null, limit: 100 };
    expect((await world.shard.list(query)).tasks).toHaveLength(5);
    expect(await world.shard.get(String(row?.id))).toMatchObject({ ok: false, code: "task_not_found" });
    expect(await world.operate(String(row?.id), "cancel")).toMatchObject({ ok: false });
    expect(await world.counts()).toMatchObject({ retrying: 5, succeeded: 0 });
    expect((await world.shard.stats()).callbacksWaiting).toBe(0);
    host.down.clear();
    await host.run(600_000);
    expect(world.rows("SELECT id FROM tasks WHERE id LIKE '%~event'")).toEqual([]);
    expect(await world.counts()).toMatchObject({ succeeded: 5 });
  });

  test("survives a loss of memory, before its delivery and during it", async () => {
    const host = new BreakerHost();
    const world = host.add("q1-0", SETTINGS);
    host.latencyMs = 5_000;
    host.down.add(API);
    host.answer = (_, to) =>
      to === API ? { status: 0, durationMs: 1, error: { name: "Error", message: "ECONNREFUSED" } } : {};
    await host.submit(world, "api", 5);
    await host.run(1_000);
    world.restart();
    await world.alarm();
    await host.run(10_000);
    expect(told(host)).toHaveLength(1);
    expect(world.rows("SELECT id FROM tasks WHERE id LIKE '%~event'")).toEqual([]);
  });

  test("does not keep a queue from being deleted", async () => {
    const host = new BreakerHost();
    const world = host.add("q1-0", SETTINGS);
    host.down.add(OPS);
    await outage(host);
    for (const row of world.rows("SELECT id FROM tasks WHERE instr(id, '~') = 0"))
      await world.operate(String(row.id), "cancel");
    await host.run(2_000);
    expect(await world.shard.close()).toBe(true);
  });
});
