import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Counters } from "./counters.ts";
import { finish, floodWithin, plainPlan, STEADY_TASKS } from "./measure.ts";
import { type Redrive, startRedrive, type TaskFields } from "./redrive.ts";
import type { RunPlan } from "./run.ts";
import type { Target, TargetRun } from "./target-process.ts";

const COUNTED = fileURLToPath(new URL("./worker/counted.ts", import.meta.url));
const TASKS = 2_000;
/** Nothing written for so long: all is settled. */
const STILL_MS = 300;

interface CostCase {
  label: string;
  plan: RunPlan;
  fields: TaskFields;
  submit(redrive: Redrive, run: TargetRun, fields: TaskFields): Promise<void>;
}

const one: CostCase["submit"] = (redrive, run, fields) =>
  floodWithin(run, (n) => redrive.submitWith(run, n, fields), STEADY_TASKS);
const burst: CostCase["submit"] = (redrive, run, fields) =>
  floodWithin(run, (n) => redrive.submitWith(run, n, fields), Number.POSITIVE_INFINITY);
const all: CostCase["submit"] = (redrive, run, fields) => redrive.submitAll(run, fields);

const RETRY = { backoff: { strategy: "fixed", initial_interval: "100ms", jitter: "none" } };
const SILENT = { ...plainPlan(TASKS), callbacks: false };
const COST_CASES: CostCase[] = [
  { label: "succeeds at once, callback", plan: plainPlan(TASKS), fields: {}, submit: one },
  { label: "the same in a burst", plan: plainPlan(TASKS), fields: {}, submit: burst },
  { label: "succeeds at once, no callback", plan: SILENT, fields: {}, submit: one },
  {
    label: "three attempts, callback",
    plan: { ...plainPlan(TASKS), failures: 2 },
    fields: { retry: RETRY },
    submit: burst,
  },
  { label: "delayed 2 s, callback", plan: plainPlan(TASKS), fields: { delay: "2s" }, submit: burst },
  { label: "batches of 1,000, callback", plan: plainPlan(TASKS), fields: {}, submit: all },
];

/**
 * What a task costs in the runtime's own units, as rows of a table: rows written and read, alarms set, commits and
 * object calls for each task, with 64 submits under way, and where none has to wait 128 tasks. Served by `worker/counted.ts`, so the product has no such route.
 */
export async function cost(target: Target): Promise<string[][]> {
  const redrive = await startRedrive(COUNTED);
  try {
    await runCase(redrive, target, { label: "warm-up", plan: plainPlan(100), fields: {}, submit: one });
    const rows = [
      ["for each task", "rows written", "rows read", "of them alarms", "commits", "object calls"],
    ];
    for (const costCase of COST_CASES) rows.push(await runCase(redrive, target, costCase));
    return rows;
  } finally {
    await redrive.stop();
  }
}

async function runCase(
  redrive: Redrive,
  target: Target,
  { label, plan, fields, submit }: CostCase,
): Promise<string[]> {
  const before = await settledCounters(redrive);
  const run = await target.begin(plan);
  await submit(redrive, run, fields);
  await finish(run);
  const after = await settledCounters(redrive);
  const each = (read: (counters: Counters) => number) =>
    ((read(after) - read(before)) / plan.tasks).toFixed(2);
  process.stderr.write(`${label}\n`);
  for (const kind of ["objectCalls", "rowsByStatement"] as const) {
    process.stderr.write(`  ${countsText(before[kind], after[kind], plan.tasks)}\n`);
  }
  return [
    label,
    each(({ rowsWritten }) => rowsWritten),
    each(({ rowsRead }) => rowsRead),
    each(({ alarmsSet }) => alarmsSet),
    each(({ commits }) => commits),
    each((counters) => sum(counters.objectCalls)),
  ];
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
