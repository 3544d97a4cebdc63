import { chooseProbe, type ParkedShard, type ParkedTask } from "../../src/core/breaker/choose-probe.ts";
import { backoffDelayMs, withRetryAfter } from "../../src/core/policy/backoff.ts";
import { type BackoffPolicy, DEFAULT_POLICY } from "../../src/core/policy/policy.ts";
import { NO_STRETCH, stretchAt, stretchedDelayMs } from "../../src/core/policy/stretch.ts";
import {
  isFalling,
  limitInForce,
  noteOverload,
  noteSuccess,
  noteUse,
  startLimit,
} from "../../src/core/pressure/limit.ts";
import { loadFactor, NO_LOAD, noteLoad, slowness } from "../../src/core/pressure/load.ts";
import {
  budgetLeft,
  budgetRefillsAt,
  noteAttempt,
  noteResult,
  type RetryBudgetSettings,
  startBudget,
} from "../../src/core/pressure/retry-budget.ts";
import { splitSlots } from "../../src/core/pressure/slot-split.ts";
import type { SimBreaker } from "./breaker.ts";
import type { Random } from "./random.ts";
import type { Scenario } from "./scenarios.ts";
import type { Schedule } from "./schedule.ts";
import { ShardBreaker } from "./shard-breaker.ts";
import type { SimTask } from "./sim-task.ts";
import type { Strategy } from "./strategies.ts";
import type { SimTarget } from "./target.ts";

const BUDGET: RetryBudgetSettings = { enabled: true, ratio: 0.2, perMinute: 10 };

/** What all shards of a run share. */
export interface World {
  strategy: Strategy;
  scenario: Scenario;
  schedule: Schedule;
  target: SimTarget;
  random: Random;
}

/** A shard's way with its tasks for the target: the decisions are those of src/core, only the waiting is simulated. */
export class SimShard {
  readonly #world: World;
  readonly #backoff: BackoffPolicy;
  /** Due, in the order of their turns. */
  readonly #firsts: SimTask[] = [];
  readonly #retries: SimTask[] = [];
  #backingOff = 0;
  #inFlight = 0;
  #retriesInFlight = 0;
  #limit: ReturnType<typeof startLimit>;
  #budget = startBudget();
  #load = NO_LOAD;
  #stretch = NO_STRETCH;
  #wakeAt = 0;
  readonly #breaker: ShardBreaker;
  readonly #object: SimBreaker;

  constructor(name: string, world: World, object: SimBreaker) {
    this.#world = world;
    this.#object = object;
    const shard = { limit: () => limitInForce(this.#limit, this.#cap), resume: () => this.#claim() };
    this.#breaker = new ShardBreaker(name, object, world.schedule, world.random, shard);
    object.join({ name, told: (breaker) => this.#breaker.told(breaker), parked: () => this.#parked() });
    const { initialIntervalMs, maxIntervalMs } = world.scenario;
    this.#backoff = {
      ...DEFAULT_POLICY.backoff,
      ...world.strategy.backoff,
      initialIntervalMs,
      maxIntervalMs,
    };
    this.#limit = startLimit(world.strategy.shards);
  }

  submit(task: SimTask): void {
    this.#firsts.push(task);
    this.#claim();
  }

  get #cap(): number {
    return Math.ceil(this.#world.scenario.submitters / this.#world.strategy.shards);
  }

  #claim(): void {
    if (this.#firsts.length + this.#retries.length === 0) return;
    const may = this.#world.strategy.breaker ? this.#breaker.may() : "yes";
    if (may === "yes") this.#claimByLimit();
    else if (may === "probe") this.#probe();
    else this.#object.giveProbe();
  }

  #claimByLimit(): void {
    const { strategy, schedule } = this.#world;
    const due = { firsts: this.#firsts.length, retries: this.#retries.length };
    const budget = this.#budgetLeft();
    const inForce = this.#breaker.limited(limitInForce(this.#limit, this.#cap));
    const limit = strategy.limit ? inForce : Number.POSITIVE_INFINITY;
    const slots = { limit, inFlight: this.#inFlight, retriesInFlight: this.#retriesInFlight, budget };
    const go = splitSlots(due, slots);
    for (const task of this.#retries.splice(0, go.retries)) this.#attempt(task, null);
    for (const task of this.#firsts.splice(0, go.firsts)) this.#attempt(task, null);
    if (this.#retries.length > 0 && budget <= go.retries) this.#wake(budgetRefillsAt(schedule.now));
  }

  #probe(): void {
    const chosen = chooseProbe(this.#waiting().map((task) => this.#parkedTask(task)));
    for (const queue of [this.#firsts, this.#retries]) {
      const index = queue.findIndex(({ id }) => id === chosen?.id);
      for (const task of index < 0 ? [] : queue.splice(index, 1))
        this.#attempt(task, this.#breaker.beginProbe());
    }
  }

  #waiting(): SimTask[] {
    return [...this.#firsts, ...this.#retries];
  }

  #parked(): Pick<ParkedShard, "tasks" | "probe"> | null {
    const tasks = this.#waiting();
    const probe = chooseProbe(tasks.map((task) => this.#parkedTask(task)));
    return probe && { tasks: tasks.length, probe };
  }

  #parkedTask({ id, attempts, dueAt }: SimTask): ParkedTask {
    const attemptsLeft = this.#world.scenario.maxAttempts - attempts;
    return { id, dueAt, attemptsUsed: attempts, attemptsLeft };
  }

  #budgetLeft(): number {
    const { strategy, schedule } = this.#world;
    if (!strategy.budget || this.#retries.length === 0) return Number.POSITIVE_INFINITY;
    return budgetLeft(
      this.#budget,
      BUDGET,
      strategy.shards,
      isFalling(this.#limit, schedule.now),
      schedule.now,
    );
  }

  #attempt(task: SimTask, probe: number | null): void {
    const { schedule, target } = this.#world;
    const startedAt = schedule.now;
    const isRetry = task.attempts > 0;
    task.attempts++;
    this.#inFlight++;
    if (isRetry) this.#retriesInFlight++;
    this.#limit = noteUse(this.#limit, this.#inFlight, this.#cap);
    this.#budget = noteAttempt(this.#budget, isRetry, startedAt);
    target.call((status) => {
      this.#inFlight--;
      if (isRetry) this.#retriesInFlight--;
      this.#learn(status === 200, startedAt, probe);
      this.#settle(task, status === 200);
      this.#claim();
    });
  }

  #learn(ok: boolean, startedAt: number, probe: number | null): void {
    const { now } = this.#world.schedule;
    this.#load = noteLoad(this.#load, { told: null, overloaded: !ok, ok, latencyMs: now - startedAt }, now);
    this.#budget = noteResult(this.#budget, ok, now);
    this.#limit = ok
      ? noteSuccess(this.#limit, this.#cap, slowness(this.#load))
      : noteOverload(this.#limit, startedAt, now);
    if (this.#world.strategy.breaker) this.#breaker.count(ok, startedAt, probe);
  }

  #settle(task: SimTask, ok: boolean): void {
    if (ok || task.attempts >= this.#world.scenario.maxAttempts) {
      task.ended(ok);
      return;
    }
    const delayMs = this.#delayMs(task);
    task.previousDelayMs = delayMs;
    this.#backingOff++;
    this.#world.schedule.after(delayMs, () => {
      this.#backingOff--;
      task.dueAt = this.#world.schedule.now;
      this.#retries.push(task);
      this.#claim();
    });
  }

  #delayMs(task: SimTask): number {
    const { strategy, schedule, random } = this.#world;
    const waiting = this.#backingOff + this.#firsts.length + this.#retries.length;
    this.#stretch = stretchAt(this.#stretch, waiting, schedule.now);
    const baseMs = backoffDelayMs(this.#backoff, task.attempts, task.previousDelayMs, random);
    const situation = { loadFactor: loadFactor(this.#load, schedule.now), stretch: this.#stretch };
    const delayMs = stretchedDelayMs(baseMs, strategy.adaptive, situation);
    return withRetryAfter(delayMs, null, DEFAULT_POLICY.maxRetryAfterMs, random);
  }

  #wake(at: number): void {
    if (at <= this.#wakeAt) return;
    this.#wakeAt = at;
    this.#world.schedule.at(at, () => this.#claim());
  }
}
