import type { Breaker } from "../../src/core/breaker/breaker.ts";
import { effectOf } from "../../src/core/breaker/call-effect.ts";
import {
  adopt,
  beginProbe,
  countCall,
  type LocalContext,
  type LocalStep,
  mayCall,
  newLocalBreaker,
  reportAt,
  reportOf,
  reportTaken,
} from "../../src/core/breaker/local-breaker.ts";
import { DEFAULT_BREAKER_POLICY } from "../../src/core/breaker/policy.ts";
import { type Ramp, rampAfter, rampedLimit, startRamp } from "../../src/core/pressure/ramp.ts";
import type { SimBreaker } from "./breaker.ts";
import type { Random } from "./random.ts";
import type { Schedule } from "./schedule.ts";

const POLICY = DEFAULT_BREAKER_POLICY;
const TIMEOUT_MS = 20_000;

/** What a shard knows of the breaker, kept up by src/core; calls of the Breaker object are instant and never lost. */
export class ShardBreaker {
  readonly #schedule: Schedule;
  readonly #random: Random;
  readonly #object: SimBreaker;
  #local: ReturnType<typeof newLocalBreaker>;
  #ramp: Ramp | null = null;
  /** The shard's limit, for the ramp; and what to do when calls may go again. */
  readonly #shard: { limit(): number; resume(): void };

  constructor(
    name: string,
    object: SimBreaker,
    schedule: Schedule,
    random: Random,
    shard: { limit(): number; resume(): void },
  ) {
    this.#object = object;
    this.#schedule = schedule;
    this.#random = random;
    this.#shard = shard;
    this.#local = newLocalBreaker(name, name, null);
  }

  may(): "yes" | "no" | "probe" {
    return mayCall(this.#local, POLICY, this.#schedule.now);
  }

  /** The limit as the ramp holds it down. */
  limited(limit: number): number {
    return rampedLimit(limit, this.#ramp);
  }

  /** A probe goes out; its lease. */
  beginProbe(): number {
    this.#local = beginProbe(this.#local);
    return this.#local.usedLease;
  }

  /** A call came back; `probe` is its lease, null where it was none. */
  count(ok: boolean, startedAt: number, probe: number | null): void {
    const durationMs = this.#schedule.now - startedAt;
    const timeouts = { timeoutMs: TIMEOUT_MS, queueTimeoutMs: TIMEOUT_MS, floorMs: 0 };
    const effect = effectOf(
      { errorType: ok ? null : "server_error", status: ok ? 200 : 503, durationMs },
      timeouts,
      POLICY.slowFraction,
    );
    if (this.#ramp !== null && effect !== null) this.#ramp = rampAfter(this.#ramp, effect.ok);
    this.#follow(countCall(this.#local, effect, startedAt, this.#context()));
    if (probe !== null) this.#object.settle(probe, ok);
    const dueAt = reportAt(this.#local, this.#context());
    if (dueAt !== null && dueAt <= this.#schedule.now) this.#report();
  }

  /** The Breaker object tells its state. */
  told(breaker: Breaker): void {
    this.#follow(adopt(this.#local, breaker, "push", this.#context()));
  }

  #report(): void {
    const report = reportOf(this.#local);
    this.#local = reportTaken(this.#local, report);
    this.#object.report(report);
  }

  #follow(step: LocalStep): void {
    this.#local = step.local;
    if (step.ramp) this.#ramp = startRamp(this.#shard.limit());
    if (step.moved) this.#shard.resume();
  }

  #context(): LocalContext {
    return { now: this.#schedule.now, policy: POLICY, random: this.#random };
  }
}
