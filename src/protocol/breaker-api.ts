import type { Breaker, BreakerAudit } from "../core/breaker/breaker.ts";
import type { CountsReport } from "../core/breaker/counts.ts";
import type { PathsTold, SeenPath } from "../core/breaker/path-watch.ts";
import type { TargetPlace } from "../core/breaker/target-page.ts";
import type { BreakerPart, BreakerSettings, BreakerState, BreakerView } from "../schema/breaker.ts";

/** What one shard tells a target's Breaker object, and asks of it, in one call; any part may be absent. */
export interface BreakerSync {
  /** The target key, as tasks name it. */
  key: string;
  /** The shard's name: it is told of changes. */
  shard: string;
  queue: string;
  queueRef: number;
  /** The breaker settings of the shard's queue. */
  settings: BreakerSettings;
  /** Its counts that may be news. */
  report: CountsReport | null;
  /** Tasks that wait for this breaker in the shard; null: none. */
  parked: { tasks: number; probe: { attemptsUsed: number; attemptsLeft: number } | null } | null;
  /** It would make a probe, under a lease of so many milliseconds; null: it would not. */
  wantLeaseMs: number | null;
  /** How a probe it made ended; `ok` null: its outcome says nothing of the target. */
  probed: { lease: number; ok: boolean | null } | null;
  /** What is in force in the shard, for the view. */
  load: { limit: number; loadFactor: number; budgetLeft: number | null };
  /** Until when (epoch ms) the target has asked for no calls, as far as the shard knows; left out: it has not. */
  holdUntil?: number;
  /** When it asked for that; left out (an older release): now. */
  holdFrom?: number;
  /** How long a hold may be in the shard's queue; left out (an older release): as long as any. */
  maxHoldMs?: number;
  /** The target has answered 410, and the shard would tell its queue's operators; left out: it would not. */
  gone?: true;
  /** What is seen of its paths, where one of them may have to be split off; left out: nothing. */
  paths?: PathsTold;
}

/** What a Breaker object tells a shard: the state that holds now, and what is for its queue alone. */
export type BreakerNews = Breaker &
  HoldNews & {
    /** To a shard that asked with `gone`: whether it is to tell. Left out (an older release): it is. */
    tellGone?: boolean;
    /** To a shard that told of paths: those that calls of any shard of its part succeeded on. */
    seen?: readonly SeenPath[];
  };

/** What a Breaker object tells a shard of holds. */
export interface HoldNews {
  /** Until when the target has asked a shard of the queue for no calls; left out: it has not. */
  holdUntil?: number;
  /** When it asked for that; left out (an older release): now. */
  holdFrom?: number;
  /** Holds that were asked for at this instant or earlier have been released; left out: none has. */
  holdsEndedAt?: number;
}

/** The hold of a target in one queue, as a Breaker object knows it: since when, and until when. */
export interface KnownHold {
  queueRef: number;
  from: number;
  until: number;
}

/** The part of the queues that trust each other, and of a breaker that only one queue goes by. */
export const TRUSTED_PART = 0;

/** What one queue's own calls say of a target, by the queue's ref, or TRUSTED_PART. */
export type ToldPart = Omit<BreakerPart, "queue"> & { part: number };

/** What a Breaker object shows of itself: its view, but that holds and parts are by queue references. */
export type ToldBreaker = Omit<BreakerView, "holds" | "parts" | "split"> & {
  /** Left out by an older release. */
  parts?: ToldPart[];
  /** Left out by an older release. */
  knownHolds?: KnownHold[];
  /** Of a reset: the holds that it released. Left out: none. */
  releasedHolds?: KnownHold[];
};

/** What the API and shards ask of a Breaker object. */
export interface BreakerPort {
  /** Takes in what a shard tells; answers with the state that holds now, the shard's probe lease in it. */
  sync(message: BreakerSync): Promise<BreakerNews>;
  /** As it is for these queues, by their refs; left out: for all. Null: nobody has ever told it anything of them. */
  view(queueRefs?: number[]): Promise<ToldBreaker | null>;
  isolate(reason: string, by: string): Promise<ToldBreaker>;
  /** Closes the breaker, and releases the holds of all queues that go by it. */
  reset(reason: string, by: string): Promise<ToldBreaker>;
}

/** One target as a shard knows it, for lists of breakers. */
export interface TargetSummary {
  key: string;
  /** The name of its Breaker object. */
  breaker: string;
  state: BreakerState;
  /** When a call to it was last let go. */
  usedAt: number;
  parked: number;
  /** Until when it is held since it asked for it; left out: it is not. */
  heldUntil?: number;
  /** Since when, and why, it is a path that is split off its origin; left out: it is none. */
  split?: { since: number; reason: string };
}

/** What a Breaker object and the API ask of a shard beside its tasks. */
export interface BreakerShardPort {
  /**
   * The Breaker object tells that a target's state has changed, or that it asked for no calls. `announce`: this shard tells its queue's operators,
   * for all shards of the queue.
   */
  breakerChanged(key: string, news: BreakerNews, announce: BreakerAudit | null): Promise<void>;
  /** The shard asks the target's Breaker object what holds, and is told of changes from then on. */
  askBreaker(key: string): Promise<void>;
  /**
   * The targets that are not closed or held, and those called within the last hour; at most `limit`. Without a place
   * those that are down first, then those called last; with one, the next ones by the name of their Breaker object.
   */
  targets(limit: number, place?: TargetPlace): Promise<TargetSummary[]>;
  /** Until when the target is held, null: it is not. With `release`, the hold is over from now on. */
  hold(key: string, release: boolean): Promise<number | null>;
}
