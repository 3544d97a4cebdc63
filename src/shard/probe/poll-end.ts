import { effectOf } from "../../core/breaker/call-effect.ts";
import type { CallResult } from "../../core/call/call.ts";
import { classify } from "../../core/call/classify.ts";
import { resolvePolicy } from "../../core/policy/policy.ts";
import { targetOfLane } from "../../core/task/lane.ts";
import type { ShardContext } from "../state/context.ts";
import type { Tx } from "../storage/group-commit.ts";
import type { Poll } from "../storage/poll-rows.ts";

/** What a poll has shown. */
export interface PollEnd {
  /** It was answered with a 2xx. */
  ready: boolean;
  durationMs: number;
  /** The answer asks for no call of this URL before; 0: it does not. */
  notBefore: number;
}

/**
 * What an answer says of a URL; null: none came before the lease ended. Whether a URL is ready says nothing of its
 * target, but for a poll that was the probe of a half-open breaker, which counts as any call.
 */
export function endedPoll(ctx: ShardContext, tx: Tx, poll: Poll, result: CallResult | null): PollEnd {
  const now = ctx.now();
  const outcome = result === null ? null : classify(result, now);
  const probe = ctx.flights.get(poll.url)?.probe ?? null;
  if (probe !== null) {
    const floorMs = ctx.targets.terms.floorMsOf(targetOfLane(poll.lane));
    const timeouts = { timeoutMs: poll.timeoutMs, queueTimeoutMs: ctx.queue.settings.timeout, floorMs };
    const effect = outcome === null ? null : effectOf(outcome, timeouts, ctx.targets.policy.slowFraction);
    ctx.targets.probeEnded(tx, poll.lane, probe, effect?.ok ?? null);
  }
  if (result === null || outcome === null) return { ready: false, durationMs: 0, notBefore: 0 };
  const { error, status, durationMs } = result;
  const ready = error === null && status >= 200 && status < 300;
  const mostMs = resolvePolicy(null, ctx.queue.settings.retry).maxRetryAfterMs;
  const notBefore = outcome.retryAfterMs === null ? 0 : now + Math.min(outcome.retryAfterMs, mostMs);
  return { ready, durationMs, notBefore };
}
