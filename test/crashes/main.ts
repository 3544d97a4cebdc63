/** `npm run crashes [-- --seed 1 --rounds 50 name ...]`: breaks the standalone server for real and prints a table. */
import { parseArgs } from "node:util";
import { table } from "../../bench/stats.ts";
import type { Result } from "./audit.ts";
import { limitedFiles, smallDisk } from "./disks.ts";
import { fullDisk } from "./full-disk.ts";
import { hanging } from "./hanging.ts";
import { killed } from "./kill.ts";
import { faultsOf } from "./result.ts";
import { slowReaders } from "./slow-readers.ts";
import type { Effort } from "./story.ts";
import { upgraded } from "./upgrade.ts";
import { waiting } from "./waiting.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seed: { type: "string", default: "1" }, rounds: { type: "string", default: "50" } },
});
/** After so many tasks workerd's heap has nearly the size that load makes it. */
const effort: Effort = { warmUp: 3_000, restMs: 15_000 };
/** By name; null: this machine does not allow it. */
const scenarios: Record<string, () => Promise<Result | null>> = {
  kill: () =>
    killed({ ...effort, rounds: Number(values.rounds), seed: Number(values.seed), tasksPerRound: 150 }),
  disk: async () => {
    const disk = await smallDisk();
    return disk === null ? null : fullDisk(disk, { ...effort, rounds: 3, fullMs: 5_000 });
  },
  limit: async () => fullDisk(await limitedFiles(), { ...effort, rounds: 3, fullMs: 5_000 }),
  hang: () => hanging({ ...effort, hangingTasks: 500, otherTasks: 1_000 }),
  slow: () => slowReaders({ ...effort, rounds: 5, slowTasks: 100, otherTasks: 1_000 }),
  waiting: () => waiting({ ...effort, count: 10_000, delayMs: 25_000 }),
  upgrade: () => upgraded({ ...effort, rounds: 6, tasksPerRound: 200 }),
};

const HEAD = [
  "scenario",
  "rounds",
  "accepted",
  "final",
  "callbacks",
  "lost",
  "repeated",
  "503",
  "other 5xx",
  "memory before",
  "after",
];

process.exitCode = await main(positionals);

async function main(names: string[]): Promise<number> {
  const chosen = names.length === 0 ? Object.keys(scenarios) : names;
  const unknown = chosen.find((name) => scenarios[name] === undefined);
  if (unknown !== undefined) {
    process.stderr.write(`There is no ${unknown}. There are: ${Object.keys(scenarios).join(", ")}\n`);
    return 1;
  }
  const results: Result[] = [];
  for (const name of chosen) {
    const startedAt = Date.now();
    const result = await scenarios[name]?.();
    const tookSeconds = ((Date.now() - startedAt) / 1_000).toFixed(0);
    if (result) results.push(result);
    process.stderr.write(
      result
        ? `${result.scenario}: ${tookSeconds} s; ${result.notes.join("; ")}\n`
        : `${name}: not on this machine\n`,
    );
  }
  process.stdout.write(`${table([HEAD, ...results.map(cells)])}\n`);
  const faults = results.flatMap((result) => faultsOf(result).map((fault) => `${result.scenario}: ${fault}`));
  for (const fault of faults) process.stdout.write(`${fault}\n`);
  return faults.length === 0 ? 0 : 1;
}

function cells(result: Result): string[] {
  const { scenario, rounds, accepted, final, callbacks, lost, repeated, clear503, other5xx } = result;
  const counts = [rounds, accepted, final, callbacks, lost.length, repeated, clear503, other5xx.length];
  const memory = [result.memoryBeforeMb, result.memoryAfterMb].map((mb) => `${mb.toFixed(0)} MB`);
  return [scenario, ...counts.map(String), ...memory];
}
