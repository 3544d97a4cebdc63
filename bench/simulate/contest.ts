import { quantile, table } from "../stats.ts";
import { COMPARED, MEASURES, type Measure } from "./measures.ts";
import { type RunResult, runOnce } from "./run.ts";
import type { Scenario } from "./scenarios.ts";
import { OURS, type Strategy } from "./strategies.ts";

/** What came of a scenario, by strategy: one result for each seed, in the same order. */
export type Results = ReadonlyMap<Strategy, readonly RunResult[]>;

/** Two values that differ by less than this share are no win and no loss. */
const TIE = 0.05;
/** Nor are shares of errors this close. */
const TIE_AT_LEAST = 0.001;

/** Runs all strategies through a scenario, once with each seed. */
export function runAll(
  scenario: Scenario,
  strategies: readonly Strategy[],
  seeds: readonly number[],
): Results {
  return new Map(
    strategies.map((strategy) => [strategy, seeds.map((seed) => runOnce(scenario, strategy, seed))]),
  );
}

/** A table of medians, each with the worst seed's value in brackets. */
export function resultTable(results: Results): string {
  const rows = [...results].map(([{ name }, runs]) => [
    name,
    ...MEASURES.map(
      (measure) => `${measure.text(median(runs, measure))} (${measure.text(worst(runs, measure))})`,
    ),
  ]);
  return table([["", ...MEASURES.map(({ label }) => label)], ...rows]);
}

/** A sentence for each figure in which Redrive's median is not the best one of the given strategies. */
export function losses(results: Results, rivals: readonly Strategy[]): string[] {
  return COMPARED.flatMap((measure) => {
    const ours = median(results.get(OURS) ?? [], measure);
    const ahead = rivals.filter((rival) => isWorse(measure, ours, median(results.get(rival) ?? [], measure)));
    if (ahead.length === 0) return [];
    const others = ahead.map((one) => `${one.name} ${measure.text(median(results.get(one) ?? [], measure))}`);
    return [`Redrive loses in ${measure.label}: ${measure.text(ours)}, but ${others.join(", ")}.\n`];
  });
}

/** The median over the seeds. Throws where there is no run. */
export function median(runs: readonly RunResult[], measure: Measure): number {
  return quantile(runs.map(measure.of), 0.5);
}

function worst(runs: readonly RunResult[], measure: Measure): number {
  return quantile(runs.map(measure.of), measure.worse === "more" ? 1 : 0);
}

function isWorse({ worse }: Measure, ours: number, theirs: number): boolean {
  const by = worse === "more" ? ours - theirs : theirs - ours;
  return by > Math.max(TIE_AT_LEAST, TIE * theirs);
}
