import {
  type Breaker,
  type BreakerStep,
  leaseProbe,
  newBreaker,
  onCounts,
  onTime,
  settleProbe,
} from "../../src/core/breaker/breaker.ts";
import { chooseShard, type ParkedShard } from "../../src/core/breaker/choose-probe.ts";
import { type BreakerCounts, type CountsReport, mergeReport } from "../../src/core/breaker/counts.ts";
import { DEFAULT_BREAKER_POLICY } from "../../src/core/breaker/policy.ts";
import type { Random } from "./random.ts";
import type { Schedule } from "./schedule.ts";

const POLICY = DEFAULT_BREAKER_POLICY;
const PROBE_LEASE_MS = 30_000;

/** A shard as the Breaker object sees it. */
export interface Member {
  name: string;
  told(breaker: Breaker): void;
  /** What it has parked; null: nothing. */
  parked(): Pick<ParkedShard, "tasks" | "probe"> | null;
}

/** The Breaker object of the target under simulation. */
export class SimBreaker {
  readonly #schedule: Schedule;
  readonly #random: Random;
  readonly #members = new Map<string, Member>();
  readonly #probedAt = new Map<string, number>();
  #breaker: Breaker = newBreaker(0);
  #counts: BreakerCounts = new Map();

  constructor(schedule: Schedule, random: Random) {
    this.#schedule = schedule;
    this.#random = random;
  }

  join(member: Member): void {
    this.#members.set(member.name, member);
  }

  report(report: CountsReport): void {
    this.#counts = mergeReport(this.#counts, report);
    this.#follow(onCounts(this.#breaker, this.#counts, POLICY, this.#schedule.now, this.#random));
  }

  /** The probe with this lease has ended. */
  settle(lease: number, ok: boolean): void {
    this.#follow(settleProbe(this.#breaker, lease, ok, POLICY, this.#schedule.now, this.#random));
    this.giveProbe();
  }

  /** Leases the probe to a shard that has tasks parked, where there is one to give. */
  giveProbe(): void {
    if (this.#breaker.state !== "half_open" || this.#breaker.probe !== null) return;
    const chosen = chooseShard(this.#parked());
    if (chosen === null) return;
    this.#probedAt.set(chosen.shard, this.#schedule.now);
    this.#follow(leaseProbe(this.#breaker, chosen.shard, this.#schedule.now, PROBE_LEASE_MS));
    this.#members.get(chosen.shard)?.told(this.#breaker);
  }

  #parked(): ParkedShard[] {
    return [...this.#members.values()].flatMap((member) => {
      const parked = member.parked();
      if (parked === null) return [];
      return [{ ...parked, shard: member.name, probedAt: this.#probedAt.get(member.name) ?? 0 }];
    });
  }

  #follow({ breaker, changes }: BreakerStep): void {
    this.#breaker = breaker;
    if (changes?.push !== true) return;
    for (const member of this.#members.values()) member.told(breaker);
    if (breaker.state === "open") this.#schedule.at(breaker.until, () => this.#tick());
  }

  #tick(): void {
    this.#follow(onTime(this.#breaker, this.#schedule.now));
    this.giveProbe();
  }
}
