import type { z } from "zod";
import type { BreakerList, BreakerState, ShownBreaker } from "../schema/breaker.ts";
import type { RekeyRequestInput, RekeyResult } from "../schema/rekey.ts";
import { taskPhase } from "../schema/state-facts.ts";
import type {
  TaskAccepted,
  TaskList,
  TaskQuery,
  TaskRequestInput,
  TaskSummary,
  TaskView,
} from "../schema/task.ts";
import { type BatchResult, batchParts, withKey } from "./batch.ts";
import { BatchError, RedriveError, WaitTimeoutError } from "./errors.ts";
import { type Call, type Connection, type Fetch, send } from "./http.ts";
import { query, segment } from "./path.ts";
import { type CallOptions, QueuesClient } from "./queues.ts";
import { isTimeout, timerWait, type Wait, withTimeout } from "./timing.ts";

const DEFAULT_TIMEOUT_MS = 30_000;
const DEFAULT_RETRIES = 3;
const DEFAULT_WAIT_TIMEOUT_MS = 5 * 60_000;
const DEFAULT_POLL_MS = 100;
const MAX_POLL_MS = 2_000;

/** How to reach a deployment. */
export interface RedriveClientOptions {
  /** Where it listens, such as `http://127.0.0.1:8787`. */
  url: string;
  apiKey: string;
  fetch?: Fetch;
  /** For each try of a call, headers and body together; 30 s when left out. */
  timeoutMs?: number;
  /** Tries after the first; 3 when left out. */
  retries?: number;
  /** Chance for the jitter between tries, 0 <= x < 1. */
  random?: () => number;
  wait?: Wait;
}

/** How long and how often `wait` looks. */
export interface WaitOptions extends CallOptions {
  /** 5 min when left out; 24 days at most. */
  timeoutMs?: number;
  /** The first interval, doubling up to 2 s; 100 ms when left out. */
  pollMs?: number;
}

/** What `rekey` has done: tasks that the filter let through, and those of them that had another target. */
export type RekeyTotals = Pick<RekeyResult, "matched" | "changed">;

/** Which tasks to list; `limit` is the size of a page, not of the list. */
export type TaskFilter = Omit<z.input<typeof TaskQuery>, "limit" | "cursor"> & { limit?: number };

/** Which breakers to list; `limit` is the size of a page, not of the list. */
export interface BreakerFilter {
  state?: BreakerState;
  limit?: number;
}

/**
 * Calls the HTTP API of one deployment. Answers are typed from the schemas and not checked against them, so
 * that a client goes on working with a newer server.
 *
 * Calls are repeated after network errors, 429, 502, 503 and 504, with full jitter on top of any
 * `Retry-After`; those that are not safe to carry out twice (`retry`, `resume`, `queues.rotateSecret`) only
 * after 429 and `overloaded`. Methods throw `RedriveError` when refused or not answered, and the reason of
 * their signal when it aborts.
 */
export class RedriveClient {
  readonly queues: QueuesClient;
  readonly #connection: Connection;

  /** Throws `TypeError` where the URL is not http(s) or the key cannot stand in a header. */
  constructor(options: RedriveClientOptions) {
    this.#connection = connectionFrom(options);
    this.queues = new QueuesClient(this.#connection);
  }

  /**
   * Submits a task. One without an idempotency key gets a generated one, so a repeat cannot make a second
   * task; `duplicate` is then true where the first try was taken and only its answer was lost.
   */
  async submit(task: TaskRequestInput, options: CallOptions = {}): Promise<TaskAccepted> {
    const body = JSON.stringify(withKey(task));
    const call: Call = { method: "POST", path: "/v1/tasks", body, repeatable: true, ...options };
    return (await this.#send(call)) as TaskAccepted;
  }

  /**
   * Submits any number of tasks, in as many calls as the limits of a batch ask for, one after the other.
   * Returns one answer for each task, in order. Throws `BatchError` with the answers so far when a call fails.
   */
  async submitBatch(tasks: readonly TaskRequestInput[], options: CallOptions = {}): Promise<BatchResult[]> {
    const keyed = tasks.map(withKey);
    const results: BatchResult[] = [];
    for (const part of batchParts(keyed)) {
      const call: Call = {
        method: "POST",
        path: "/v1/tasks/batch",
        body: part.body,
        repeatable: true,
        ...options,
      };
      try {
        const answer = (await this.#send(call)) as { results: BatchResult[] };
        results.push(...allOf(answer.results, part.count));
      } catch (error) {
        if (!(error instanceof RedriveError)) throw error;
        throw new BatchError(error, results, keyed.slice(results.length));
      }
    }
    return results;
  }

  /** The task with its whole history. */
  async get(id: string, options: CallOptions = {}): Promise<TaskView> {
    return (await this.#send({
      method: "GET",
      path: taskPath(id),
      repeatable: true,
      ...options,
    })) as TaskView;
  }

  /** Returns the task once it is final. Throws `WaitTimeoutError` with the task last seen when that takes too long. */
  async wait(id: string, options: WaitOptions = {}): Promise<TaskView> {
    const timeoutMs = options.timeoutMs ?? DEFAULT_WAIT_TIMEOUT_MS;
    const deadlineAt = Date.now() + timeoutMs;
    let last: TaskView | null = null;
    try {
      return await withTimeout(timeoutMs, options.signal, async (signal) => {
        for (let pollMs = options.pollMs ?? DEFAULT_POLL_MS; ; pollMs = nextPollMs(pollMs)) {
          last = await this.get(id, { signal });
          if (taskPhase(last.state) === "ended") return last;
          const leftMs = deadlineAt - Date.now();
          if (leftMs <= 0) throw new WaitTimeoutError(id, timeoutMs, last);
          await this.#connection.wait(Math.min(pollMs, leftMs), signal);
          signal.throwIfAborted();
        }
      });
    } catch (error) {
      options.signal?.throwIfAborted();
      throw isTimeout(error) ? new WaitTimeoutError(id, timeoutMs, last) : error;
    }
  }

  /** All tasks that the filter lets through, newest first, page by page as they are asked for. */
  async *list(
    filter: TaskFilter = {},
    options: CallOptions = {},
  ): AsyncGenerator<TaskSummary, void, undefined> {
    let cursor: string | undefined;
    do {
      const path = `/v1/tasks${query({ ...filter, cursor })}`;
      const page = (await this.#send({ method: "GET", path, repeatable: true, ...options })) as TaskList;
      yield* page.tasks;
      cursor = page.next_cursor ?? undefined;
    } while (cursor !== undefined);
  }

  /** All breakers that are not closed, and those used lately; those first that are not closed or held, each part by name. */
  async *breakers(
    filter: BreakerFilter = {},
    options: CallOptions = {},
  ): AsyncGenerator<ShownBreaker, void, undefined> {
    let cursor: string | undefined;
    do {
      const path = `/v1/breakers${query({ ...filter, cursor })}`;
      const page = (await this.#send({ method: "GET", path, repeatable: true, ...options })) as BreakerList;
      yield* page.breakers;
      cursor = page.next_cursor ?? undefined;
    } while (cursor !== undefined);
  }

  /** Ends the task. One that is running keeps its attempt, whose late result is noted. */
  async cancel(id: string, options: CallOptions = {}): Promise<TaskView> {
    try {
      return await this.#operate(id, "cancel", true, options);
    } catch (error) {
      if (!(error instanceof RedriveError && error.code === "invalid_state" && error.tries > 1)) throw error;
      // The answer of an earlier try may have been lost after it cancelled the task.
      const task = await this.get(id, options);
      if (task.state !== "cancelled") throw error;
      return task;
    }
  }

  /** Starts a new round of a failed or cancelled task; one that waits goes now. */
  retry(id: string, options: CallOptions = {}): Promise<TaskView> {
    return this.#operate(id, "retry", false, options);
  }

  /** Lets a held task go on. */
  resume(id: string, options: CallOptions = {}): Promise<TaskView> {
    return this.#operate(id, "resume", false, options);
  }

  /**
   * Stops the deliveries of a task's callback, and of those of its earlier rounds; one that is under way may still
   * arrive. Refused with `invalid_state` where nothing is to be delivered.
   */
  async stopCallback(id: string, options: CallOptions = {}): Promise<TaskView> {
    const path = `${taskPath(id)}/callback`;
    return (await this.#send({ method: "DELETE", path, repeatable: true, ...options })) as TaskView;
  }

  /** Gives a task that is not final another `breaker_key`; null: back to the target that its URL belongs to. */
  async setBreakerKey(id: string, breakerKey: string | null, options: CallOptions = {}): Promise<TaskView> {
    const body = JSON.stringify({ breaker_key: breakerKey });
    const path = `${taskPath(id)}/rekey`;
    return (await this.#send({ method: "POST", path, body, repeatable: true, ...options })) as TaskView;
  }

  /**
   * Gives those tasks of a queue another `breaker_key` that the filter lets through and that are not final, in as many
   * calls as it takes. A call that fails leaves those before it done; all of it may be repeated.
   */
  async rekey(request: RekeyRequestInput, options: CallOptions = {}): Promise<RekeyTotals> {
    const totals: RekeyTotals = { matched: 0, changed: 0 };
    let cursor = request.cursor;
    do {
      const body = JSON.stringify({ ...request, cursor });
      const call: Call = { method: "POST", path: "/v1/tasks/rekey", body, repeatable: true, ...options };
      const answer = (await this.#send(call)) as RekeyResult;
      totals.matched += answer.matched;
      totals.changed += answer.changed;
      cursor = answer.next_cursor ?? undefined;
    } while (cursor !== undefined);
    return totals;
  }

  async #operate(id: string, verb: string, repeatable: boolean, options: CallOptions): Promise<TaskView> {
    const path = `${taskPath(id)}/${verb}`;
    return (await this.#send({ method: "POST", path, repeatable, ...options })) as TaskView;
  }

  #send(call: Call): Promise<unknown> {
    return send(this.#connection, call);
  }
}

function connectionFrom(options: RedriveClientOptions): Connection {
  const { protocol } = new URL(options.url);
  if (protocol !== "http:" && protocol !== "https:") {
    throw new TypeError(`expected an http or https url, got ${protocol}`);
  }
  if (!/^[\x21-\x7e]+$/.test(options.apiKey)) {
    throw new TypeError("expected apiKey to be printable ASCII without spaces, and not empty");
  }
  return {
    baseUrl: options.url.replace(/\/+$/, ""),
    apiKey: options.apiKey,
    // Called as a plain function: Workers and browsers refuse fetch as another object's method.
    fetch: options.fetch ?? ((url, init) => fetch(url, init)),
    timeoutMs: options.timeoutMs ?? DEFAULT_TIMEOUT_MS,
    retries: options.retries ?? DEFAULT_RETRIES,
    random: options.random ?? Math.random,
    wait: options.wait ?? timerWait,
  };
}

/** Answers are matched to tasks by their place, so a batch answered in part cannot be used at all. */
function allOf(results: BatchResult[], count: number): BatchResult[] {
  if (Array.isArray(results) && results.length === count) return results;
  const message = `expected ${count} results of a batch, got ${Array.isArray(results) ? results.length : "none"}`;
  throw new RedriveError(message, { status: 202, code: "internal" });
}

function nextPollMs(pollMs: number): number {
  return Math.max(pollMs, Math.min(pollMs * 2, MAX_POLL_MS));
}

function taskPath(id: string): string {
  return `/v1/tasks/${segment("task id", id)}`;
}
