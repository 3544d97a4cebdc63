import { shareOf } from "../../src/protocol/names.ts";
import type { QueueConfig } from "../../src/protocol/queue-config.ts";
import { mostPollsOf, type PollsOfTurn } from "./shard-polls.ts";

/** The window in which calls are held against a queue's rate. */
const RATE_WINDOW_MS = 2_000;

/** What the limits are held against. */
interface Watch {
  readonly now: number;
  violate(invariant: string, detail: string, ...about: string[]): void;
}

/** What one turn of a shard did with its slots. */
export interface Slots {
  /** Leases in flight before and after. */
  before: number;
  after: number;
  polls: PollsOfTurn;
  /** Ids whose next attempt was let go, and URLs that are polled. */
  attempts: readonly string[];
}

/** One shard against its queue's settings as it has them: slots, rate, pause, and settings that only get newer. */
export class QueueLimits {
  readonly #watch: Watch;
  readonly #shard: string;
  #known: QueueConfig | null = null;
  #letGoAt: number[] = [];

  constructor(shard: string, watch: Watch) {
    this.#shard = shard;
    this.#watch = watch;
  }

  /** The settings at the end of a turn; returns those that may have held in it. */
  learn(config: QueueConfig | null): QueueConfig[] {
    const before = this.#known;
    if (config !== null && before !== null && config.version < before.version)
      this.#violate("settings only get newer", `version ${config.version} after ${before.version}`);
    this.#known = config ?? before;
    return [before, config].filter((one) => one !== null);
  }

  /** Memory was lost, and maybe what was written last: what it starts with again is not held against it. */
  lost(): void {
    this.#known = null;
  }

  /** Holds a turn against the settings that may have held in it. */
  check(held: readonly QueueConfig[], { before, after, polls, attempts }: Slots): void {
    if (held.length === 0) return;
    const index = Number(this.#shard.split("-").at(-1));
    const most = Math.max(
      ...held.map(({ settings, shards }) => shareOf(settings.concurrency, shards, index)),
    );
    if (after > most && after > before)
      this.#violate("no more slots are taken than there are", `${after} of ${most}`);
    if (polls.begun.length > 0 && polls.underWay > mostPollsOf(held, index))
      this.#violate("polls take a part of the slots", `${polls.underWay} of ${most}`);
    if (held.length === 2 && held.every(({ paused }) => paused) && attempts.length > 0)
      this.#violate("a paused queue begins no attempt", `it lets ${attempts.join(", ")} go`, ...attempts);
    this.#checkRate(held, attempts.length);
  }

  #checkRate(held: readonly QueueConfig[], count: number): void {
    const { now } = this.#watch;
    this.#letGoAt = this.#letGoAt.filter((at) => at > now - RATE_WINDOW_MS);
    for (let left = count; left > 0; left--) this.#letGoAt.push(now);
    const most = Math.min(...held.map(({ settings }) => mostInWindow(settings.rate)));
    if (this.#letGoAt.length > most)
      this.#violate(
        "the rate is kept",
        `${this.#letGoAt.length} attempts and polls within ${RATE_WINDOW_MS} ms`,
      );
  }

  #violate(invariant: string, detail: string, ...about: string[]): void {
    this.#watch.violate(invariant, `${this.#shard}: ${detail}`, this.#shard, ...about);
  }
}

/** A burst, the rate, and another burst: the clock of a shard that starts anew may be ahead by seconds. */
function mostInWindow(rate: QueueConfig["settings"]["rate"]): number {
  if (rate === null) return Number.POSITIVE_INFINITY;
  return 2 * (rate.burst ?? rate.limit) + (rate.limit * RATE_WINDOW_MS) / rate.per;
}
