import { quantile } from "../stats.ts";
import type { Results } from "./contest.ts";
import { COMPLETED, ERRORS, MEAN_RESPONSE, type Measure } from "./measures.ts";
import { FIXED, OURS } from "./strategies.ts";

/** A ratio of Redrive to fixed interval that is to be held with every seed. */
export interface Goal {
  measure: Measure;
  /** At most, or at least, this. */
  bound: "at most" | "at least";
  ratio: number;
}

/** Known: 89 ms against 128 ms, 11,200 against 7,600 calls/s. */
export const HIGH_CONCURRENCY_GOALS: readonly Goal[] = [
  { measure: MEAN_RESPONSE, bound: "at most", ratio: 0.7 },
  { measure: COMPLETED, bound: "at least", ratio: 1.47 },
];

/** Known: 420 ms against 850 ms, 3 % against 12 % errors. */
export const OVERLOADED_GOALS: readonly Goal[] = [
  { measure: MEAN_RESPONSE, bound: "at most", ratio: 0.49 },
  { measure: ERRORS, bound: "at most", ratio: 0.25 },
];

/** Whether a goal was held with every seed, and a sentence that says so. */
export function checkGoal(
  results: Results,
  { measure, bound, ratio }: Goal,
): { held: boolean; text: string } {
  const ratios = ratiosOf(results, measure);
  const worst = quantile(ratios, bound === "at most" ? 1 : 0);
  const held = bound === "at most" ? worst <= ratio : worst >= ratio;
  const figures = `median ${quantile(ratios, 0.5).toFixed(2)}, worst ${worst.toFixed(2)}`;
  const wanted = `${bound} ${ratio.toFixed(2)}`;
  return {
    held,
    text: `${held ? "held" : "NOT HELD"}: ${measure.label}, Redrive / fixed interval: ${figures} (${wanted})\n`,
  };
}

/** The same ratios where nothing is to be held, in a sentence. */
export function ratioText(results: Results): string {
  const ratio = (measure: Measure) => quantile(ratiosOf(results, measure), 0.5).toFixed(2);
  return `Redrive / fixed interval: mean response ${ratio(MEAN_RESPONSE)}, completed/s ${ratio(COMPLETED)}\n`;
}

/** Redrive's value to that of fixed interval, by seed. */
function ratiosOf(results: Results, measure: Measure): number[] {
  const fixed = results.get(FIXED) ?? [];
  return (results.get(OURS) ?? []).map((run, i) => {
    const against = fixed[i];
    return against === undefined ? Number.NaN : measure.of(run) / measure.of(against);
  });
}
