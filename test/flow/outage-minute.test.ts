import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseTaskId } from "../../src/core/task/task-id.ts";
import type { BreakerView } from "../../src/schema/breaker.ts";
import type { TaskSummary, TaskView } from "../../src/schema/task.ts";
import { ask, eventually, openWorld, type World } from "../support/server/stories.ts";
import { startTargetProcess, type TargetProcess } from "../support/server/target-process.ts";
import { beyondRamp } from "../support/shard/ramp-check.ts";

const TASKS = 2_000;
const SHARDS = 4;
/** Five calls in a row without a connection trip it, or ten without an answer; then its probes come. */
const MOST_CALLS = 60;
/** From submit to the target's return: the first minute, and a little. */
const OUTAGE_MS = 61_000;
/** Calls that begin later than this after a trip are probes: a shard that was not told yet has been by then. */
const TRIP_MS = 1_000;

/** A way to be down on a port, until it is ended. */
interface Down {
  port: number;
  /** Requests that it has seen; null: it cannot see any. */
  requests(): number | null;
  end(): Promise<void>;
}

let world: World;

beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.stop());

/** Nothing listens: the target was there and was killed. */
async function killed(): Promise<Down> {
  const target = await startTargetProcess();
  await target.kill();
  return { port: target.port, requests: () => null, end: async () => undefined };
}

/** Something listens that ends each connection when a request comes, and counts those of tasks. */
async function hangingUp(): Promise<Down> {
  let requests = 0;
  const server = createServer((socket) => {
    socket
      .on("error", () => undefined)
      .once("data", (bytes) => {
        // The server asks by itself whether this speaks HTTP.
        if (!String(bytes).startsWith("OPTIONS ")) requests++;
        socket.destroy();
      });
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  return {
    port: (server.address() as AddressInfo).port,
    requests: () => requests,
    end: async () => {
      await once(server.close(), "close");
    },
  };
}

/** What the server knows of an outage after a minute of it. */
interface Minute {
  waiting: TaskSummary[];
  breaker: BreakerView;
  /** The tasks that were called, with their attempts. */
  called: TaskView[];
  /** Attempts that the server has written to its log. */
  logged: number;
}

async function minuteOf(queue: string, url: string): Promise<Minute> {
  const breaker = await eventually("no probe is near", () => quietBreaker(url), 90_000);
  const waiting: TaskSummary[] = [];
  for await (const task of world.client.list({ queue, limit: 200 })) waiting.push(task);
  const ids = waiting.filter(({ attempt_count }) => attempt_count > 0).map(({ id }) => id);
  const called = await Promise.all(ids.map((id) => world.client.get(id)));
  const lines = world.server.output().stdout.split("\n");
  const logged = lines.filter((line) => line.includes('"attempt.settled"') && line.includes(url)).length;
  return { waiting, breaker, called, logged };
}

/** The breaker, where what was is not about to change: its last probe is over for some seconds, its next is not due. */
async function quietBreaker(url: string): Promise<BreakerView | null> {
  const { body } = await ask(world.server, "GET", `/v1/breakers/${encodeURIComponent(url)}`);
  const { state, since, next_probe_at } = body as BreakerView;
  const now = Date.now();
  const isQuiet =
    state === "open" && Date.parse(since) < now - 3_000 && Date.parse(next_probe_at ?? "") > now + 3_000;
  return isQuiet ? body : delay(200).then(() => null);
}

async function allDelivered(queue: string): Promise<true | null> {
  const { counts } = await world.client.queues.get(queue);
  expect(counts).toMatchObject({ failed: 0, cancelled: 0 });
  return counts?.succeeded === TASKS ? true : null;
}

describe("2,000 tasks of a target that is down for a minute", () => {
  test.concurrent.for<[string, () => Promise<Down>]>([
    ["was killed", killed],
    ["hangs up", hangingUp],
  ])(
    "make few calls, lose no attempt by waiting, and come back as a ramp, where it %s",
    { timeout: 240_000 },
    async ([how, goDown], { onTestFinished }) => {
      const queue = await world.makeQueue({ shards: SHARDS });
      const down = await goDown();
      const url = `http://127.0.0.1:${down.port}`;
      const downAt = Date.now();
      const results = await world.client.submitBatch(Array.from({ length: TASKS }, () => ({ url, queue })));
      await delay(OUTAGE_MS - (Date.now() - downAt));
      const minute = await minuteOf(queue, url);
      const requests = down.requests();

      await down.end();
      const target = await startTargetProcess(down.port);
      onTestFinished(() => target.kill());
      const backAt = Date.now();
      // Twice a second, since reading the counts is a call of each shard: it must not be what keeps them going.
      await eventually("all tasks are delivered", () => delay(500).then(() => allDelivered(queue)), 90_000);
      const tookMs = lastAnswer(target) - backAt;
      await target.kill();

      const calls = minute.called.flatMap(({ attempts }) => attempts);
      const firstAt = target.events[0]?.at ?? Number.POSITIVE_INFINITY;
      process.stdout.write(
        `A target that ${how}: ${calls.length} calls in ${Math.round((backAt - downAt) / 1_000)} s of outage (${requests ?? "no"} requests seen); from "target is back" ` +
          `to "all delivered": ${(tookMs / 1_000).toFixed(1)} s, of which ${((firstAt - backAt) / 1_000).toFixed(1)} s up to the first probe\n`,
      );
      expect(results.filter((result) => "problem" in result)).toEqual([]);
      expect(minute.waiting).toHaveLength(TASKS);
      expectFewCalls(minute, downAt);
      expect(requests ?? calls.length).toBe(calls.length);
      const dueAt = Math.max(backAt, Date.parse(minute.breaker.next_probe_at ?? ""));
      expect(firstAt).toBeLessThan(dueAt + 6_000);
      expect(tookMs).toBeLessThan(90_000);
      const seen = target.events.map(({ type, task }) => ({ type, shard: parseTaskId(task)?.shard ?? -1 }));
      expect(seen.filter(({ type }) => type === "answered")).toHaveLength(TASKS);
      expect(beyondRamp(seen, SHARDS)).toEqual([]);
    },
  );
});

function expectFewCalls({ waiting, breaker, called, logged }: Minute, downAt: number): void {
  const calls = called.flatMap(({ attempts }) => attempts);
  const startedAt = calls.map(({ started_at }) => Date.parse(started_at));
  expect(startedAt.filter((at) => at < downAt + 60_000).length).toBeLessThan(MOST_CALLS);
  expect(calls.length).toBeGreaterThanOrEqual(5);
  expect(logged).toBe(calls.length);

  const trippedAt = Date.parse(breaker.audit.at(-1)?.at ?? "");
  const probes = calls.filter(({ started_at }) => Date.parse(started_at) > trippedAt + TRIP_MS);
  expect(breaker.audit.at(-1)).toMatchObject({ from: "closed", to: "open", by: "counts" });
  expect(probes.length).toBe(breaker.audit.filter(({ reason }) => reason === "a probe failed").length);
  expect(probes.length).toBeGreaterThanOrEqual(2);
  // The fewest that a task has used is none as long as there are tasks that were not called.
  expect(new Set(probes.map(({ number }) => number))).toEqual(new Set([1]));
  expect(waiting.filter(({ attempt_count }) => attempt_count === 0).length).toBe(TASKS - called.length);
  expect(new Set(waiting.map(({ waiting_on }) => waiting_on))).toEqual(new Set(["breaker"]));
}

function lastAnswer({ events }: TargetProcess): number {
  return events.at(-1)?.at ?? Number.POSITIVE_INFINITY;
}
