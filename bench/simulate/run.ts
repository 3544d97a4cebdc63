import { SimBreaker } from "./breaker.ts";
import { exponentialMs, seededRandom } from "./random.ts";
import { type Scenario, START_SPREAD_MS } from "./scenarios.ts";
import { BEGIN, Schedule } from "./schedule.ts";
import { SimShard } from "./shard.ts";
import type { Strategy } from "./strategies.ts";
import { SimTarget } from "./target.ts";

/** What came of one run. */
export interface RunResult {
  /** Time that all tasks spent between submit and end, by task ended: those that starve count too. */
  meanResponseMs: number;
  p99Ms: number;
  succeededPerSecond: number;
  /** Share of the tasks that ended, 0 to 1. */
  errors: number;
  calls: number;
  callsPerSuccess: number;
}

/** Runs a strategy through a scenario. The same arguments give the same result. */
export function runOnce(scenario: Scenario, strategy: Strategy, seed: number): RunResult {
  const schedule = new Schedule();
  const target = new SimTarget(scenario.target, schedule, seededRandom(seed * 3 + 1));
  const world = { strategy, scenario, schedule, target, random: seededRandom(seed * 3 + 2) };
  const object = new SimBreaker(schedule, world.random);
  const shards = Array.from({ length: strategy.shards }, (_, i) => new SimShard(`shard-${i}`, world, object));
  const random = seededRandom(seed * 3);
  const endedMs: number[] = [];
  const outAt = new Map<number, number>();
  let tasks = 0;
  let failed = 0;

  const submit = (submitter: number) => {
    const submittedAt = schedule.now;
    outAt.set(submitter, submittedAt);
    const ended = (ok: boolean) => {
      outAt.delete(submitter);
      endedMs.push(schedule.now - submittedAt);
      if (!ok) failed++;
      schedule.after(exponentialMs(random, scenario.thinkMs), () => submit(submitter));
    };
    const shard = shards[Math.floor(random() * shards.length)];
    shard?.submit({ id: String(tasks++), attempts: 0, previousDelayMs: null, dueAt: submittedAt, ended });
  };
  for (let submitter = 0; submitter < scenario.submitters; submitter++) {
    schedule.after(random() * START_SPREAD_MS, () => submit(submitter));
  }
  schedule.runUntil(BEGIN + scenario.durationMs);

  const stillOutMs = [...outAt.values()].reduce((sum, at) => sum + schedule.now - at, 0);
  const spentMs = endedMs.reduce((sum, ms) => sum + ms, stillOutMs);
  const succeeded = endedMs.length - failed;
  return {
    meanResponseMs: spentMs / endedMs.length,
    p99Ms: endedMs.toSorted((a, b) => a - b)[Math.floor(endedMs.length * 0.99)] ?? 0,
    succeededPerSecond: (succeeded / scenario.durationMs) * 1_000,
    errors: failed / endedMs.length,
    calls: target.calls,
    callsPerSuccess: target.calls / succeeded,
  };
}
