import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { TaskRequestInput } from "../../src/schema/task.ts";
import type { StartOptions } from "../support/server/server.ts";
import { ask, eventually, openWorld, type RawAnswer, type World } from "../support/server/stories.ts";
import { Ledger, type SentTask } from "./ledger.ts";
import { restingMemoryMb } from "./memory.ts";
import { type Kind, Witness } from "./witness.ts";

const FIXED = { strategy: "fixed", initial_interval: "300ms", jitter: "none" } as const;
/** What was interrupted is made again once its lease has ended, 10 s after the timeout. */
const RETRY = { max_attempts: 20, backoff: FIXED };
const HANG_TIMEOUT_MS = 1_000;
const HANG_ATTEMPTS = 2;
const BATCH = 100;
const REPEATED_WITHIN_MS = 60_000;

/** What every scenario does before and after its own: more of it makes the comparison of memory a sharper one. */
export interface Effort {
  /** Tasks that run before anything is measured, so that workerd's heap has grown to what load makes it. */
  warmUp: number;
  /** How long memory may take to come to rest. */
  restMs: number;
}

/** A real server under load: what was sent to it, and what its target and receiver saw. */
export interface Story {
  world: World;
  ledger: Ledger;
  witness: Witness;
  queue: string;
  effort: Effort;
  /** Makes up the next task of a kind. */
  task(kind: Kind, more?: Partial<TaskRequestInput>): SentTask;
  /** Stops all of it, and removes the data folder. */
  close(): Promise<void>;
}

/** Starts a server, a target and a receiver, and makes the queue that all tasks go to. */
export async function openStory(effort: Effort, options: StartOptions = {}): Promise<Story> {
  // Named here, so that a stop in the middle of a story leaves it.
  const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), "redrive-crashes-")));
  const world = await openWorld({ ...options, dataDir });
  const witness = new Witness();
  const target = world.place((call) => witness.answer(call));
  const receiver = world.place((call) => witness.take(call));
  const queue = await world.makeQueue({
    timeout: "3s",
    retry: RETRY,
    callback: { url: receiver.url, timeout: "3s", retry: RETRY },
    // Kinds are paths, and those that fail by kind would be split off, with breakers that keep them waiting.
    breaker: { split: false },
  });
  let made = 0;
  return {
    world,
    witness,
    queue,
    ledger: new Ledger(),
    effort,
    task: (kind, more) => sentTask(kind, { url: `${target.url}/${kind}`, queue, ...more }, ++made),
    close: async () => {
      await world.stop();
      if (options.dataDir === undefined)
        await rm(dataDir, { recursive: true, maxRetries: 5, retryDelay: 100 });
    },
  };
}

/** Calls the API and notes what it answers. Rejects with a TypeError where the server is gone. */
export async function asked(story: Story, method: string, path: string, body?: unknown): Promise<RawAnswer> {
  const answer = await ask(story.world.server, method, path, body === undefined ? {} : { body });
  story.ledger.note(answer);
  return answer;
}

/** Submits tasks one by one, so many at a time, until all are sent, `isOver`, or the server is gone. */
export async function submitAll(
  story: Story,
  tasks: SentTask[],
  inFlight: number,
  isOver: () => boolean = () => false,
): Promise<void> {
  const left = [...tasks];
  const sendNext = async () => {
    for (let task = left.shift(); task !== undefined && !isOver(); task = left.shift())
      await submitOne(story, task);
  };
  await Promise.all(Array.from({ length: inFlight }, () => sendNext().catch(serverIsGone)));
}

async function submitOne(story: Story, task: SentTask): Promise<void> {
  story.ledger.sent(task);
  const { status, body } = await asked(story, "POST", "/v1/tasks", task.request);
  if (status === 202 || status === 200) story.ledger.acknowledge(body.id, task);
  // As a client does; only shorter, so that a full disk gets more to refuse.
  else await delay(50);
}

/** Submits tasks in batches of 1,000. */
export async function submitBatches(story: Story, tasks: SentTask[], size = 1_000): Promise<void> {
  for (let from = 0; from < tasks.length; from += size) {
    const batch = tasks.slice(from, from + size);
    for (const task of batch) story.ledger.sent(task);
    const { status, body } = await asked(story, "POST", "/v1/tasks/batch", {
      tasks: batch.map(({ request }) => request),
    });
    if (status !== 202) continue;
    for (const [i, result] of body.results.entries()) {
      const task = batch[i];
      if (task !== undefined && result.task !== undefined) story.ledger.acknowledge(result.task.id, task);
    }
  }
}

/** As a client does that was not answered: where the task exists, its key makes this a repeat and no second task. */
export async function repeatUnanswered(story: Story): Promise<void> {
  const { unanswered } = story.ledger;
  await eventually(
    "every task is acknowledged",
    async () => {
      await submitBatches(story, [...unanswered.values()], BATCH);
      return unanswered.size === 0 ? true : null;
    },
    REPEATED_WITHIN_MS,
  );
}

/**
 * Runs tasks to their end, as many as the scenario was opened for, so that workerd's heap has grown to what load
 * makes it; answers with the memory (MB) it holds then.
 */
export async function warmUp(story: Story): Promise<number> {
  const tasks = Array.from({ length: story.effort.warmUp }, () => story.task("plain"));
  await submitAll(story, tasks, 20);
  await isDone(story);
  return restingMemory(story);
}

/** The memory (MB) that workerd holds once it rests. */
export function restingMemory({ world, effort }: Story): Promise<number> {
  return restingMemoryMb(world.server.pid, effort.restMs);
}

/** Resolves once no task of the queue is open and no callback waits. */
export async function isDone(story: Story, withinMs = 120_000): Promise<void> {
  await eventually(
    "every task is final and every callback is delivered",
    async () => {
      const { status, body } = await asked(story, "GET", `/v1/queues/${story.queue}`);
      if (status === 200) {
        const { pending, running, retrying, held } = body.counts;
        if (pending + running + retrying + held + body.callbacks_waiting === 0) return true;
      }
      await delay(200);
      return null;
    },
    withinMs,
  );
}

function serverIsGone(error: unknown): void {
  if (!(error instanceof TypeError)) throw error;
}

function sentTask(kind: Kind, request: TaskRequestInput, n: number): SentTask {
  const hangs = kind === "hang";
  const limits = hangs
    ? { timeout: HANG_TIMEOUT_MS, retry: { max_attempts: HANG_ATTEMPTS, backoff: FIXED } }
    : {};
  return {
    request: { ...limits, body: { n }, ...request, idempotency_key: `task-${n}` },
    endsAs: hangs ? "failed" : "succeeded",
    callsNeeded: hangs ? HANG_ATTEMPTS : kind === "flaky" ? 2 : 1,
  };
}
