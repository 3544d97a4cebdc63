import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import type { QueueSettingsInput } from "../../src/schema/queue.ts";
import type { TaskRequestInput, TaskSummary } from "../../src/schema/task.ts";
import { ask, eventually, openWorld, seededRandom, verified, type World } from "../support/server/stories.ts";
import type { TargetAnswer, TargetCall } from "../support/server/target.ts";

const IN_FLIGHT = 500;
/** Accepted before the first kill and due while the kills come, so that IN_FLIGHT are open at every one. */
const BACKLOG = 900;
const BACKLOG_DUE_WITHIN_MS = 15_000;
/** Submitted anew before each kill: some in one batch, most one by one. */
const FRESH = 250;
const BATCH = 100;
const SUBMITS_IN_FLIGHT = 40;
const KILLS = 5;
const ALL = BACKLOG + KILLS * FRESH;
const FIRST_KILL_MS = 50;
const LAST_KILL_MS = 1_500;
/** An attempt and its callback may each have to wait for the end of a lease, and the machine may be busy. */
const SETTLED_WITHIN_MS = 120_000;

const KINDS = ["at-once", "flaky", "slow", "delayed", "refused"] as const;

/** What was sent to the server and what it answered, over all its lives. */
interface Ledger {
  url: string;
  /** Has what comes in batches, and so a line of due tasks at every moment. */
  busyQueue: string;
  /** Has what comes one by one, which the edge can call at once, as nobody waits before it. */
  edgeQueue: string;
  /** Ids of all tasks that were answered with 202. */
  accepted: Set<string>;
  /** Tasks whose submit was not answered, by their idempotency key: they may exist or not. */
  unansweredByKey: Map<string, TaskRequestInput>;
}

/** What the target and the receiver saw, over all lives of the server. */
interface Witness {
  callsById: Map<string, number>;
  /** `task attempt` of every call that the target has not answered yet. */
  open: Set<string>;
  callbacksById: Map<string, TargetCall[]>;
}

// Each of the two servers is killed five times on the same folder; what one kill cuts off is still under a lease at
// the next ones, so that leases, retries and callbacks of all rounds meet.
describe.concurrent("workerd is killed while 500 tasks are in flight", () => {
  for (const seed of [1, 2]) {
    test(`every task that was accepted ends, and its callback comes, after ${KILLS} kills (seed ${seed})`, {
      timeout: SETTLED_WITHIN_MS + 60_000,
    }, async () => {
      const world = await openWorld();
      try {
        await survives(world, seed);
      } finally {
        await world.stop();
      }
    });
  }
});

async function survives(world: World, seed: number): Promise<void> {
  const random = seededRandom(seed);
  const witness: Witness = { callsById: new Map(), open: new Set(), callbacksById: new Map() };
  const receiver = world.place((call) => noteCallback(witness, call));
  const target = world.place((call) => answerByKind(witness, call));
  const settings: QueueSettingsInput = {
    timeout: "2s",
    concurrency: 200,
    // The path of flaky tasks fails half of its calls: alone, it would have a breaker that opens.
    breaker: { split: false },
    retry: { max_attempts: 20, backoff: { strategy: "fixed", initial_interval: "300ms", jitter: "none" } },
    callback: {
      url: receiver.url,
      timeout: "2s",
      retry: { max_attempts: 20, backoff: { strategy: "fixed", initial_interval: "300ms", jitter: "none" } },
    },
  };
  const ledger: Ledger = {
    url: target.url,
    busyQueue: await world.makeQueue(settings),
    edgeQueue: await world.makeQueue(settings),
    accepted: new Set(),
    unansweredByKey: new Map(),
  };
  const { accepted } = ledger;
  const cutOff = new Set<string>();
  const inFlight: number[] = [];
  await submitBacklog(world, ledger);
  for (let round = 0; round < KILLS; round++) {
    // One moment from each fifth of the range, so that every run has early and late kills.
    const part = (LAST_KILL_MS - FIRST_KILL_MS) / KILLS;
    const killAfterMs = FIRST_KILL_MS + part * (round + random());
    const submitting = submitAll(world, ledger, round);
    await delay(killAfterMs);
    for (const call of witness.open) cutOff.add(call);
    inFlight.push(accepted.size - witness.callbacksById.size);
    world.server.kill();
    world.server = await world.server.restart();
    await submitting;
  }
  await repeatUnanswered(world, ledger);
  await eventually(
    "every task is final and every callback is delivered",
    () => (witness.callbacksById.size < ALL ? null : isQuiet(world, ledger)),
    SETTLED_WITHIN_MS,
  );

  const tasks = await allTasks(world, ledger);
  const taskById = new Map(tasks.map((task) => [task.id, task]));
  expect([...accepted].filter((id) => !taskById.has(id))).toEqual([]);
  expect(tasks).toHaveLength(ALL);
  expect(Math.min(...inFlight)).toBeGreaterThanOrEqual(IN_FLIGHT);
  expect(tasks.filter(({ state, metadata }) => state !== finalStateOf(metadata.kind))).toEqual([]);
  expect(
    tasks.map(({ id }) => faultOfCallbacks(witness, taskById.get(id), world.server.signingSecret)),
  ).toEqual(tasks.map(() => null));
  // The target is never called without an attempt in the history to show for it.
  expect(tasks.filter(({ id, attempt_count }) => (witness.callsById.get(id) ?? 0) > attempt_count)).toEqual(
    [],
  );
  expect(cutOff.size).toBeGreaterThan(0);
  await eachIsInterrupted(world, cutOff);
}

/** Submits a batch and many single tasks at once, and notes which were accepted until the server died. */
async function submitAll(world: World, ledger: Ledger, round: number): Promise<void> {
  const tasks = Array.from({ length: FRESH }, (_, i) => {
    const queue = i < BATCH ? ledger.busyQueue : ledger.edgeQueue;
    return { ...taskOf(ledger, i), queue, idempotency_key: `${round}-${i}` };
  });
  for (const task of tasks) ledger.unansweredByKey.set(task.idempotency_key, task);
  const submitNext = async (): Promise<void> => {
    for (let task = tasks.shift(); task !== undefined; task = tasks.shift()) {
      const answer = await ask(world.server, "POST", "/v1/tasks", { body: task });
      if (answer.status !== 202) throw new Error(`expected 202, got ${answer.status}`);
      accept(ledger, answer.body.id, task);
    }
  };
  const batch = submitBatch(world, ledger, tasks.splice(0, BATCH));
  const singles = Array.from({ length: SUBMITS_IN_FLIGHT }, submitNext);
  await Promise.all([batch, ...singles].map((submitting) => submitting.catch(serverDied)));
}

async function submitBacklog(world: World, ledger: Ledger): Promise<void> {
  const tasks = Array.from({ length: BACKLOG }, (_, i) => {
    const delayMs = Math.round((i / BACKLOG) * BACKLOG_DUE_WITHIN_MS);
    return { ...taskOf(ledger, i), queue: ledger.busyQueue, delay: delayMs };
  });
  while (tasks.length > 0) await submitBatch(world, ledger, tasks.splice(0, BATCH));
}

async function submitBatch(world: World, ledger: Ledger, tasks: TaskRequestInput[]): Promise<void> {
  const { body } = await ask(world.server, "POST", "/v1/tasks/batch", { body: { tasks } });
  for (const [i, { task }] of body.results.entries()) accept(ledger, task.id, tasks[i]);
}

/** As a client does that was not answered: where the task exists, its key makes this a repeat and no second task. */
async function repeatUnanswered(world: World, ledger: Ledger): Promise<void> {
  const tasks = [...ledger.unansweredByKey.values()];
  while (tasks.length > 0) await submitBatch(world, ledger, tasks.splice(0, BATCH));
}

function accept(ledger: Ledger, id: string, task: TaskRequestInput | undefined): void {
  ledger.accepted.add(id);
  ledger.unansweredByKey.delete(task?.idempotency_key ?? "");
}

/** A submit that broke off with the server; its task stays among the unanswered. */
function serverDied(error: unknown): void {
  if (!(error instanceof TypeError)) throw error;
}

function taskOf({ url }: Ledger, i: number) {
  const kind = KINDS[i % KINDS.length] ?? "at-once";
  const delayMs = kind === "delayed" ? 200 + ((i * 37) % 2_500) : 0;
  return { url: `${url}/${kind}`, body: { i }, metadata: { kind }, delay: delayMs };
}

function finalStateOf(kind: unknown): string {
  return kind === "refused" ? "failed" : "succeeded";
}

async function answerByKind(witness: Witness, call: TargetCall): Promise<TargetAnswer> {
  const id = call.headers["redrive-task-id"] ?? "";
  const key = `${id} ${call.headers["redrive-attempt"]}`;
  const before = witness.callsById.get(id) ?? 0;
  witness.callsById.set(id, before + 1);
  witness.open.add(key);
  const kind = call.path.split("/").at(-1);
  if (kind === "slow") await delay(1_000);
  witness.open.delete(key);
  if (kind === "refused") return { status: 400 };
  return { status: kind === "flaky" && before === 0 ? 503 : 200 };
}

function noteCallback(witness: Witness, call: TargetCall): TargetAnswer {
  const { id } = JSON.parse(call.body).data.task;
  const calls = witness.callbacksById.get(id) ?? [];
  witness.callbacksById.set(id, [...calls, call]);
  return { status: 200 };
}

async function isQuiet(world: World, ledger: Ledger): Promise<true | null> {
  for (const name of [ledger.busyQueue, ledger.edgeQueue]) {
    const { counts, callbacks_waiting: callbacksWaiting } = await world.client.queues.get(name);
    if (counts === undefined || callbacksWaiting !== 0) return null;
    if (counts.pending + counts.running + counts.retrying + counts.held > 0) return null;
  }
  return true;
}

async function allTasks(world: World, ledger: Ledger): Promise<TaskSummary[]> {
  const tasks: TaskSummary[] = [];
  for (const queue of [ledger.busyQueue, ledger.edgeQueue]) {
    for await (const task of world.client.list({ queue, limit: 200 })) tasks.push(task);
  }
  return tasks;
}

/** What is wrong with the callbacks that came for a task, or null: one message, told at least once, true and signed. */
function faultOfCallbacks(witness: Witness, task: TaskSummary | undefined, secret: string): string | null {
  if (task === undefined) return "no task";
  const calls = witness.callbacksById.get(task.id) ?? [];
  const [first] = calls;
  if (first === undefined) return `${task.id}: no callback came`;
  if (calls.some((call) => call.headers["webhook-id"] !== `${task.id}_1`))
    return `${task.id}: another message`;
  if (calls.length > (task.callback?.attempts.length ?? 0)) return `${task.id}: a delivery is not on record`;
  const { state } = verified(first, secret).data.task;
  return state === task.state ? null : `${task.id}: told ${state}, is ${task.state}`;
}

/** A call that the target had not answered when the server was killed can only be known as interrupted. */
async function eachIsInterrupted(world: World, cutOff: Set<string>): Promise<void> {
  for (const call of cutOff) {
    const [id = "", number] = call.split(" ");
    const { attempts } = await world.client.get(id);
    const attempt = attempts.find((one) => one.number === Number(number));
    expect(attempt, call).toMatchObject({ error_type: "interrupted", status: null, decision: "retry" });
  }
}
