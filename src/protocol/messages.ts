import type { Breaker, BreakerAudit } from "../core/breaker/breaker.ts";
import type { CountsReport } from "../core/breaker/counts.ts";
import type { TaskCall } from "../core/task/task.ts";
import type { BreakerPart, BreakerSettings, BreakerState, BreakerView } from "../schema/breaker.ts";
import type { ErrorCode } from "../schema/problem.ts";
import type { QueueSettings } from "../schema/queue.ts";
import type {
  BodyError,
  RedirectMode,
  TaskAccepted,
  TaskState,
  TaskSummary,
  TaskView,
} from "../schema/task.ts";

/**
 * What crosses between API, shards, runners and catalog. Two releases talk to each other during a deploy, so
 * these are plain objects that are only ever added to: a new field is optional, an unknown one is ignored.
 */

/** A queue as the catalog knows it and a shard keeps it. */
export interface QueueConfig {
  name: string;
  /** Unique for each queue and generation; part of shard names and task ids. */
  ref: number;
  shards: number;
  /** Rises with every change; a shard with an older one pulls. */
  version: number;
  paused: boolean;
  settings: Omit<QueueSettings, "shards">;
  /** Signing secrets, newest first (`whsec_...`, or sealed); while rotating, two. */
  secrets: string[];
  /** Until when secrets after the first are signed with; epoch ms. */
  previousSecretUntil: number | null;
  /** Its data keys, wrapped, newest first; left out: its secrets are not encrypted. */
  dataKeys?: string[];
  createdAt: number;
  updatedAt: number;
}

/** A task on its way into a shard. The API made its id. */
export interface NewTask {
  id: string;
  target: string;
  priority: number;
  /** Due this long after the shard accepts it; ignored where runAt is set. */
  delayMs: number;
  runAt: number | null;
  call: TaskCall;
  /** Scope: the queue. Null: none. */
  idempotencyKey: string | null;
  /** Hash of the parsed request without its key, to tell a repeat from a conflict. */
  requestHash: string | null;
  /** The hash that the same request has where its secrets are not encrypted: a row may be from before. */
  plainHash?: string;
  /** The caller offers to make the first attempt itself (edge-first). */
  edge: boolean;
}

export interface SubmitMessage {
  queueVersion: number;
  tasks: NewTask[];
}

/** A refusal that is expected: crosses RPC as a value, since error classes do not survive the trip. */
export interface Refusal {
  ok: false;
  code: ErrorCode;
  detail: string;
}

export type SubmitResult = { ok: true; task: TaskAccepted; grant: Grant | null } | Refusal;

/** One HTTP request to make, complete. */
export interface CallRequest {
  url: string;
  method: string;
  headers: Record<string, string>;
  body: string | Uint8Array | null;
  /** Bounds headers and body of the answer together. */
  timeoutMs: number;
  maxRedirects: number;
  /** How they are followed; left out: `strict`. */
  redirectMode?: RedirectMode;
  /** Where set, the body is signed when it is sent (Standard Webhooks). */
  sign: { messageId: string; secrets: string[] } | null;
  /** Where set, some of its headers and secrets are sealed, and whoever makes the call unseals them first. */
  sealed?: SealedWith;
}

/** What opens sealed values: the queue's name, and its data keys, wrapped. */
export interface SealedWith {
  queue: string;
  keys: string[];
  /** The body is sealed too. */
  body?: true;
  /** The body is a callback's payload, and the sealed body of an answer stands in it from here to there. */
  payload?: { start: number; end: number };
  /** The answer's body is to be sealed for storage. */
  answer?: true;
}

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

/** What came of one call: an answer, whether or not its body could be read, or an exception (`status` 0). */
export interface CallResult {
  status: number;
  /** Lower-case names. */
  headers: Record<string, string>;
  body: string;
  bodyEncoding: "utf8" | "base64";
  truncated: boolean;
  durationMs: number;
  /** The body once more, sealed: what is to be stored of it. Left out: it is stored as it is. */
  sealedBody?: string;
  /** The status and headers came, but not the whole body; `body` is then empty and `truncated` true. Left out: it did. */
  bodyError?: BodyError;
  /** Where the call threw: the exception's name and message. */
  error: { name: string; message: string } | null;
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

export interface ListMessage {
  /** Only tasks with an id below this one; null: from the newest. */
  before: string | null;
  state: TaskState | null;
  label: string | null;
  target: string | null;
  createdAfter: number | null;
  limit: number;
  /** Only tasks that are not final. */
  isOpen?: true;
}

/** Newest first. `examinedTo`: the shard stopped after this id though there is more; null: it reached the end. */
export interface ListAnswer {
  tasks: TaskSummary[];
  examinedTo: string | null;
  /** Rows that it looked at; left out by older releases. */
  examined?: number;
}

export interface ShardStats {
  counts: Record<TaskState, number>;
  callbacksWaiting: number;
  oldestDueAt: number | null;
  inFlight: number;
}

/** `sealed`: the body of the task's response is, and whoever shows it unseals it first. */
export type TaskAnswer = { ok: true; task: TaskView; sealed?: true } | Refusal;
/** Gives a page of tasks another `breaker_key`; the filter is as in ListMessage. */
export interface RekeyMessage {
  before: string | null;
  state: TaskState | null;
  label: string | null;
  target: string | null;
  limit: number;
  /** Null: the target that a task's URL belongs to. */
  breakerKey: string | null;
  /** Counts, and changes nothing. */
  dryRun: boolean;
}

/** `matched` of the page are not final, `changed` of those had another target; `examinedTo` as in ListAnswer. */
export interface RekeyAnswer {
  matched: number;
  changed: number;
  examinedTo: string | null;
}

/** What is done to a task; `stop-callback`: to what is still to be delivered of it. */
export type OperateAction = "cancel" | "retry" | "resume" | "stop-callback";

/** What shards of a queue ask of each other. */
export interface SiblingPort {
  /**
   * Asked of the queue's first shard by one that finds the queue stalled: whether it is to tell operators. The first
   * one in an hour is.
   */
  mayTellStalled(): Promise<boolean>;
  /** A place for a call is free, for which the shard has waited: it looks what is due. */
  wake(): Promise<void>;
}

/** Every call the API makes to a shard. All are idempotent: a platform may repeat them. */
export interface ShardApi extends ShardPort, BreakerShardPort, SiblingPort {
  // A read that is `quiet` leaves what is due alone and writes nothing, for storage that takes no writes.
  /** Answers in the order of the tasks. Throws only where nothing was stored or it is not known. */
  submit(message: SubmitMessage): Promise<SubmitResult[]>;
  get(id: string, quiet?: boolean): Promise<TaskAnswer>;
  list(message: ListMessage, quiet?: boolean): Promise<ListAnswer>;
  /** `force`: a retry also starts a new round of a task that succeeded. */
  operate(id: string, action: OperateAction, force: boolean): Promise<TaskAnswer>;
  /** Moves a task that is not final to the target of a `breaker_key`; null: to the one that its URL belongs to. */
  rekeyTask(id: string, breakerKey: string | null): Promise<TaskAnswer>;
  rekey(message: RekeyMessage): Promise<RekeyAnswer>;
  stats(quiet?: boolean): Promise<ShardStats>;
  /** Takes new settings, unless it has these or newer ones; they hold for waiting tasks too. */
  configure(config: QueueConfig): Promise<void>;
  /**
   * Refuses submits from now on and answers true, unless a task is not final or a callback not delivered; with `force`,
   * whatever callbacks wait.
   */
  close(force?: boolean): Promise<boolean>;
  /** Takes a `close` back. */
  reopen(): Promise<void>;
  /** Forgets everything; for a shard of a deleted queue. */
  destroy(): Promise<void>;
}

/** What shards ask of the catalog. */
export interface CatalogPort {
  /** The queue of this reference; null: there is none (any more). */
  queueByRef(ref: number): Promise<QueueConfig | null>;
}

/** What a shard needs of a Runner object. */
export interface RunnerPort {
  run(message: RunMessage): Promise<RunAnswer>;
}

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
}

/** What a Breaker object tells a shard: the state that holds now, and what is for its queue alone. */
export type BreakerNews = Breaker &
  HoldNews & {
    /** To a shard that asked with `gone`: whether it is to tell. Left out (an older release): it is. */
    tellGone?: boolean;
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
export type ToldBreaker = Omit<BreakerView, "holds" | "parts"> & {
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
  /** The targets that are not closed or held, and those called within the last hour; at most `limit`. */
  targets(limit: number): Promise<TargetSummary[]>;
  /** Until when the target is held, null: it is not. With `release`, the hold is over from now on. */
  hold(key: string, release: boolean): Promise<number | null>;
}
