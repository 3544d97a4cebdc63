import { ownerId } from "../../src/core/task/row-id.ts";
import type { Grant, SettleMessage } from "../../src/protocol/grant.ts";
import type { QueueConfig } from "../../src/protocol/queue-config.ts";
import type { SubmitResult } from "../../src/protocol/shard-api.ts";
import { Answers } from "./answers.ts";
import { Beliefs } from "./beliefs.ts";
import type { BreakerParts } from "./breaker-parts.ts";
import { CallEnds } from "./call-ends.ts";
import { Violation } from "./history.ts";
import type { ProbeLeases } from "./probe-leases.ts";
import { ShardRows } from "./shard-rows.ts";
import type { Watcher } from "./world/host.ts";
import type { Queue } from "./world/queues.ts";
import type { SimStorage } from "./world/storage.ts";
import { ASKED_UNTIL } from "./world/wait-hints.ts";
import type { World } from "./world/world.ts";

/** How a round ended, and what became of the message about it. */
export interface End {
  state: string;
  wanted: boolean;
  delivered: boolean;
  failed: boolean;
}

/** A task as its client knows it. */
export interface KnownTask {
  id: string;
  queue: Queue;
  shard: string;
  maxAttempts: number;
  /** No round ends for want of attempts before so many. */
  leastAttempts: number;
  maxAgeMs: number;
  /** The most that a target may ask it to wait; null: what its queue says. */
  maxRetryAfterMs: number | null;
  delayMs: number;
  /** Of its body. */
  bytes: number;
  callbackOn: readonly string[] | null;
  key: string | null;
  /** Its submit was answered 202. */
  acked: boolean;
  /** Requests for a retry that reached its shard; forced: of a task that succeeded, too. */
  redrives: { arrived: number; forced: number };
  ends: Map<number, End>;
}

/** What was promised and what was seen: everything the checks go by. Violations are raised after the turn. */
export class Ledger {
  readonly #world: World;
  readonly tasks = new Map<string, KnownTask>();
  readonly rows = new Map<string, ShardRows>();
  readonly breakers: Beliefs;
  /** By the name of their Breaker object. */
  readonly probes = new Map<string, ProbeLeases>();
  /** By the name of their Breaker object. */
  readonly parts = new Map<string, BreakerParts>();
  /** Calls that have ended lately, by the Breaker object that hears of them. */
  readonly ends: CallEnds;
  /** What targets have answered to attempts. */
  readonly answers: Answers;
  /** The task of each idempotency key, as answered. */
  readonly #byKey = new Map<string, string>();
  readonly #settles = new Map<string, Map<string, SettleMessage>>();
  readonly #started = new Map<string, Set<string>>();
  readonly #released = new Set<string>();
  #violation: Violation | null = null;
  readonly totals = {
    ...{ accepted: 0, ended: 0, delivered: 0, failedCallbacks: 0, pruned: 0, leases: 0 },
    /** Calls that shards made themselves. */
    ownCalls: 0,
  };

  constructor(world: World) {
    this.#world = world;
    this.breakers = new Beliefs((...violation) => this.violate(...violation));
    this.ends = new CallEnds(this);
    this.answers = new Answers(this);
  }

  /** The time, epoch ms. */
  get now(): number {
    return this.#world.time.now;
  }

  shardWatcher(name: string, storage: SimStorage, config: () => QueueConfig | null): Watcher {
    const rows = new ShardRows(name, storage, this, config);
    this.rows.set(name, rows);
    return rows;
  }

  /** Something that must always hold did not; the first one counts. */
  violate(invariant: string, detail: string, ...about: string[]): void {
    this.#violation ??= new Violation(invariant, detail, about);
  }

  /** Throws the first violation. */
  raise(): void {
    if (this.#violation !== null) throw this.#violation;
  }

  /** A client has heard that its task was taken in. */
  accepted(task: KnownTask, result: SubmitResult): void {
    if (!result.ok) return;
    const { id } = result.task;
    const known = this.tasks.get(id);
    if (known === undefined) {
      // A repeat of a key whose task was pruned meanwhile, its answer late.
      if (id === task.id || !result.task.duplicate)
        this.violate("an accepted task is on disk", `${id} was answered 202`, id);
      return;
    }
    if (!this.rows.get(known.shard)?.has(id) && !this.#isPruned(known))
      this.violate("an accepted task is on disk", `${id} was answered 202 and has no row`, id);
    if (!known.acked) this.totals.accepted++;
    known.acked = true;
    if (task.key === null) return;
    const name = `${task.queue.config.name}|${task.key}`;
    const first = this.#byKey.get(name);
    if (
      first !== undefined &&
      first !== id &&
      this.tasks.has(first) &&
      !this.#isPruned(this.tasks.get(first))
    )
      this.violate("a key never makes two tasks", `${name} made ${first} and ${id}`, first, id);
    this.#byKey.set(name, id);
  }

  /** Tasks that are held. */
  held(): KnownTask[] {
    const rows = [...this.rows.values()].flatMap((rows) => [...rows.all()]);
    return rows.filter(({ state }) => state === "held").flatMap(({ id }) => this.tasks.get(id) ?? []);
  }

  /** The task that has the key of this one now; null: none, as far as is known. */
  holderOf(task: KnownTask): string | null {
    return this.#byKey.get(`${task.queue.config.name}|${task.key}`) ?? null;
  }

  /** A settle has arrived at its shard, wherever it goes from there. */
  settling(message: SettleMessage): void {
    if (message.kind === "probe") return;
    const owner = ownerId(message.id);
    const settles = this.#settles.get(owner) ?? new Map<string, SettleMessage>();
    const name = leaseName(message.kind, message.round, message.lease);
    const other = settles.get(name);
    // A grant handed over twice is called twice: which of its settles counts is not known here.
    if (other === undefined || askedBy(message) < askedBy(other)) settles.set(name, message);
    this.#settles.set(owner, settles);
  }

  /** The settle of a lease that has arrived; undefined: none has. */
  settleOf(id: string, kind: Grant["kind"], round: number, lease: number): SettleMessage | undefined {
    return this.#settles.get(ownerId(id))?.get(leaseName(kind, round, lease));
  }

  /** A runner or an edge Worker begins with a grant. */
  started(grant: Grant): void {
    if (grant.kind === "probe") return;
    const owner = ownerId(grant.id);
    const name = leaseName(grant.kind, grant.round, grant.lease);
    if (this.#released.has(`${owner} ${name}`))
      this.violate("a grant taken back is never begun", `${owner}, ${name}`, owner);
    if (!this.rows.get(grant.shard)?.gave(grant))
      this.violate("a grant is on disk before anybody has it", `${owner}, ${name}`, owner);
    const started = this.#started.get(owner) ?? new Set<string>();
    started.add(name);
    this.#started.set(owner, started);
  }

  /** A lease was taken back unused. */
  releasing(id: string, kind: Grant["kind"], round: number, lease: number): void {
    const owner = ownerId(id);
    const name = leaseName(kind, round, lease);
    if (this.#started.get(owner)?.has(name))
      this.violate("a grant that was begun is not taken back", `${owner}, ${name}`, owner);
    this.#released.add(`${owner} ${name}`);
  }

  /** A receiver has taken a message. */
  delivered(messageId: string, body: string): void {
    const at = messageId.lastIndexOf("_");
    const task = this.tasks.get(messageId.slice(0, at));
    if (task === undefined) return;
    const round = Number(messageId.slice(at + 1));
    const end = task.ends.get(round);
    const { type, data } = JSON.parse(body) as { type: string; data: { task: { round: number } } };
    if (end === undefined || type !== `task.${end.state}` || data.task.round !== round)
      this.violate(
        "a round has exactly one outcome",
        `${messageId} tells ${type} of round ${data.task.round}; it ended ${end?.state ?? "not at all"}`,
        task.id,
      );
    else if (!end.delivered) {
      end.delivered = true;
      this.totals.delivered++;
    }
  }

  /** A line that an object logged. */
  logged(name: string, line: Record<string, unknown>): void {
    this.#world.note(name, JSON.stringify(line));
    if (["row.failed", "row.poisoned", "flights.poisoned"].includes(String(line.event)))
      this.violate("no row's work fails", JSON.stringify(line), String(line.task ?? name));
    if (line.event === "callback.settled" && line.state === "failed")
      this.rows.get(name)?.noteFailedCallback(String(line.task));
  }

  /** Forgets what is over: no row is left, nothing can come of it any more. */
  forget(owner: string): void {
    this.#settles.delete(owner);
    this.#started.delete(owner);
    this.answers.forget(owner);
    const task = this.tasks.get(owner);
    this.tasks.delete(owner);
    if (task?.key == null) return;
    const name = `${task.queue.config.name}|${task.key}`;
    if (this.#byKey.get(name) === owner) this.#byKey.delete(name);
  }

  /** Forgets messages about rows that are gone. */
  tidy(): void {
    for (const owner of [...this.#settles.keys(), ...this.#started.keys()])
      if (![...this.rows.values()].some((rows) => rows.hasAny(owner))) this.forget(owner);
    this.#released.clear();
    for (const rows of this.rows.values()) rows.tidy();
  }

  #isPruned(task: KnownTask | undefined): boolean {
    return task === undefined || (task.ends.size > 0 && !this.rows.get(task.shard)?.has(task.id));
  }
}

/** Leases of a task's attempts run on over rounds; a round that is kept counts its deliveries on its own. */
function leaseName(kind: Grant["kind"], round: number, lease: number): string {
  return kind === "callback" ? `callback of round ${round}, lease ${lease}` : `attempt, lease ${lease}`;
}

/** Until when the target asked for no calls; 0: it did not. */
function askedBy({ result }: SettleMessage): number {
  return Number(result.headers[ASKED_UNTIL] ?? 0);
}
