import { type Policy, resolveCallbackPolicy, resolvePolicy } from "../../core/policy/policy.ts";
import {
  DEFAULT_CALLBACK_TIMEOUT_MS,
  type EffectiveCallback,
  effectiveCallback,
} from "../../core/task/callback-settings.ts";
import { deliveryLane } from "../../core/task/lane.ts";
import type { Task } from "../../core/task/task.ts";
import type { TransitionContext } from "../../core/task/transition.ts";
import type { QueueConfig } from "../../protocol/queue-config.ts";

/** What the terms of tasks need of their shard. */
export interface TermsPort {
  now(): number;
  queue(): QueueConfig;
  /** The target of a callback's receiver. */
  targetOfUrl(url: string): string;
}

/** By what terms a task is called: what it says itself, or else what its queue says now. */
export class Terms {
  readonly #port: TermsPort;

  constructor(port: TermsPort) {
    this.#port = port;
  }

  policyOf(task: Pick<Task, "call">): Policy {
    return resolvePolicy(task.call.retry, this.#port.queue().settings.retry);
  }

  /** How long an attempt may take, in milliseconds. */
  timeoutOf(task: Pick<Task, "call">): number {
    return task.call.timeoutMs ?? this.#port.queue().settings.timeout;
  }

  /** Null: nobody is told of the task's end. */
  callbackOf(task: Task): EffectiveCallback | null {
    return effectiveCallback(task.call.callback, this.#port.queue().settings.callback);
  }

  /** By what policy the task's callback is delivered. */
  deliveryPolicyOf(task: Task): Policy {
    return this.callbackOf(task)?.policy ?? resolveCallbackPolicy(undefined, undefined);
  }

  /** How long one delivery of the task's callback may take, in milliseconds. */
  deliveryTimeoutOf(task: Task): number {
    return this.callbackOf(task)?.timeoutMs ?? DEFAULT_CALLBACK_TIMEOUT_MS;
  }

  /** What the state machine asks when this task ends. */
  transitionContext(task: Task): TransitionContext {
    return {
      now: this.#port.now(),
      callbackFor: (state) => {
        const callback = this.callbackOf(task);
        if (callback === null || !callback.on.includes(state)) return null;
        return { url: callback.url, lane: deliveryLane(this.#port.targetOfUrl(callback.url)) };
      },
    };
  }
}
