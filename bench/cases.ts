import { setTimeout as delay } from "node:timers/promises";
import type { StartOptions } from "../test/support/server/server.ts";
import { latency, plainPlan, STEADY_TASKS, tasksPerSecond, throughput, warmUp } from "./measure.ts";
import { EDGE, type Redrive, startRedrive, type TaskFields, UNPROTECTED } from "./redrive.ts";
import { monotonicMs, peakMemoryMb } from "./stats.ts";
import type { Target } from "./target-process.ts";

/** One measured figure. `against` names the floors' figure that it is a ratio of; null: none compares. */
export interface Figure {
  label: string;
  tasks: number;
  value: number;
  unit: "tasks/s" | "ms" | "s";
  against: "tasksPerSecond" | "p50Ms" | "p99Ms" | null;
  peakMemoryMb: number | null;
}

/** A measurement of the standalone server: what it is for, and how to make it. Each gets a server of its own. */
export interface Case {
  about: string;
  run(target: Target): Promise<Figure[]>;
}

/** Every case, by the name it is chosen by. */
export const cases: Record<string, Case> = {
  succeed: {
    about: "tasks that succeed at once, submit to callback, none has to wait",
    run: (target) =>
      measured(target, (redrive) => flooded(redrive, target, { label: "succeed", unfinished: STEADY_TASKS })),
  },
  edge: {
    about: "the same, called as on Cloudflare: by the submitting Worker, not in the shard's object",
    run: (target) =>
      measured(
        target,
        (redrive) => flooded(redrive, target, { label: "edge", unfinished: STEADY_TASKS }),
        EDGE,
      ),
  },
  burst: {
    about: "tasks that succeed at once, submit to callback, handed in faster than they are called",
    run: (target) => measured(target, (redrive) => flooded(redrive, target, { label: "burst" })),
  },
  retry: {
    about: "tasks that fail twice, 100 ms fixed backoff",
    run: (target) =>
      measured(target, async (redrive) => {
        await redrive.request("PUT", `/v1/queues/${UNPROTECTED.name}`, UNPROTECTED.settings);
        const fields = { retry: FIXED_100_MS, queue: UNPROTECTED.name };
        return flooded(redrive, target, { label: "retry", tasks: 5_000, failures: 2, fields });
      }),
  },
  slow: {
    about: "500 tasks on a target that takes 1 s",
    run: (target) => measured(target, (redrive) => slow(redrive, target)),
  },
  drain: {
    about: "20,000 delayed tasks due at once, with callback",
    run: (target) => measured(target, (redrive) => drained(redrive, target, "drain", true)),
  },
  "drain-silent": {
    about: "20,000 delayed tasks due at once, without callback",
    run: (target) => measured(target, (redrive) => drained(redrive, target, "drain-silent", false)),
  },
  latency: {
    about: "500 tasks at 50 a second, submit to callback",
    run: (target) => measured(target, (redrive) => steady(redrive, target)),
  },
};

const FIXED_100_MS = {
  max_attempts: 5,
  backoff: { strategy: "fixed", initial_interval: "100ms", jitter: "none", adaptive: "off" },
};
const SLOW_TASKS = 500;
const DRAIN_TASKS = 20_000;
/** Time to hand in all delayed tasks before the first is due. */
const HAND_IN_MS = 20_000;

type Unweighed = Omit<Figure, "peakMemoryMb">;

async function measured(
  target: Target,
  run: (redrive: Redrive) => Promise<Unweighed[]>,
  options: StartOptions = {},
): Promise<Figure[]> {
  const redrive = await startRedrive(options);
  try {
    await warmUp(redrive, target);
    const figures = await run(redrive);
    const peak = await peakMemoryMb(redrive.pid);
    return figures.map((figure) => ({ ...figure, peakMemoryMb: peak }));
  } finally {
    await redrive.stop();
  }
}

interface Flood {
  label: string;
  tasks?: number;
  failures?: number;
  unfinished?: number;
  fields?: TaskFields;
}

async function flooded(redrive: Redrive, target: Target, flood: Flood): Promise<Unweighed[]> {
  const { label, tasks = 10_000, failures = 0, unfinished = Number.POSITIVE_INFINITY, fields = {} } = flood;
  const run = await target.begin({ ...plainPlan(tasks), failures });
  const value = await throughput(run, (n) => redrive.submitWith(run, n, fields), unfinished);
  return [{ label, tasks, value, unit: "tasks/s", against: "tasksPerSecond" }];
}

async function slow(redrive: Redrive, target: Target): Promise<Unweighed[]> {
  const run = await target.begin({ ...plainPlan(SLOW_TASKS), delayMs: 1_000 });
  const perSecond = await throughput(run, (n) => redrive.submit(run, n), SLOW_TASKS);
  return [{ label: "slow", tasks: SLOW_TASKS, value: SLOW_TASKS / perSecond, unit: "s", against: null }];
}

/** Measured from the instant at which all are due, once all are handed in. */
async function drained(
  redrive: Redrive,
  target: Target,
  label: string,
  callbacks: boolean,
): Promise<Unweighed[]> {
  const run = await target.begin({ ...plainPlan(DRAIN_TASKS), callbacks });
  const dueAt = Date.now() + HAND_IN_MS;
  await redrive.submitAll(run, { run_at: new Date(dueAt).toISOString() });
  const leftMs = dueAt - Date.now();
  if (leftMs < 0)
    throw new Error(`handing in took ${-leftMs} ms longer than the ${HAND_IN_MS} ms it may take`);
  const startAt = monotonicMs() + leftMs;
  await delay(leftMs);
  const value = await tasksPerSecond(run, startAt);
  return [{ label, tasks: DRAIN_TASKS, value, unit: "tasks/s", against: "tasksPerSecond" }];
}

async function steady(redrive: Redrive, target: Target): Promise<Unweighed[]> {
  const tasks = 500;
  const { p50Ms, p99Ms } = await latency(redrive, target, tasks, 50);
  return [
    { label: "latency p50", tasks, value: p50Ms, unit: "ms", against: "p50Ms" },
    { label: "latency p99", tasks, value: p99Ms, unit: "ms", against: "p99Ms" },
  ];
}
