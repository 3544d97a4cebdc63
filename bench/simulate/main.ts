import { parseArgs } from "node:util";
import { losses, resultTable, runAll } from "./contest.ts";
import { checkGoal, type Goal, HIGH_CONCURRENCY_GOALS, OVERLOADED_GOALS, ratioText } from "./goals.ts";
import { HIGH_CONCURRENCY, OTHERS, OVERLOADED, type Scenario } from "./scenarios.ts";
import { FIXED, FULL_JITTER, OURS, STRATEGIES, WITHOUT } from "./strategies.ts";

const DEFAULT_SEEDS = 20;
const RIVALS = STRATEGIES.filter((strategy) => strategy !== OURS);

/**
 * `npm run simulate [-- --seeds 20 --first 1]`: prints all tables, for so many seeds from the first on; exit status 1
 * where a goal is not held with every seed.
 */
function main(): void {
  const seeds = readSeeds();
  const which = `the seeds ${seeds[0]} to ${seeds.at(-1)}`;
  print(`Medians over ${which}, the worst in brackets. How it is modelled: bench/simulate/README.md\n`);
  const held = [
    contest(HIGH_CONCURRENCY, HIGH_CONCURRENCY_GOALS, seeds),
    contest(OVERLOADED, OVERLOADED_GOALS, seeds),
  ];
  print("\n## Elsewhere (no goals)\n");
  for (const scenario of OTHERS) elsewhere(scenario, seeds);
  if (held.includes(false)) process.exitCode = 1;
}

function contest(scenario: Scenario, goals: readonly Goal[], seeds: readonly number[]): boolean {
  const results = runAll(scenario, STRATEGIES, seeds);
  print(`\n## ${scenario.name}\n\n${resultTable(results)}\n`);
  const checked = goals.map((goal) => checkGoal(results, goal));
  print(checked.map(({ text }) => text).join(""));
  print(losses(results, RIVALS).join(""));
  const parts = new Map([[OURS, results.get(OURS) ?? []], ...runAll(scenario, WITHOUT, seeds)]);
  print(`\nWhat each part of Redrive brings:\n\n${resultTable(parts)}`);
  return checked.every((goal) => goal.held);
}

function elsewhere(scenario: Scenario, seeds: readonly number[]): void {
  const results = runAll(scenario, [FIXED, FULL_JITTER, OURS], seeds);
  print(`\n### ${scenario.name}\n\n${resultTable(results)}\n${ratioText(results)}`);
  print(losses(results, [FIXED, FULL_JITTER]).join(""));
}

function readSeeds(): number[] {
  const { values } = parseArgs({ options: { seeds: { type: "string" }, first: { type: "string" } } });
  const count = wholeNumber("--seeds", values.seeds ?? DEFAULT_SEEDS);
  const first = wholeNumber("--first", values.first ?? 1);
  return Array.from({ length: count }, (_, i) => first + i);
}

function wholeNumber(option: string, value: string | number): number {
  const number = Number(value);
  if (!Number.isInteger(number) || number < 1) throw new Error(`${option} must be 1 or more, got ${value}`);
  return number;
}

function print(text: string): void {
  process.stdout.write(text);
}

main();
