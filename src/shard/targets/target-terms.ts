import { type BreakerPolicy, breakerPolicy, isTrusted } from "../../core/breaker/policy.ts";
import { mostHoldMs } from "../../core/policy/hold.ts";
import { breakerName } from "../../protocol/names.ts";
import type { QueueConfig } from "../../protocol/queue-config.ts";

/** By what terms the targets of a queue are called, as its settings are now. */
export class TargetTerms {
  readonly #queue: () => QueueConfig;
  /** The shortest timeout that is evidence for other queues. */
  readonly #evidenceFloorMs: number;
  #policy: { of: object; policy: BreakerPolicy } | null = null;

  constructor(queue: () => QueueConfig, evidenceFloorMs: number) {
    this.#queue = queue;
    this.#evidenceFloorMs = evidenceFloorMs;
  }

  get queue(): QueueConfig {
    return this.#queue();
  }

  get policy(): BreakerPolicy {
    const settings = this.queue.settings.breaker;
    if (this.#policy?.of !== settings) this.#policy = { of: settings, policy: breakerPolicy(settings) };
    return this.#policy.policy;
  }

  /** The longest that a target may hold the queue, in milliseconds. */
  get mostHoldMs(): number {
    return mostHoldMs(this.queue.settings.retry);
  }

  /** The shortest timeout of a call to the target that is evidence; 0: any that its queue's own settings take. */
  floorMsOf(key: string): number {
    return isTrusted(key, this.policy) ? this.#evidenceFloorMs : 0;
  }

  /** The name of a target's Breaker object, by the scope that the queue sets. */
  breakerOf(key: string): string {
    return breakerName(key, this.policy.share, this.queue.ref);
  }
}
