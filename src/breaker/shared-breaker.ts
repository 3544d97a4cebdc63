import { newBreaker } from "../core/breaker/breaker.ts";
import { breakerPolicy, isTrusted } from "../core/breaker/policy.ts";
import {
  type BreakerNews,
  type BreakerSync,
  type ToldBreaker,
  TRUSTED_PART,
} from "../protocol/breaker-api.ts";
import { knownParts } from "./breaker-rows.ts";
import { mergeViews } from "./merge-views.ts";
import { TargetBreaker, type TargetBreakerPorts } from "./target-breaker.ts";

/**
 * The breaker of one target for all queues that call it: a part for each queue, which goes by that queue's calls, and
 * one for all queues that trust each other. What a part finds out reaches the others as a hint only: a queue whose own
 * calls fail as well asks at once, one whose calls succeed is never stopped. An operator's word is for all parts.
 */
export class SharedBreaker {
  readonly #key: string;
  /** Only one queue goes by it. */
  readonly #isOwn: boolean;
  readonly #ports: TargetBreakerPorts;
  #parts: Map<number, TargetBreaker> | null = null;
  /** What the clock says to all parts; null: the time. */
  #instant: number | null = null;
  /** When it was told something last, in this life of its memory; 0: never. */
  #heardAt = 0;
  /** When the object's one alarm is armed for, as far as is known; null: not known, or not armed. */
  #alarmAt: number | null = null;

  constructor(key: string, isOwn: boolean, ports: TargetBreakerPorts) {
    this.#key = key;
    this.#isOwn = isOwn;
    this.#ports = ports;
  }

  /** Takes in what a shard tells; answers with the state that holds now for its queue, the shard's probe lease in it. */
  sync(message: BreakerSync): BreakerNews {
    this.#heardAt = this.#ports.now();
    const id = this.#partOf(message);
    const part = this.#part(id);
    const others = [...this.#all()].filter(([other]) => other !== id).map(([, other]) => other);
    for (const other of others) other.forget(message.shard);
    const wasDown = part.isDown;
    const news = part.sync(
      message,
      others.some(({ isDown }) => isDown),
    );
    if (wasDown && news.state === "closed") for (const other of others) other.othersUp();
    return news;
  }

  /** Since when nobody has told it anything, as far as is known; null: an operator holds it, so that it has to stay. */
  get idleSince(): number | null {
    const parts = [...this.#all().values()];
    if (parts.some(({ state }) => state.state === "isolated")) return null;
    return Math.max(this.#heardAt, ...parts.map(({ changedAt }) => changedAt));
  }

  /** Each part does what is due. Harmless at any time. */
  alarm(): void {
    this.#alarmAt = null;
    for (const part of this.#all().values()) part.alarm();
  }

  /** Holds the target for all queues, also those that never called it, until a reset. Repeats change nothing. */
  isolate(reason: string, by: string): ToldBreaker {
    this.#atOnce((part) => part.isolate(reason, by));
    return this.#viewOf(this.#all());
  }

  /** Closes the breaker and releases holds for all queues; load comes back step by step. Repeats change nothing. */
  reset(reason: string, by: string): ToldBreaker {
    const views = this.#atOnce((part) => part.reset(reason, by));
    return {
      ...this.#viewOf(this.#all()),
      releasedHolds: views.flatMap(({ releasedHolds = [] }) => releasedHolds),
    };
  }

  /** As it is for these queues, by their refs; left out: for all. Null: nobody has told it anything of them. */
  view(queueRefs?: readonly number[]): ToldBreaker | null {
    const shown = [...this.#all()].filter(([, part]) => queueRefs === undefined || isOf(part, queueRefs));
    return shown.length === 0 ? null : this.#viewOf(new Map(shown));
  }

  #partOf({ queueRef, settings }: BreakerSync): number {
    return this.#isOwn || isTrusted(this.#key, breakerPolicy(settings)) ? TRUSTED_PART : queueRef;
  }

  #viewOf(parts: ReadonlyMap<number, TargetBreaker>): ToldBreaker {
    const told = [...parts].filter(([, part]) => saysSomething(part));
    const shown = told.length === 0 ? [...parts] : told;
    return mergeViews(shown.map(([part, breaker]) => ({ part, view: breaker.view() })));
  }

  /** The parts of which anything is known. */
  #all(): Map<number, TargetBreaker> {
    this.#parts ??= new Map(knownParts(this.#ports.sql).map((id) => [id, this.#make(id)]));
    return this.#parts;
  }

  /** An operation of all parts, that of what is to come among them: at one instant, so that history has it once. */
  #atOnce(operation: (part: TargetBreaker) => ToldBreaker): ToldBreaker[] {
    this.#part(TRUSTED_PART);
    this.#instant = this.#ports.now();
    try {
      return [...this.#all().values()].map(operation);
    } finally {
      this.#instant = null;
    }
  }

  #part(id: number): TargetBreaker {
    const parts = this.#all();
    const part = parts.get(id) ?? this.#make(id);
    parts.set(id, part);
    return part;
  }

  /** A part that is new begins closed, but for a target that an operator holds. */
  #make(part: number): TargetBreaker {
    const fresh = (now: number) => {
      const whole = part === TRUSTED_PART ? undefined : this.#all().get(TRUSTED_PART);
      const breaker = whole?.state.state === "isolated" ? whole.state : newBreaker(now);
      return { breaker, holdsEndedAt: whole?.holdsEndedAt ?? 0 };
    };
    const ports = {
      ...this.#ports,
      now: () => this.#instant ?? this.#ports.now(),
      setAlarm: (at: number) => this.#arm(at),
    };
    return new TargetBreaker(ports, { key: this.#key, part, fresh });
  }

  #arm(at: number): void {
    if (this.#alarmAt !== null && this.#alarmAt <= at && this.#alarmAt > this.#ports.now()) return;
    this.#alarmAt = at;
    this.#ports.setAlarm(at);
  }
}

/** Whether it is of one of the queues: what an operator holds is for all. */
function isOf({ shards, state }: TargetBreaker, queueRefs: readonly number[]): boolean {
  return state.state === "isolated" || shards.some(({ queueRef }) => queueRefs.includes(queueRef));
}

/** What no shard goes by any more says nothing, unless an operator holds it. */
function saysSomething({ shards, state }: TargetBreaker): boolean {
  return shards.length > 0 || state.state === "isolated";
}
