import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Counters } from "./counters.ts";
import { paced } from "./load.ts";
import { finish, floodWithin, plainPlan, STEADY_TASKS } from "./measure.ts";
import { dollarsPerMillion, type Usage } from "./prices.ts";
import { EDGE, type Redrive, startRedrive, type TaskFields, UNPROTECTED } from "./redrive.ts";
import type { RunPlan } from "./run.ts";
import { cpuMs } from "./stats.ts";
import type { Target, TargetRun } from "./target-process.ts";

const COUNTED = fileURLToPath(new URL("./worker/counted.ts", import.meta.url));
const TASKS = 2_000;
/** Nothing written for so long: all is settled. */
const STILL_MS = 300;
/** Steady load: each of the queue's four shards gathers, and no task has to wait for a slot. */
const STEADY_PER_SECOND = 400;
/** A trickle: no two tasks meet in one commit. */
const TRICKLE = { tasks: 100, perSecond: 5 };
/** Rows read by pruning, days later: the row is found, and a new task written over it, which is no row more. */
const PRUNING_READS = 2;
/** Where pruning is measured itself: a queue that keeps nothing, and the time until its rows are written over. */
const KEEPS_NOTHING = { name: "keeps-nothing", settings: { retention: { succeeded: 0, failed: 0 } } };
const OVER_AFTER_S = 70;
const OVER_PER_SECOND = 60;

interface CostCase {
  label: string;
  /** Tasks that are taken in before, at the same pace, until they are over: pruning is counted and not reckoned. */
  before?: RunPlan;
  plan: RunPlan;
  fields: TaskFields;
  submit(redrive: Redrive, run: TargetRun, fields: TaskFields): Promise<void>;
}

function atRate(perSecond: number): CostCase["submit"] {
  return async (redrive, run, fields) => {
    await paced(run.plan.tasks, perSecond, (n) => redrive.submitWith(run, n, fields));
  };
}

const steady = atRate(STEADY_PER_SECOND);
const flat: CostCase["submit"] = (redrive, run, fields) =>
  floodWithin(run, (n) => redrive.submitWith(run, n, fields), STEADY_TASKS);
const burst: CostCase["submit"] = (redrive, run, fields) =>
  floodWithin(run, (n) => redrive.submitWith(run, n, fields), Number.POSITIVE_INFINITY);
const batches: CostCase["submit"] = (redrive, run, fields) => redrive.submitAll(run, fields);

/** All tasks are handed in while nothing may call their target, and go once it may. */
const parked: CostCase["submit"] = async (redrive, run, fields) => {
  const breaker = `/v1/breakers/${encodeURIComponent(new URL(run.callUrl(0)).origin)}`;
  await redrive.request("POST", `${breaker}/isolate`, { reason: "bench" });
  await burst(redrive, run, fields);
  await redrive.request("POST", `${breaker}/reset`, { reason: "bench" });
};

const RETRY = { backoff: { strategy: "fixed", initial_interval: "100ms", jitter: "none", adaptive: "off" } };
const PLAIN = plainPlan(TASKS);
const COST_CASES: CostCase[] = [
  { label: "succeeds at once, callback", plan: PLAIN, fields: {}, submit: steady },
  {
    label: "the same, 5 a second",
    plan: plainPlan(TRICKLE.tasks),
    fields: {},
    submit: atRate(TRICKLE.perSecond),
  },
  { label: "the same, as fast as it goes", plan: PLAIN, fields: {}, submit: flat },
  { label: "the same in a burst", plan: PLAIN, fields: {}, submit: burst },
  {
    label: "succeeds at once, no callback",
    plan: { ...PLAIN, callbacks: false },
    fields: {},
    submit: steady,
  },
  {
    label: "three attempts, callback",
    plan: { ...PLAIN, failures: 2 },
    fields: { retry: RETRY, queue: UNPROTECTED.name },
    submit: steady,
  },
  { label: "delayed 2 s, callback", plan: PLAIN, fields: { delay: "2s" }, submit: burst },
  { label: "parked by a breaker, callback", plan: PLAIN, fields: {}, submit: parked },
  { label: "batches of 1,000, callback", plan: PLAIN, fields: {}, submit: batches },
  {
    label: "succeeds at once over one that did, callback",
    before: plainPlan(OVER_AFTER_S * OVER_PER_SECOND),
    plan: PLAIN,
    fields: { queue: KEEPS_NOTHING.name },
    submit: atRate(OVER_PER_SECOND),
  },
];

/**
 * What a task costs in the runtime's own units and in dollars for a million, as rows of a table. Counted from the
 * first submit to the last settle, by `worker/counted.ts`; the dollars include pruning. The product has no counters.
 */
export async function cost(target: Target): Promise<string[][]> {
  const redrive = await startRedrive({ ...EDGE, build: COUNTED });
  try {
    await redrive.request("PUT", `/v1/queues/${UNPROTECTED.name}`, UNPROTECTED.settings);
    await redrive.request("PUT", `/v1/queues/${KEEPS_NOTHING.name}`, KEEPS_NOTHING.settings);
    await measure(redrive, target, { label: "warm-up", plan: plainPlan(500), fields: {}, submit: flat });
    const rows = [HEAD];
    for (const costCase of COST_CASES) rows.push(await measure(redrive, target, costCase));
    return rows;
  } finally {
    await redrive.stop();
  }
}

const HEAD = [
  "for each task",
  "rows written",
  "rows read",
  "of them alarms",
  "commits",
  "object calls",
  "object ms",
  "CPU ms",
  "$ for a million",
];

async function measure(
  redrive: Redrive,
  target: Target,
  { label, before: planBefore, plan, fields, submit }: CostCase,
): Promise<string[]> {
  if (planBefore !== undefined) {
    const run = await target.begin(planBefore);
    await submit(redrive, run, fields);
    await finish(run);
  }
  const before = await settledCounters(redrive);
  const cpuBefore = (await cpuMs(redrive.pid)) ?? 0;
  const run = await target.begin(plan);
  await submit(redrive, run, fields);
  await finish(run);
  const after = await settledCounters(redrive);
  const cpu = (((await cpuMs(redrive.pid)) ?? 0) - cpuBefore) / plan.tasks;
  const each = (read: (counters: Counters) => number) => (read(after) - read(before)) / plan.tasks;
  const usage: Usage = {
    rowsWritten: each(({ rowsWritten }) => rowsWritten),
    rowsRead: each(({ rowsRead }) => rowsRead),
    objectRequests: each(({ objectCalls }) => sum(objectCalls)),
    objectSeconds: each(({ objectMs }) => sum(objectMs)) / 1_000,
    workerRequests: each(({ workerRequests }) => workerRequests),
    cpuMs: cpu,
  };
  process.stderr.write(`${label}\n`);
  for (const kind of ["objectCalls", "objectMs", "rowsByStatement", "rowsReadByStatement"] as const) {
    process.stderr.write(`  ${countsText(before[kind], after[kind], plan.tasks)}\n`);
  }
  return [
    label,
    usage.rowsWritten.toFixed(2),
    usage.rowsRead.toFixed(2),
    each(({ alarmsSet }) => alarmsSet).toFixed(2),
    each(({ commits }) => commits).toFixed(2),
    usage.objectRequests.toFixed(2),
    (usage.objectSeconds * 1_000).toFixed(1),
    cpu.toFixed(2),
    dollarsPerMillion(planBefore === undefined ? withPruning(usage) : usage).toFixed(2),
  ];
}

function withPruning(usage: Usage): Usage {
  return { ...usage, rowsRead: usage.rowsRead + PRUNING_READS };
}

/** The counters once they stand still: the last settles come after the last callback has arrived. */
async function settledCounters(redrive: Redrive): Promise<Counters> {
  let last = await readCounters(redrive);
  for (;;) {
    await delay(STILL_MS);
    const counters = await readCounters(redrive);
    if (counters.rowsWritten === last.rowsWritten) return counters;
    last = counters;
  }
}

async function readCounters(redrive: Redrive): Promise<Counters> {
  return (await redrive.request("GET", "/bench/counters")) as Counters;
}

/** What was counted in between, for each task, the most first; what is next to nothing is left out. */
function countsText(before: Record<string, number>, after: Record<string, number>, tasks: number): string {
  return Object.entries(after)
    .map(([key, count]) => ({ key, each: (count - (before[key] ?? 0)) / tasks }))
    .filter(({ each }) => each >= 0.005)
    .toSorted((a, b) => b.each - a.each)
    .map(({ key, each }) => `${key}: ${each.toFixed(2)}`)
    .join(", ");
}

function sum(counts: Record<string, number>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}
