import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { BatchResult, TaskRequestInput } from "../../src/client/index.ts";
import { eventually, openWorld, type Place, type World } from "../support/server/stories.ts";
import { startTarget, type Target, type TargetCall } from "../support/server/target.ts";

const HUNG = 150;
const GOOD = 60;
const FRESH = 30;
const HUNG_TIMEOUT_MS = 8_000;
const DUE_AFTER_MS = 1_500;

let world: World;
const origins: Target[] = [];

beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => Promise.all([world, ...origins].map((one) => one.stop())));

describe("150 attempts hang in a queue of one shard", () => {
  test("tasks to another target go as fast as without them, due ones and fresh ones", async () => {
    const queue = await world.makeQueue({
      shards: 1,
      timeout: HUNG_TIMEOUT_MS,
      retry: { max_attempts: 1 },
      // Else a target gets few calls at a time until it has answered some.
      adaptive_concurrency: false,
      breaker: { enabled: false },
    });
    const alone = await goodOnes(queue, []);
    const hung = world.place(() => "hang");
    const beside = await goodOnes(queue, tasksTo(hung, HUNG, { queue, delay: DUE_AFTER_MS }));

    expect(hung.calls()).toHaveLength(HUNG);
    expect(beside.worstDueMs).toBeLessThan(bound(alone.worstDueMs));
    expect(beside.worstFreshMs).toBeLessThan(bound(alone.worstFreshMs));
    await allTimeOut(queue, HUNG);
  });

  test("due tasks share the slots of a small queue half and half with the hung ones", async () => {
    const settings = { shards: 1, concurrency: 16, timeout: HUNG_TIMEOUT_MS, retry: { max_attempts: 1 } };
    const queue = await world.makeQueue(settings);
    const hung = world.place(() => "hang");
    const good = await otherOrigin();
    const when = { queue, run_at: new Date(Date.now() + DUE_AFTER_MS).toISOString() };
    const tasks = [...tasksTo(hung, HUNG, when), ...tasksTo(good, GOOD, when)];
    await world.client.submitBatch(tasks);
    // Well before the first of the hung attempts ends.
    await good.waitForCalls(GOOD, DUE_AFTER_MS + HUNG_TIMEOUT_MS / 2);
    expect(hung.calls().length).toBeLessThanOrEqual(8);
  });
});

/** How late good tasks are called at worst, in ms: after they were due, and after a fresh one was submitted. */
interface Lateness {
  worstDueMs: number;
  worstFreshMs: number;
}

/** Lets good tasks fall due together with `others`, and submits fresh ones by the API from that moment on. */
async function goodOnes(queue: string, others: TaskRequestInput[]): Promise<Lateness> {
  const good = await otherOrigin();
  const due = tasksTo(good, GOOD, { queue, delay: DUE_AFTER_MS });
  const results = await world.client.submitBatch([...others, ...due]);
  const dueAtById = new Map(results.map(acceptedDue));
  await good.waitForCalls(1);
  const submittedAtById = new Map<string, number>();
  for (let i = 0; i < FRESH; i++) {
    const submittedAt = Date.now();
    const { id } = await world.client.submit({ url: good.url, queue });
    submittedAtById.set(id, submittedAt);
  }
  const calls = await good.waitForCalls(GOOD + FRESH);
  const lateBy = (sinceById: Map<string, number>) => {
    const idOf = (call: TargetCall) => call.headers["redrive-task-id"] ?? "";
    return Math.max(...calls.map((call) => call.receivedAt - (sinceById.get(idOf(call)) ?? call.receivedAt)));
  };
  return { worstDueMs: lateBy(dueAtById), worstFreshMs: lateBy(submittedAtById) };
}

/** A place of an origin of its own: targets are told apart by origin. */
async function otherOrigin(): Promise<Place> {
  const target = await startTarget();
  origins.push(target);
  return {
    url: `${target.url}/good`,
    calls: () => target.calls,
    respond: target.respond,
    waitForCalls: (count, timeoutMs) => target.waitForCalls(count, () => true, timeoutMs),
  };
}

function acceptedDue(result: BatchResult): [string, number] {
  if (!("task" in result)) throw new Error(`expected every task to be taken, got ${JSON.stringify(result)}`);
  return [result.task.id, Date.parse(result.task.due_at ?? "")];
}

function tasksTo(place: Place, count: number, more: Omit<TaskRequestInput, "url">): TaskRequestInput[] {
  return Array.from({ length: count }, () => ({ url: place.url, ...more }));
}

/** Generous, since other tests share the machine; the hung attempts themselves last far longer. */
function bound(aloneMs: number): number {
  return Math.min(Math.max(4 * aloneMs, aloneMs + 1_000), HUNG_TIMEOUT_MS / 2);
}

async function allTimeOut(queue: string, count: number): Promise<void> {
  await eventually("every hung task fails", async () => {
    const { counts } = await world.client.queues.get(queue);
    return counts?.failed === count && counts.running === 0 ? true : null;
  });
  for await (const task of world.client.list({ queue, state: "failed", limit: 200 })) {
    expect(task).toMatchObject({ reason: "max_attempts", attempt_count: 1 });
    expect(task.summary).toContain("timeout");
  }
}
