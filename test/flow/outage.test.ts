import { setTimeout as delay } from "node:timers/promises";
import { Webhook } from "standardwebhooks";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import type { BreakerView } from "../../src/schema/breaker.ts";
import type { TaskSummary } from "../../src/schema/task.ts";
import { ask, eventually, openWorld, taskWhen, type World } from "../support/server/stories.ts";
import { startTarget, type Target, type TargetCall, type TargetScript } from "../support/server/target.ts";

let world: World;

beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.stop());

/** A target of its own origin, since breakers go by it; it ends with the test. */
async function ownTarget(script?: TargetScript): Promise<Target> {
  const target = await startTarget(script);
  onTestFinished(() => target.stop());
  return target;
}

async function readBreaker(url: string): Promise<BreakerView> {
  const { status, body } = await ask(world.server, "GET", `/v1/breakers/${encodeURIComponent(url)}`);
  expect(status).toBe(200);
  return body;
}

function breakerWhen(url: string, isSo: (view: BreakerView) => boolean, timeoutMs?: number) {
  const look = async () => {
    const path = `/v1/breakers/${encodeURIComponent(url)}`;
    const { status, body } = await ask(world.server, "GET", path);
    return status === 200 && isSo(body) ? (body as BreakerView) : null;
  };
  return eventually(`the breaker of ${url}: ${isSo}`, look, timeoutMs);
}

async function submitMany(queue: string, url: string, count: number): Promise<void> {
  const results = await world.client.submitBatch(Array.from({ length: count }, () => ({ url, queue })));
  expect(results.filter((result) => "problem" in result)).toEqual([]);
}

async function allOf(queue: string): Promise<TaskSummary[]> {
  const tasks: TaskSummary[] = [];
  for await (const task of world.client.list({ queue, limit: 200 })) tasks.push(task);
  return tasks;
}

async function finalCounts(queue: string) {
  const { counts } = await world.client.queues.get(queue);
  const left = (counts?.pending ?? 1) + (counts?.running ?? 1) + (counts?.retrying ?? 1);
  if (left === 0) return counts;
  await delay(200);
  return null;
}

describe("two queues of eight shards that trust each other and call one target", () => {
  test("trip one breaker, are probed by one call at a time, and tell operators once each", async () => {
    let isDown = true;
    const calls: { begunAt: number; inFlight: number }[] = [];
    let inFlight = 0;
    const target = await ownTarget(async () => {
      calls.push({ begunAt: Date.now(), inFlight: ++inFlight });
      await delay(200);
      inFlight--;
      return { status: isDown ? 503 : 200 };
    });
    const receiver = world.place();
    // Many probes in little time.
    const breaker = { share: "trusted", open: "1s", max_open: "2s" } as const;
    const events = { url: receiver.url };
    const queues = [
      await world.makeQueue({ shards: 8, breaker, events }),
      await world.makeQueue({ shards: 8, breaker, events }),
    ];
    await Promise.all(queues.map((queue) => submitMany(queue, target.url, 200)));
    const { audit } = await breakerWhen(target.url, ({ state }) => state !== "closed");
    const trippedAt = Date.parse(audit.at(-1)?.at ?? "");
    const atTrip = (call: { begunAt: number }) => call.begunAt < trippedAt + 500;
    const beforeProbes = calls.filter(atTrip).length;
    const probed = await breakerWhen(target.url, ({ trips }) => trips >= 6, 30_000);
    const probes = calls.filter((call) => !atTrip(call));
    const task = (await allOf(queues[1] ?? "")).find(({ state }) => state === "pending");
    isDown = false;
    await Promise.all(
      queues.map((queue) => eventually(`${queue} is done`, () => finalCounts(queue), 60_000)),
    );
    const told = (await receiver.waitForCalls(4)).map((call) =>
      verifiedEvent(call, world.server.signingSecret),
    );
    const other = world.place();
    await world.client.submit({ url: world.place().url, callback: { url: other.url } });
    await other.waitForCalls(1);

    process.stdout.write(`${beforeProbes} calls up to the trip, ${probes.length} while it was open\n`);
    expect(beforeProbes).toBeLessThanOrEqual(130);
    expect(Math.max(...probes.map((call) => call.inFlight))).toBe(1);
    expect(probes.length).toBeGreaterThanOrEqual(probed.trips - 1);
    expect(probes.length).toBeLessThanOrEqual(probed.trips);
    expect(probed.parked).toBeGreaterThan(300);
    expect(task?.summary).toMatch(
      /^Waiting for the breaker of http:\/\/127\.0\.0\.1:\d+ \(open since [\d.]+ s, \d+ of \d+ calls failed\); .*no attempt is used\.$/,
    );
    expect(receiver.calls()).toHaveLength(4);
    expect(told.map(({ type, data }) => `${data.queue} ${type}`).sort()).toEqual(
      queues.flatMap((queue) => [`${queue} breaker.closed`, `${queue} breaker.opened`]).sort(),
    );
    expect(told.every(({ data }) => data.target === target.url)).toBe(true);
  }, 120_000);
});

/** An operator event, its signature verified by the public library; throws where that fails. */
function verifiedEvent(call: TargetCall, secret: string) {
  return new Webhook(secret).verify(call.body, call.headers) as {
    type: string;
    data: { queue: string; target: string };
  };
}

describe("a target that cannot be reached", () => {
  test("is shown with the reason, what waits for it and the next probe, and each task says so", async () => {
    const target = await startTarget();
    await target.stop();
    const queue = await world.makeQueue();
    await submitMany(queue, target.url, 60);
    const isParked = ({ state, parked }: BreakerView) => state === "open" && parked >= 20;
    const view = await breakerWhen(target.url, isParked);
    const { body } = await ask(world.server, "GET", "/v1/breakers");
    const task = (await allOf(queue)).find(({ state }) => state === "pending");
    const details = await world.client.get(task?.id ?? "");

    expect(view).toMatchObject({ trips: 1, windows: { ok: 0 }, failure_rate: 1 });
    expect(view.reason).toMatch(/^\d+ calls in a row could not connect$/);
    expect(view.windows.connect_failed).toBe(view.windows.failed);
    expect(view.parked).toBeLessThanOrEqual(60);
    expect(Date.parse(view.next_probe_at ?? "")).toBeGreaterThan(Date.parse(view.since) + 4_900);
    expect(view.audit).toMatchObject([{ from: "closed", to: "open", reason: view.reason, by: "counts" }]);
    expect(body.breakers).toContainEqual(expect.objectContaining({ key: target.url, state: "open" }));
    expect(details).toMatchObject({ waiting_on: "breaker", attempt_count: 0, attempts: [] });
    expect(details.summary).toMatch(
      new RegExp(
        `^Waiting for the breaker of ${target.url} \\(open since [\\d.]+ s, \\d+ calls in a row could not connect\\); next probe in [\\d.]+ s; no attempt is used\\.$`,
      ),
    );
  });
});

describe("an operator", () => {
  test("stops all calls to a target by isolating it, and lets them go by a reset", async () => {
    const target = await ownTarget();
    const queue = await world.makeQueue();
    const operate = (verb: string, reason: string) =>
      ask(world.server, "POST", `/v1/breakers/${encodeURIComponent(target.url)}/${verb}`, {
        body: { reason },
      });
    await submitMany(queue, target.url, 200);
    await target.waitForCalls(200);
    const isolated = await operate("isolate", "their data centre moves");
    await eventually("all shards are told", async () => {
      const { id } = await world.client.submit({ url: target.url, queue });
      const { waiting_on } = await world.client.get(id);
      return waiting_on === "breaker" ? true : null;
    });
    const callsBefore = target.callCount;
    await submitMany(queue, target.url, 50);
    await taskOfOther();
    const waiting = (await allOf(queue)).filter(({ state }) => state === "pending");
    const callsWhile = target.callCount - callsBefore;
    const reset = await operate("reset", "it has moved");
    await eventually("all are delivered", () => finalCounts(queue));
    const view = await readBreaker(target.url);

    expect([isolated.status, isolated.body.state]).toEqual([200, "isolated"]);
    expect(callsWhile).toBe(0);
    expect(waiting.length).toBeGreaterThanOrEqual(50);
    expect(waiting.every(({ waiting_on }) => waiting_on === "breaker")).toBe(true);
    expect(waiting[0]?.summary).toMatch(/\(isolated since [\d.]+ s: their data centre moves\); no attempt/);
    expect([reset.status, reset.body.state]).toEqual([200, "closed"]);
    expect(view.audit).toMatchObject([
      { from: "isolated", to: "closed", reason: "it has moved" },
      { from: "closed", to: "isolated", reason: "their data centre moves" },
    ]);
  });

  test("isolates a target before its first call", async () => {
    const target = await ownTarget();
    const queue = await world.makeQueue();
    const path = `/v1/breakers/${encodeURIComponent(target.url)}`;
    await ask(world.server, "POST", `${path}/isolate`, { body: { reason: "not yet" } });
    await submitMany(queue, target.url, 400);
    const parked = await breakerWhen(
      target.url,
      (view) => view.parked > 0 && view.parked + target.callCount === 400,
    );
    await ask(world.server, "POST", `${path}/reset`, { body: { reason: "now" } });
    await eventually("all are delivered", () => finalCounts(queue));

    expect(parked).toMatchObject({ state: "isolated", parked: 400 });
    expect(target.callCount).toBe(400);
  });
});

/** Resolves once a task of another queue has been called: what might go at once has had its turn. */
async function taskOfOther(): Promise<void> {
  const other = world.place();
  await world.client.submit({ url: other.url, delay: "500ms" });
  await other.waitForCalls(1);
}

describe("a target that answers 429 with Retry-After", () => {
  test("gets no call of any other task of a shard that it told, until then", async () => {
    const askedAt: number[] = [];
    let isAsking = true;
    const target = await ownTarget(() => {
      if (!isAsking) return { status: 200 };
      askedAt.push(Date.now());
      return { status: 429, headers: { "retry-after": "4" } };
    });
    const queue = await world.makeQueue({ shards: 4 });
    for (let n = 0; n < 40; n++) {
      const { id } = await world.client.submit({ url: target.url, queue });
      await taskWhen(world.client, id, ({ waiting_on }) => waiting_on !== null);
    }
    const waiting = await allOf(queue);
    const untouched = waiting.filter(({ attempt_count }) => attempt_count === 0);
    isAsking = false;
    const calls = await target.waitForCalls(40 + askedAt.length);

    expect(askedAt.length).toBeLessThanOrEqual(4);
    expect(untouched).toHaveLength(40 - askedAt.length);
    expect(untouched.every(({ waiting_on }) => waiting_on === "rate")).toBe(true);
    expect(untouched[0]?.summary).toMatch(
      /^Waiting since http\S+ asked for it; it may be called again in [\d.]+ s; no attempt is used\.$/,
    );
    const next = calls[askedAt.length]?.receivedAt;
    expect(next).toBeGreaterThanOrEqual((askedAt[0] ?? 0) + 4_000);
  });
});
