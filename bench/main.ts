/** `npm run bench [-- name ...]`: measures the standalone server against two floors and prints a table. */

import { backlog } from "./backlog.ts";
import { type Case, cases, type Figure } from "./cases.ts";
import { contest } from "./contest.ts";
import { cost } from "./cost.ts";
import { nodeFloor, workerdFloor } from "./floors.ts";
import { growth } from "./growth.ts";
import { lists } from "./lists.ts";
import { type Latency, latency, plainPlan, STEADY_TASKS, throughput, warmUp } from "./measure.ts";
import { protection } from "./protection.ts";
import { table } from "./stats.ts";
import type { Subject } from "./subject.ts";
import { IncompleteError, startTarget, type Target } from "./target-process.ts";

/** What a floor does. */
interface FloorFigures extends Latency {
  tasksPerSecond: number;
}

const FLOOR_TASKS = 10_000;
/** What has a table of its own. */
const tables: Record<string, (target: Target) => Promise<string[][]>> = {
  cost,
  protection,
  contest,
  growth,
  backlog,
  lists,
};
/** Measured only where they are named: they take minutes. */
const LONG = ["contest", "growth", "backlog", "lists"];

process.once("SIGTERM", () => process.exit(1));
process.exitCode = await main(process.argv.slice(2));

async function main(names: string[]): Promise<number> {
  const known = [...Object.keys(cases), ...Object.keys(tables)];
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) {
    process.stderr.write(`There is no case ${unknown}. There are: ${known.join(", ")}\n`);
    return 1;
  }
  const chosen = names.length === 0 ? known.filter((name) => !LONG.includes(name)) : names;
  const target = await startTarget();
  try {
    const timed = Object.entries(cases).filter(([name]) => chosen.includes(name));
    if (timed.length > 0) await compare(target, timed);
    for (const [name, measure] of Object.entries(tables))
      if (chosen.includes(name)) process.stdout.write(`${table(await measure(target))}\n`);
    return 0;
  } catch (error) {
    if (!(error instanceof IncompleteError)) throw error;
    process.stderr.write(`${error.message}\n`);
    return 1;
  } finally {
    await target.stop();
  }
}

/** Floors before and after, so that a machine that changes its pace meanwhile is seen; the ratios are to their mean. */
async function compare(target: Target, timed: [string, Case][]): Promise<void> {
  const before = await measureFloors(target);
  const figures: Figure[] = [];
  for (const [name, { about, run }] of timed) {
    process.stderr.write(`${name}: ${about}\n`);
    figures.push(...(await run(target)));
  }
  const after = await measureFloors(target);
  const node = mean(before.node, after.node);
  const workerd = mean(before.workerd, after.workerd);
  const rows = figures.map((figure) => [
    figure.label,
    String(figure.tasks),
    `${round(figure.value)} ${figure.unit}`,
    ratio(figure, node),
    ratio(figure, workerd),
    figure.peakMemoryMb === null ? "-" : `${round(figure.peakMemoryMb)} MB`,
  ]);
  const head = ["case", "tasks", "figure", "to Node floor", "to workerd floor", "peak memory"];
  process.stdout.write(`${floorTable(before, after)}\n${table([head, ...rows])}\n`);
}

async function measureFloors(target: Target): Promise<{ node: FloorFigures; workerd: FloorFigures }> {
  process.stderr.write("floors\n");
  const node = await measureFloor(nodeFloor(target.url), target);
  return { node, workerd: await measureFloor(await workerdFloor(), target) };
}

async function measureFloor(floor: Subject, target: Target): Promise<FloorFigures> {
  try {
    await warmUp(floor, target);
    const run = await target.begin(plainPlan(FLOOR_TASKS));
    const tasksPerSecond = await throughput(run, (n) => floor.submit(run, n), STEADY_TASKS);
    return { tasksPerSecond, ...(await latency(floor, target, 200, 50)) };
  } finally {
    await floor.stop();
  }
}

function floorTable(before: Record<"node" | "workerd", FloorFigures>, after: typeof before): string {
  const row = (label: string, { tasksPerSecond, p50Ms, p99Ms }: FloorFigures) => [
    label,
    `${round(tasksPerSecond)} tasks/s`,
    `${round(p50Ms)} ms`,
    `${round(p99Ms)} ms`,
  ];
  return table([
    ["floor", "succeed", "p50", "p99"],
    row("Node client, before", before.node),
    row("Node client, after", after.node),
    row("bare workerd, before", before.workerd),
    row("bare workerd, after", after.workerd),
  ]);
}

function mean(a: FloorFigures, b: FloorFigures): FloorFigures {
  return {
    tasksPerSecond: (a.tasksPerSecond + b.tasksPerSecond) / 2,
    p50Ms: (a.p50Ms + b.p50Ms) / 2,
    p99Ms: (a.p99Ms + b.p99Ms) / 2,
  };
}

function ratio({ against, value }: Figure, floor: FloorFigures): string {
  return against === null ? "-" : (value / floor[against]).toFixed(2);
}

function round(value: number): string {
  return value < 100 ? value.toFixed(1) : Math.round(value).toLocaleString("en");
}
