import type { Breaker } from "../../src/core/breaker/breaker.ts";
import type { BreakerSync } from "../../src/protocol/breaker-api.ts";
import { BREAKER_BURST_MS } from "../../src/schema/breaker.ts";

/** Own failures, at the least, before anything stops the calls of a queue of the simulation: none has stricter settings. */
const LEAST_FAILURES = 3;
/** A window of 60 s, slices of 10 s, and clocks that differ by up to 6 s. */
const REMEMBERED_MS = 80_000;
/** Surely within the window of 60 s, by any clock. */
const SURELY_COUNTED_MS = 50_000;

/** What the parts are held against. */
interface Watch {
  readonly now: number;
  violate(invariant: string, detail: string, ...about: string[]): void;
}

/** What one life of a Breaker object's memory has heard of one source's latest calls. */
interface HeardReach {
  seq: number;
  okAt: number;
  faultsAt: readonly number[];
}

/** Queues that go by the same part of a Breaker object: one queue, or those that trust each other. */
interface Group {
  /** Failed and slow calls that were told of, by source and slice. */
  failures: Map<string, number>;
  faultsAt: Set<number>;
  /** By source; of the present life of the object's memory. */
  reach: Map<string, HeardReach>;
  /** When the state began that stops its calls, as it was answered last; null: nothing stops them. */
  stoppedSince: number | null;
  /** When each of its outages began. */
  outages: Set<number>;
  /** The target is down by its own calls, for all that is known: others have to hear of it. */
  isKnownDown: boolean;
  /** Since it went down, a probe of its own succeeded, or an operator let the target go. */
  mayClose: boolean;
  shards: Set<string>;
}

/**
 * The parts of one Breaker object, held against what each queue has told of its own calls: nobody else's word stops a
 * queue's calls or lets them all go, and one whose calls fail too goes by what others found.
 */
export class BreakerParts {
  readonly #name: string;
  readonly #watch: Watch;
  readonly #groups = new Map<string, Group>();
  /** The life of the object's memory. */
  #life: object | null = null;

  constructor(name: string, watch: Watch) {
    this.#name = name;
    this.#watch = watch;
  }

  /** A shard's message arrives at a life of the object; gives its answer. */
  synced(life: object, message: BreakerSync, sync: () => Breaker): Breaker {
    this.#begin(life);
    const name = groupOf(message);
    const group = this.#group(name);
    const othersAreDown = [...this.#groups.values()].some((other) => other !== group && other.isKnownDown);
    this.#hear(group, message);
    const answer = sync();
    if (answer.state === "closed") {
      this.#closed(name, group, answer);
      if (othersAreDown && message.report !== null) this.#checkAgrees(name, group, answer);
    } else if (answer.state !== "isolated") this.#stopped(name, group, answer);
    return answer;
  }

  /** An operator's word for all parts arrives. */
  operated(): void {
    for (const group of this.#groups.values()) {
      group.mayClose = true;
      group.isKnownDown = false;
    }
  }

  /** A shard could not be told of a change: its queue may be taken for gone. */
  notTold(shard: string): void {
    for (const group of this.#groups.values()) if (group.shards.has(shard)) group.isKnownDown = false;
  }

  /** What is only in the object's memory is gone with it, and what it wrote last may be. */
  #begin(life: object): void {
    if (life === this.#life) return;
    this.#life = life;
    for (const group of this.#groups.values()) {
      group.reach.clear();
      group.isKnownDown = false;
    }
  }

  #hear(group: Group, { shard, report, probed }: BreakerSync): void {
    group.shards.add(shard);
    if (probed?.ok === true) group.mayClose = true;
    if (report === null) return;
    const { source, buckets, reach } = report;
    for (const { start, failed, slow } of buckets) {
      const slice = `${start} ${source}`;
      group.failures.set(slice, Math.max(group.failures.get(slice) ?? 0, failed + slow));
    }
    const { seq, okAt = 0, faultsAt = [] } = reach;
    for (const at of faultsAt) group.faultsAt.add(at);
    if (seq > (group.reach.get(source)?.seq ?? 0)) group.reach.set(source, { seq, okAt, faultsAt });
  }

  #closed(name: string, group: Group, { since }: Breaker): void {
    const { stoppedSince, mayClose } = group;
    // Closed since before: that it had opened was lost.
    if (stoppedSince !== null && since > stoppedSince && !mayClose)
      this.#violate(`${name} may call again, and none of its own probes has succeeded`);
    group.stoppedSince = null;
    group.isKnownDown = false;
  }

  #stopped(name: string, group: Group, breaker: Breaker & { state: "open" | "half_open" }): void {
    const { since, trips, downSince } = breaker;
    // One that had ended goes on where that was lost.
    if (!group.outages.has(downSince)) {
      this.#checkOwn(name, group, breaker);
      group.outages.add(downSince);
      group.mayClose = false;
    }
    group.stoppedSince = since;
    group.isKnownDown = trips > 0;
  }

  /** It has just gone down: its own calls failed. */
  #checkOwn(
    name: string,
    group: Group,
    { downSince, trips }: Breaker & { state: "open" | "half_open" },
  ): void {
    const from = downSince - REMEMBERED_MS;
    for (const slice of group.failures.keys())
      if (Number.parseInt(slice, 10) < from) group.failures.delete(slice);
    for (const at of group.faultsAt) if (at < from) group.faultsAt.delete(at);
    const failures = [...group.failures.values()].reduce((sum, count) => sum + count, 0);
    const inARow = burstsAfter(group.faultsAt, lastOk(group));
    if (failures < LEAST_FAILURES) this.#violate(`${name} is stopped after ${failures} failures of its own`);
    else if (trips === 0 && inARow < LEAST_FAILURES)
      this.#violate(`${name} is stopped by what others say, after ${inARow} failures of its own in a row`);
  }

  /** Others know of an outage, and this one's latest calls failed: it has to go by that. */
  #checkAgrees(name: string, group: Group, answer: Breaker & { state: "closed" }): void {
    const surelyFrom = this.#watch.now - SURELY_COUNTED_MS;
    const from = Math.max(surelyFrom, lastOk(group), answer.ramp ? answer.since : 0);
    const told = [...group.reach.values()].flatMap(({ faultsAt }) => faultsAt);
    const inARow = burstsAfter(told, from);
    if (inARow >= LEAST_FAILURES)
      this.#watch.violate(
        "one outage is known to all whose calls fail",
        `${this.#name}: ${name} goes on after ${inARow} failures in a row, and others know that it is down`,
        this.#name,
      );
  }

  #group(name: string): Group {
    const known = this.#groups.get(name);
    if (known !== undefined) return known;
    const group: Group = {
      ...{ failures: new Map(), faultsAt: new Set(), reach: new Map(), shards: new Set() },
      ...{ stoppedSince: null, outages: new Set(), isKnownDown: false, mayClose: false },
    };
    this.#groups.set(name, group);
    return group;
  }

  #violate(detail: string): void {
    this.#watch.violate("no other queue's word stops a queue", `${this.#name}: ${detail}`, this.#name);
  }
}

function groupOf({ key, queueRef, settings }: BreakerSync): string {
  const isTrusting = settings?.share === "trusted" && !key.startsWith("key:");
  return isTrusting ? "those who trust each other" : `queue ${queueRef}`;
}

/** When a call of the group succeeded last, as far as this life has heard. */
function lastOk({ reach }: Group): number {
  return Math.max(0, ...[...reach.values()].map(({ okAt }) => okAt));
}

/** Failures after an instant; those of one burst are one. */
function burstsAfter(instants: Iterable<number>, from: number): number {
  return new Set([...instants].filter((at) => at > from).map((at) => Math.floor(at / BREAKER_BURST_MS))).size;
}
