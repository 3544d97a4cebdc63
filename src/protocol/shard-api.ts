import type { NewTask } from "../core/task/new-task.ts";
import type { TaskAccepted, TaskState, TaskSummary, TaskView } from "../schema/task.ts";
import type { BreakerShardPort } from "./breaker-api.ts";
import type { Grant, ShardPort } from "./grant.ts";
import type { QueueConfig } from "./queue-config.ts";
import type { Refusal } from "./refusal.ts";

/**
 * What crosses between API, shards, runners and catalog. Two releases talk to each other during a deploy, so
 * these are plain objects that are only ever added to: a new field is optional, an unknown one is ignored.
 */

/** Tasks for one shard, by a caller that knows its queue in this version. */
export interface SubmitMessage {
  queueVersion: number;
  tasks: NewTask[];
}

export type SubmitResult = { ok: true; task: TaskAccepted; grant: Grant | null } | Refusal;

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
