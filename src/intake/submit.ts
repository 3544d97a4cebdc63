import { loggedError } from "../core/text/logged-error.ts";
import { callObject, FAILURE_DETAILS, ObjectCallError } from "../platform/call-object.ts";
import type { Grant } from "../protocol/grant.ts";
import { shardName } from "../protocol/names.ts";
import type { QueueConfig } from "../protocol/queue-config.ts";
import type { ShardApi, SubmitResult } from "../protocol/shard-api.ts";
import { type RunPorts, runGrant } from "../runner/run-grant.ts";
import type { RoutedTask } from "./task-from-request.ts";

/** A task with the queue it goes to. */
export interface Submission extends RoutedTask {
  queue: QueueConfig;
}

/** What a submit needs of the world. */
export interface SubmitPorts {
  /** A new stub of the shard of this name, for one call. */
  shard(name: string): Pick<ShardApi, "submit">;
  /** A shard says that its queue is no more: what is known of it is out of date. */
  queueGone(queue: QueueConfig): void;
  /** Keeps the invocation alive until the promise has settled. */
  waitUntil(promise: Promise<unknown>): void;
  /** What it takes to make first attempts. */
  runPorts(): RunPorts;
  /** Epoch ms. */
  now(): number;
}

/**
 * Hands tasks to their shards, one call for each shard, and gives the answers in the tasks' order. First attempts
 * that the shards grant are made after that, in the same invocation. A shard that gives no answer is asked again
 * with the same ids; where it never answers, its tasks' results say so. `waitUntil` gets the whole before anything
 * is awaited, so that a client that leaves cannot cut it.
 */
export async function submit(
  ports: SubmitPorts,
  submissions: readonly Submission[],
): Promise<SubmitResult[]> {
  const submitting = submitAll(ports, submissions);
  ports.waitUntil(submitting.then((results) => runGrants(ports, results)));
  return submitting;
}

async function submitAll(ports: SubmitPorts, submissions: readonly Submission[]): Promise<SubmitResult[]> {
  const [only] = submissions;
  if (only !== undefined && submissions.length === 1) return submitGroup(ports, [only]);
  const groups = Map.groupBy(submissions.keys(), (index) => {
    const submission = submissions[index];
    return submission === undefined ? "" : shardName(submission.queue.ref, submission.shard);
  });
  const results: SubmitResult[] = [];
  await Promise.all(
    Array.from(groups.values(), async (indexes) => {
      const group = indexes.flatMap((index) => submissions[index] ?? []);
      const answers = await submitGroup(ports, group);
      answers.forEach((answer, i) => {
        const index = indexes[i];
        if (index !== undefined) results[index] = answer;
      });
    }),
  );
  return results;
}

/** Submits tasks that go to the same shard. */
async function submitGroup(ports: SubmitPorts, group: Submission[]): Promise<SubmitResult[]> {
  const [first] = group;
  if (first === undefined) return [];
  const { queue, shard } = first;
  const message = { queueVersion: queue.version, tasks: group.map(({ task }) => task) };
  try {
    const results = await callObject(() => ports.shard(shardName(queue.ref, shard)).submit(message));
    if (results.some((result) => !result.ok && result.code === "queue_not_found")) ports.queueGone(queue);
    return results;
  } catch (error) {
    if (!(error instanceof ObjectCallError)) throw error;
    logSubmitFailed(shardName(queue.ref, shard), group.length, error);
    return group.map(() => ({ ok: false, code: error.kind, detail: FAILURE_DETAILS[error.kind] }));
  }
}

async function runGrants({ now, runPorts }: SubmitPorts, results: readonly SubmitResult[]): Promise<void> {
  const grants = results.flatMap((result) => (result.ok && result.grant !== null ? [result.grant] : []));
  if (grants.length === 0) return;
  const edge = { answeredAt: now() };
  const ports = runPorts();
  await Promise.all(grants.map((grant) => runWithNext(grant, ports, edge)));
}

/** The edge asks for no further grants; should one come all the same, its lease has begun and it is run. */
async function runWithNext(first: Grant, ports: RunPorts, edge: { answeredAt: number }): Promise<void> {
  const waiting = [first];
  for (let grant = waiting.shift(); grant !== undefined; grant = waiting.shift()) {
    waiting.push(...(await runGrant(grant, ports, edge)));
  }
}

function logSubmitFailed(shard: string, tasks: number, error: ObjectCallError): void {
  const line = { event: "submit_failed", shard, tasks, code: error.kind, error: loggedError(error.cause) };
  console.error(JSON.stringify(line));
}
