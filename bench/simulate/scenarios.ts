import type { TargetModel } from "./target.ts";

/** Submitters and a target. Each submitter has one task out at a time and hands in the next when it is final. */
export interface Scenario {
  name: string;
  submitters: number;
  /** Mean time from one task's end to the next; exponentially distributed. */
  thinkMs: number;
  target: TargetModel;
  maxAttempts: number;
  initialIntervalMs: number;
  maxIntervalMs: number;
  durationMs: number;
}

/** Submitters begin within this time, not all at the same instant. */
export const START_SPREAD_MS = 1_000;

/** A thousand submitters at once. Fixed interval comes out near the known 128 ms and 7,600 calls/s. */
export const HIGH_CONCURRENCY: Scenario = {
  name: "high concurrency",
  submitters: 1_000,
  thinkMs: 0,
  target: {
    workers: 64,
    queue: 256,
    serviceMs: 4,
    slowdown: 1,
    refusalCost: 0.1,
    networkMs: 2,
    outage: null,
    chanceOfFault: 0,
  },
  maxAttempts: 100,
  initialIntervalMs: 100,
  maxIntervalMs: 1_000,
  durationMs: 10_000,
};

/** Submitters that could just fill the target. Fixed interval comes out near the known 850 ms and 12 % errors. */
export const OVERLOADED: Scenario = {
  name: "overloaded target",
  submitters: 1_600,
  thinkMs: 1_000,
  target: {
    workers: 32,
    queue: 128,
    serviceMs: 20,
    slowdown: 1,
    refusalCost: 0.1,
    networkMs: 2,
    outage: null,
    chanceOfFault: 0,
  },
  maxAttempts: 5,
  initialIntervalMs: 500,
  maxIntervalMs: 300_000,
  durationMs: 30_000,
};

/** Where there is less to gain, or something to lose. */
export const OTHERS: readonly Scenario[] = [
  {
    ...HIGH_CONCURRENCY,
    name: "high concurrency, where overload costs the target half as much",
    target: { ...HIGH_CONCURRENCY.target, slowdown: 0.5, refusalCost: 0.05 },
  },
  {
    ...OVERLOADED,
    name: "a target that overload costs nothing",
    target: { ...OVERLOADED.target, slowdown: 0, refusalCost: 0 },
  },
  { ...OVERLOADED, name: "twice the load of the overloaded target", submitters: 3_200 },
  {
    ...OVERLOADED,
    name: "one call in five fails by chance, at half the load",
    submitters: 800,
    target: { ...OVERLOADED.target, chanceOfFault: 0.2 },
  },
  {
    ...OVERLOADED,
    name: "an outage of 20 s, at a quarter of the load",
    submitters: 400,
    target: { ...OVERLOADED.target, outage: { fromMs: 10_000, untilMs: 30_000 } },
    durationMs: 90_000,
  },
];
