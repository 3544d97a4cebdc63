import { plainPlan, STEADY_TASKS, throughput } from "./measure.ts";
import { NO_PROTECTION, type Redrive, startRedrive } from "./redrive.ts";
import type { Target } from "./target-process.ts";

const TASKS = 5_000;
const ROUNDS = 4;
/** Each of the two queues, before anything is measured. */
const WARM_UP_TASKS = 3_000;

/**
 * What breakers, limits and budgets cost where all is well: tasks a second of `succeed` in a queue with the defaults
 * and in one with everything off, in turn on one server, as rows of a table.
 */
export async function protection(target: Target): Promise<string[][]> {
  const redrive = await startRedrive();
  try {
    await redrive.request("PUT", "/v1/queues/on", {});
    await redrive.request("PUT", "/v1/queues/off", NO_PROTECTION);
    for (const queue of ["on", "off"]) await measured(redrive, target, queue, WARM_UP_TASKS);
    const rows = [["succeed, tasks/s", "protection on", "off", "on to off"]];
    const pairs: [number, number][] = [];
    for (let round = 1; round <= ROUNDS; round++) {
      process.stderr.write(`protection: round ${round} of ${ROUNDS}\n`);
      // Each goes first in turn: the server has more to carry with every run.
      const order = round % 2 === 1 ? ["on", "off"] : ["off", "on"];
      const value: Record<string, number> = {};
      for (const queue of order) value[queue] = await measured(redrive, target, queue, TASKS);
      const { on = 0, off = 0 } = value;
      pairs.push([on, off]);
      rows.push(rowOf(`round ${round}`, on, off));
    }
    const mean = (of: (pair: [number, number]) => number) =>
      pairs.reduce((sum, pair) => sum + of(pair), 0) / ROUNDS;
    return [
      ...rows,
      rowOf(
        "mean",
        mean(([on]) => on),
        mean(([, off]) => off),
      ),
    ];
  } finally {
    await redrive.stop();
  }
}

async function measured(redrive: Redrive, target: Target, queue: string, tasks: number): Promise<number> {
  const run = await target.begin(plainPlan(tasks));
  return throughput(run, (n) => redrive.submitWith(run, n, { queue }), STEADY_TASKS);
}

function rowOf(label: string, on: number, off: number): string[] {
  return [label, on.toFixed(0), off.toFixed(0), (on / off).toFixed(3)];
}
