import type { CallRequest, CallResult } from "../core/call/call.ts";

/** The right to make one call now. */
export interface Grant {
  kind: "attempt" | "callback" | "probe";
  /** The name of the shard to settle with. */
  shard: string;
  /** The task's id, or the probe's. */
  id: string;
  round: number;
  number: number;
  lease: number;
  /** On the shard's clock: from then on the grant is void. */
  leaseUntil: number;
  /** How long the lease runs from its grant, for runners, whose clocks may differ. */
  leaseMs: number;
  request: CallRequest;
}

export interface SettleMessage {
  kind: Grant["kind"];
  id: string;
  round: number;
  lease: number;
  result: CallResult;
  /** Milliseconds since the edge invocation answered; 0 in a shard's own object; null from a Runner, which has no such bound. */
  edgeElapsedMs: number | null;
  /** How many further grants this runner can take with the answer. */
  want: number;
}

export interface SettleAnswer {
  /** `stale`: the lease is not the row's; nothing changed. */
  status: "accepted" | "stale";
  /** The right to deliver the callback that follows. */
  callback: Grant | null;
  /** Other tasks' grants, at most `want`. */
  next: Grant[];
}

/** What a runner needs of a shard. */
export interface ShardPort {
  settle(message: SettleMessage): Promise<SettleAnswer>;
  /** Several settles in one call, answered in their order; null: that one failed and has to be repeated. */
  settleAll(messages: SettleMessage[]): Promise<(SettleAnswer | null)[]>;
}

/** Hand-over of grants to a Runner object; answered as soon as the calls are under way. */
export interface RunMessage {
  grants: Grant[];
}

/** How many of the grants the runner started, from the first on; it never starts more than it has room for. */
export interface RunAnswer {
  started: number;
}

/** What a shard needs of a Runner object. */
export interface RunnerPort {
  run(message: RunMessage): Promise<RunAnswer>;
}

/** How much longer than the timeout a lease runs: the time to start, to settle, and to repeat the settle. */
export const LEASE_MARGIN_MS = 10_000;
