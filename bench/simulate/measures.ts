import type { RunResult } from "./run.ts";

/** A figure of a run. */
export interface Measure {
  label: string;
  of(result: RunResult): number;
  /** Which end is the worse one. */
  worse: "more" | "less";
  text(value: number): string;
}

const whole = (value: number) => Math.round(value).toLocaleString("en-US");

export const MEAN_RESPONSE: Measure = {
  label: "mean response ms",
  of: (result) => result.meanResponseMs,
  worse: "more",
  text: whole,
};
export const COMPLETED: Measure = {
  label: "completed/s",
  of: (result) => result.succeededPerSecond,
  worse: "less",
  text: whole,
};
export const ERRORS: Measure = {
  label: "errors",
  of: (result) => result.errors,
  worse: "more",
  text: (value) => `${(value * 100).toFixed(1)} %`,
};
const CALLS: Measure = { label: "calls", of: (result) => result.calls, worse: "more", text: whole };

const P99: Measure = { label: "p99 ms", of: (result) => result.p99Ms, worse: "more", text: whole };
const CALLS_PER_SUCCESS: Measure = {
  label: "calls per success",
  of: (result) => result.callsPerSuccess,
  worse: "more",
  text: (value) => value.toFixed(2),
};

/** What strategies are compared in. Not in calls alone: who gets more done makes more of them. */
export const COMPARED: readonly Measure[] = [MEAN_RESPONSE, P99, COMPLETED, ERRORS, CALLS_PER_SUCCESS];

/** The columns of every table. */
export const MEASURES: readonly Measure[] = [MEAN_RESPONSE, P99, COMPLETED, ERRORS, CALLS, CALLS_PER_SUCCESS];
