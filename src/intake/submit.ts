import { callShard } from "../api/access/app-env.ts";
import { forgetQueue } from "../api/access/catalog-cache.ts";
import { AppError } from "../api/http/app-error.ts";
import { clock } from "../platform/clock.ts";
import type { Env } from "../platform/env.ts";
import type { Grant } from "../protocol/grant.ts";
import { shardName } from "../protocol/names.ts";
import type { QueueConfig } from "../protocol/queue-config.ts";
import type { SubmitResult } from "../protocol/shard-api.ts";
import { type RunPorts, runGrant } from "../runner/run-grant.ts";
import { runPorts } from "../runner/run-ports.ts";
import type { RoutedTask } from "./task-from-request.ts";

/** A task with the queue it goes to. */
export interface Submission extends RoutedTask {
  queue: QueueConfig;
}

/**
 * Hands tasks to their shards, one call for each shard, and gives the answers in the tasks' order. First attempts
 * that the shards grant are made after that, in the same invocation. A shard that gives no answer is asked again
 * with the same ids; where it never answers, its tasks' results say so. `waitUntil` gets the whole before anything
 * is awaited, so that a client that leaves cannot cut it.
 */
export async function submit(
  env: Env,
  waitUntil: (promise: Promise<unknown>) => void,
  submissions: readonly Submission[],
): Promise<SubmitResult[]> {
  const submitting = submitAll(env, submissions);
  waitUntil(submitting.then((results) => runGrants(env, results)));
  return submitting;
}

async function submitAll(env: Env, submissions: readonly Submission[]): Promise<SubmitResult[]> {
  const [only] = submissions;
  if (only !== undefined && submissions.length === 1) return submitGroup(env, [only]);
  const groups = Map.groupBy(submissions.keys(), (index) => {
    const submission = submissions[index];
    return submission === undefined ? "" : shardName(submission.queue.ref, submission.shard);
  });
  const results: SubmitResult[] = [];
  await Promise.all(
    Array.from(groups.values(), async (indexes) => {
      const group = indexes.flatMap((index) => submissions[index] ?? []);
      const answers = await submitGroup(env, group);
      answers.forEach((answer, i) => {
        const index = indexes[i];
        if (index !== undefined) results[index] = answer;
      });
    }),
  );
  return results;
}

/** Submits tasks that go to the same shard. */
async function submitGroup(env: Env, group: Submission[]): Promise<SubmitResult[]> {
  const [first] = group;
  if (first === undefined) return [];
  const { queue, shard } = first;
  const message = { queueVersion: queue.version, tasks: group.map(({ task }) => task) };
  try {
    const results = await callShard(env, shardName(queue.ref, shard), (stub) => stub.submit(message));
    if (results.some((result) => !result.ok && result.code === "queue_not_found")) forgetQueue(queue);
    return results;
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    logSubmitFailed(shardName(queue.ref, shard), group.length, error);
    return group.map(() => ({ ok: false, code: error.code, detail: error.message }));
  }
}

async function runGrants(env: Env, results: readonly SubmitResult[]): Promise<void> {
  const grants = results.flatMap((result) => (result.ok && result.grant !== null ? [result.grant] : []));
  if (grants.length === 0) return;
  const edge = { answeredAt: clock.now() };
  const ports = runPorts(env, () => 0);
  await Promise.all(grants.map((grant) => runWithNext(grant, ports, edge)));
}

/** The edge asks for no further grants; should one come all the same, its lease has begun and it is run. */
async function runWithNext(first: Grant, ports: RunPorts, edge: { answeredAt: number }): Promise<void> {
  const waiting = [first];
  for (let grant = waiting.shift(); grant !== undefined; grant = waiting.shift()) {
    waiting.push(...(await runGrant(grant, ports, edge)));
  }
}

function logSubmitFailed(shard: string, tasks: number, problem: AppError): void {
  const line = { event: "submit_failed", shard, tasks, code: problem.code, error: String(problem.cause) };
  console.error(JSON.stringify(line));
}
