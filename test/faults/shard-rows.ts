import type { Breaker } from "../../src/core/breaker/breaker.ts";
import { mostHoldMs } from "../../src/core/policy/hold.ts";
import { targetOfLane } from "../../src/core/task/lane.ts";
import { isTaskRow, ownerId } from "../../src/core/task/row-id.ts";
import type { Grant } from "../../src/protocol/grant.ts";
import type { QueueConfig } from "../../src/protocol/queue-config.ts";
import { HeavyCalls } from "./heavy-calls.ts";
import { LaneOrder } from "./lane-order.ts";
import type { Ledger } from "./ledger.ts";
import { QueueLimits } from "./queue-limits.ts";
import { checkChange, checkDelete, checkInsert } from "./row-checks.ts";
import { type PollsOfTurn, ShardPolls } from "./shard-polls.ts";
import type { Watcher } from "./world/host.ts";
import type { RowVersion, SimStorage } from "./world/storage.ts";

/** A target as a shard has it on disk. */
export interface DownTarget {
  breaker: Breaker | null;
  usedLease: number;
  probing: string | null;
}

/** What one turn wrote. */
interface Turn {
  versions: RowVersion[];
  /** By the shard's clock. */
  at: number;
  before: ReadonlyMap<string, DownTarget>;
  after: ReadonlyMap<string, DownTarget>;
  /** The settings that may have held in it. */
  held: readonly QueueConfig[];
  polls: PollsOfTurn;
}

/** A call that a shard let go. */
export interface Admission {
  id: string;
  target: string;
  at: number;
  /** It is the delivery of a callback. */
  delivers: boolean;
  /** Until when its target had asked for no calls, as far as the shard had heard by then; 0: it had not. */
  asked: number;
}

/** One shard's rows as committed, followed version by version: each change is checked when it is on disk. */
export class ShardRows implements Watcher {
  readonly name: string;
  readonly ledger: Ledger;
  readonly #storage: SimStorage;
  readonly #config: () => QueueConfig | null;
  readonly #limits: QueueLimits;
  readonly #polls: ShardPolls;
  readonly #order: LaneOrder;
  readonly #heavy: HeavyCalls;
  /** Grants of the turn that is followed, by their lane. */
  readonly #granted = new Map<string, number>();
  #leases = 0;
  #pollsBefore = 0;
  readonly #rows = new Map<string, RowVersion>();
  readonly #rowsOfOwner = new Map<string, number>();
  #turns: Turn[] = [];
  #failedCallbacks: string[] = [];
  #targets: ReadonlyMap<string, DownTarget> = new Map();
  /** When each target asked for no calls and until when, as the shard heard; by the simulated time. */
  readonly #asked = new Map<string, { at: number; until: number }>();
  /** When an operator released what each target had asked for; by the simulated time. */
  readonly #releasedAt = new Map<string, number>();
  /** The target of each attempt that memory has in flight. */
  readonly #letGoFor = new Map<string, string>();
  /** The most that its queue lets a target ask for, at least and at most: by the settings that may have held in the turn. */
  leastHoldMs = 0;
  mostHoldMs = 0;
  /** Leases given, by their number in the row. */
  readonly #given = new Map<string, Set<string>>();

  /** `config`: the settings as the object has them. */
  constructor(name: string, storage: SimStorage, ledger: Ledger, config: () => QueueConfig | null) {
    this.#config = config;
    this.#limits = new QueueLimits(name, ledger);
    this.name = name;
    this.#storage = storage;
    this.#polls = new ShardPolls(storage);
    this.#order = new LaneOrder(name, ledger);
    const marks = "SELECT 1 FROM shard WHERE heavy IS NOT NULL";
    this.#heavy = new HeavyCalls(name, ledger, () => storage.read(marks).length > 0);
    this.ledger = ledger;
  }

  /** All rows as committed. */
  all(): IterableIterator<RowVersion> {
    return this.#rows.values();
  }

  get(id: string): RowVersion | undefined {
    return this.#rows.get(id);
  }

  has(id: string): boolean {
    return this.#rows.has(id);
  }

  /** A row of the task itself, or of a round that is kept. */
  hasAny(owner: string): boolean {
    return (this.#rowsOfOwner.get(owner) ?? 0) > 0;
  }

  /** Whether a grant's lease has been committed. */
  gave(grant: Grant): boolean {
    const given = this.#given.get(ownerId(grant.id));
    return given?.has(`${grant.round} ${grant.lease}`) === true;
  }

  /** Forgets leases of rows that are gone. */
  tidy(): void {
    for (const owner of this.#given.keys()) if (!this.hasAny(owner)) this.#given.delete(owner);
    for (const [target, { until }] of this.#asked) if (until < this.ledger.now) this.#asked.delete(target);
  }

  /** The target asked for no calls until then. */
  noteAsked(target: string, until: number): void {
    // By the clocks of shard and Breaker object it may have been asked for before the release.
    if (this.ledger.now - (this.#releasedAt.get(target) ?? 0) < CLOCKS_MS) return;
    const known = this.#asked.get(target)?.until ?? 0;
    if (until > known) this.#asked.set(target, { at: this.ledger.now, until });
  }

  /** The target that a task's attempt in flight was let go for: it may have been given another one since. */
  calledBy({ id, target }: RowVersion): string {
    return this.#letGoFor.get(id) ?? target;
  }

  /** An operator has released what the target asked for. */
  noteReleased(target: string): void {
    this.#asked.delete(target);
    this.#releasedAt.set(target, this.ledger.now);
  }

  /** The log says that a callback failed for good; it counts once it is committed. */
  noteFailedCallback(id: string): void {
    this.#failedCallbacks.push(id);
  }

  wrote(versions: RowVersion[], at: number): void {
    const before = this.#targets;
    if (this.#storage.wroteTargets) this.#targets = this.#readTargets();
    this.#turns.push({
      versions,
      at,
      before,
      after: this.#targets,
      held: this.#limits.learn(this.#config()),
      polls: this.#polls.turn(),
    });
  }

  lost(): void {
    this.#turns = [];
    this.#failedCallbacks = [];
    // A shard that starts anew goes by its rows.
    this.#letGoFor.clear();
    this.#limits.lost();
    this.#polls.lost();
    this.#order.lost();
    this.#heavy.lost();
    this.#targets = this.#readTargets();
  }

  committed(): void {
    for (const id of this.#failedCallbacks.splice(0)) this.#callbackFailed(id);
    for (const turn of this.#turns.splice(0)) {
      this.#cutAsked(turn.held);
      const admissions: Admission[] = [];
      const before = this.#leases + this.#pollsBefore;
      for (const version of turn.versions) this.#follow(version, turn.at, admissions);
      this.#checkOrder(turn);
      this.#heavy.turned();
      this.#checkAdmissions(turn, admissions);
      for (const { target, url } of turn.polls.begun)
        this.ledger.breakers.admitted(this.name, target, url, turn.at);
      this.#checkPolls(turn);
      const attempts = admissions.filter(({ delivers }) => !delivers).map(({ id }) => id);
      attempts.push(...turn.polls.begun.map(({ url }) => url));
      this.#pollsBefore = turn.polls.underWay;
      const after = this.#leases + this.#pollsBefore;
      this.#limits.check(turn.held, { before, after, polls: turn.polls, attempts });
    }
  }

  #cutAsked(held: readonly QueueConfig[]): void {
    const most = held.map(({ settings }) => mostHoldMs(settings.retry));
    this.leastHoldMs = most.length === 0 ? 0 : Math.min(...most);
    this.mostHoldMs = most.length === 0 ? Number.POSITIVE_INFINITY : Math.max(...most);
    for (const [target, { at, until }] of this.#asked)
      this.#asked.set(target, { at, until: Math.min(until, at + this.leastHoldMs) });
  }

  #follow(version: RowVersion, at: number, admissions: Admission[]): void {
    const { id } = version;
    const before = this.#rows.get(id);
    const owner = ownerId(id);
    const lane = this.#order.follow(before, version);
    const bytes = this.ledger.tasks.get(owner)?.bytes ?? 0;
    if (version.gone) this.#heavy.follow(version, null);
    if (lane !== null) this.#granted.set(lane, (this.#granted.get(lane) ?? 0) + 1);
    if (version.gone) {
      if (before !== undefined) checkDelete(this, before, at);
      this.#rows.delete(id);
      if (before?.leaseUntil != null) this.#leases--;
      this.#count(owner, -1);
      return;
    }
    const isAdmitted =
      version.lease > (before?.lease ?? 0) &&
      version.leaseUntil !== null &&
      !(before === undefined && !isTaskRow(id));
    const admission = isAdmitted ? this.#admission(version, at) : null;
    this.#heavy.follow(version, admission === null ? null : admission.delivers ? 0 : bytes);
    if (before === undefined) checkInsert(this, version, at);
    else checkChange(this, before, version, at);
    // What the shard hears later in the same commit it did not know of.
    if (admission !== null)
      admissions.push({ ...admission, asked: this.#asked.get(admission.target)?.until ?? 0 });
    this.#rows.set(id, version);
    this.#leases += (version.leaseUntil === null ? 0 : 1) - (before?.leaseUntil == null ? 0 : 1);
    if (before === undefined) this.#count(owner, 1);
  }

  #admission(version: RowVersion, at: number): Omit<Admission, "asked"> {
    const { id, callback, target, round, lease } = version;
    this.ledger.totals.leases++;
    const given = this.#given.get(ownerId(id)) ?? new Set<string>();
    given.add(`${round} ${lease}`);
    this.#given.set(ownerId(id), given);
    const delivers = callback?.state === "running";
    if (!delivers) this.#letGoFor.set(id, target);
    return { id, target: delivers ? targetOfLane(callback.lane) : target, at, delivers };
  }

  /** Probes of breakers are chosen by another rule than age and priority. */
  #checkOrder({ before, after, at }: Turn): void {
    for (const lane of this.#granted.keys()) {
      const target = targetOfLane(lane);
      if (before.get(target)?.usedLease !== after.get(target)?.usedLease) this.#granted.delete(lane);
    }
    this.#order.turned(this.#granted, at);
    this.#granted.clear();
  }

  #checkAdmissions({ before, after }: Turn, admissions: readonly Admission[]): void {
    const probes = new Map<string, number>();
    for (const { id, target, at, asked } of admissions) {
      if (asked > this.ledger.now + RETRY_AFTER_SLACK_MS)
        this.ledger.violate(
          "Retry-After is never undercut",
          `${this.name} lets ${id} go ${asked - this.ledger.now} ms too early`,
          id,
          target,
        );
      this.ledger.breakers.admitted(this.name, target, id, at);
      const [was, is] = [before.get(target), after.get(target)];
      if (was?.breaker == null || is?.breaker == null) continue;
      const calls = (probes.get(target) ?? 0) + 1;
      probes.set(target, calls);
      const probe = is.breaker.state === "half_open" ? is.breaker.probe : null;
      const isMine = probe === null || probe.shard === this.name;
      const isProbe = is.usedLease !== was.usedLease && calls === 1 && isMine;
      if (!isProbe && was.breaker.version === is.breaker.version)
        this.ledger.violate(
          "no call to an open target but leased probes",
          `${this.name} has ${target} as ${is.breaker.state}, and lets ${id} go`,
          id,
          target,
        );
    }
  }

  /** A poll goes to a target that is down as its leased probe only, and to one that asked for no calls not at all. */
  #checkPolls({ before, after, polls }: Turn): void {
    for (const { target, url } of polls.begun) {
      const asked = this.#asked.get(target)?.until ?? 0;
      if (asked > this.ledger.now + RETRY_AFTER_SLACK_MS)
        this.ledger.violate(
          "Retry-After is never undercut",
          `${this.name} polls ${url} ${asked - this.ledger.now} ms too early`,
          url,
          target,
        );
      const [was, is] = [before.get(target), after.get(target)];
      if (was?.breaker == null || is?.breaker == null) continue;
      if (was.breaker.version === is.breaker.version && is.usedLease === was.usedLease)
        this.ledger.violate(
          "no call to an open target but leased probes",
          `${this.name} has ${target} as ${is.breaker.state}, and polls ${url}`,
          url,
          target,
        );
    }
  }

  #callbackFailed(id: string): void {
    const task = this.ledger.tasks.get(ownerId(id));
    const row = this.#rows.get(id);
    const round = row?.round ?? Number(id.slice(id.indexOf("~") + 1));
    const end = task?.ends.get(round);
    if (end === undefined || end.failed) return;
    end.failed = true;
    this.ledger.totals.failedCallbacks++;
  }

  #count(owner: string, by: 1 | -1): void {
    const left = (this.#rowsOfOwner.get(owner) ?? 0) + by;
    if (left > 0) {
      this.#rowsOfOwner.set(owner, left);
      return;
    }
    this.#rowsOfOwner.delete(owner);
    this.ledger.forget(owner);
  }

  #readTargets(): ReadonlyMap<string, DownTarget> {
    // It may have ended before its upgrade was committed.
    const tables = this.#storage.read("SELECT name FROM sqlite_master WHERE name = 'targets'");
    if (tables.length === 0) return new Map();
    return new Map(
      this.#storage
        .read("SELECT key, breaker FROM targets")
        .map((row) => [String(row.key), downTarget(row.breaker)]),
    );
  }
}

/** Two clocks differ by up to 6 s. */
const CLOCKS_MS = 8_000;
/** Clocks differ by up to 6 s, and dates have whole seconds. */
export const RETRY_AFTER_SLACK_MS = 8_000;

function downTarget(text: unknown): DownTarget {
  if (typeof text !== "string") return { breaker: null, usedLease: 0, probing: null };
  return JSON.parse(text) as DownTarget;
}
