import { flood, paced } from "./load.ts";
import { forgetPeak, monotonicMs, quantile } from "./stats.ts";
import type { Subject } from "./subject.ts";
import type { Target, TargetRun } from "./target-process.ts";
import { Window } from "./window.ts";

/** How long a run may take after its last task was handed in. */
const COMPLETE_WITHIN_MS = 120_000;
const WARM_UP_TASKS = 1_000;
/** Tasks that have not ended, under steady load: fewer than a queue may call at once, so that none has to wait. */
export const STEADY_TASKS = 128;

/** Half and all but a hundredth of the tasks were told within so many milliseconds. */
export interface Latency {
  p50Ms: number;
  p99Ms: number;
}

/** A plan for tasks that succeed at once and end with a callback. */
export function plainPlan(tasks: number): TargetRun["plan"] {
  return { tasks, failures: 0, delayMs: 0, callbacks: true };
}

/** Has a subject do some tasks unmeasured, so that its code is compiled and its connections stand. */
export async function warmUp(subject: Subject, target: Target): Promise<void> {
  const run = await target.begin(plainPlan(WARM_UP_TASKS));
  await floodWithin(run, (n) => subject.submit(run, n), STEADY_TASKS);
  await finish(run);
  if (subject.pid !== null) await forgetPeak(subject.pid);
}

/**
 * Tasks a second, from the first submit to the last callback, with a bounded number of submits under way and at most
 * `unfinished` tasks that were submitted and have not ended; Infinity: whatever is taken in. Throws IncompleteError.
 */
export async function throughput(
  run: TargetRun,
  submit: (n: number) => Promise<void>,
  unfinished: number,
): Promise<number> {
  const startAt = monotonicMs();
  await floodWithin(run, submit, unfinished);
  return tasksPerSecond(run, startAt);
}

/** Hands in all tasks of a run, with a bounded number of submits under way and of tasks that have not ended. */
export async function floodWithin(
  run: TargetRun,
  submit: (n: number) => Promise<void>,
  unfinished: number,
): Promise<void> {
  const window = new Window(unfinished, run);
  await flood(run.plan.tasks, async (n) => {
    await window.enter();
    await submit(n);
  });
}

/** Tasks a second from `startAt` until everything that the run owes has arrived. Throws IncompleteError. */
export async function tasksPerSecond(run: TargetRun, startAt: number): Promise<number> {
  const { finishedAt } = await finish(run);
  return (run.plan.tasks * 1_000) / (finishedAt - startAt);
}

/** From submit to callback, at a steady rate in an open loop. */
export async function latency(
  subject: Subject,
  target: Target,
  count: number,
  perSecond: number,
): Promise<Latency> {
  const run = await target.begin(plainPlan(count));
  const begunAt = await paced(count, perSecond, (n) => subject.submit(run, n));
  await finish(run);
  const arrivedAt = await run.callbackTimes();
  const tookMs = begunAt.map((begun, n) => (arrivedAt[n] ?? Number.NaN) - begun);
  return { p50Ms: quantile(tookMs, 0.5), p99Ms: quantile(tookMs, 0.99) };
}

/** Waits for the end of a run. Throws IncompleteError where something never arrives. */
export function finish(run: TargetRun) {
  return run.complete(COMPLETE_WITHIN_MS);
}
