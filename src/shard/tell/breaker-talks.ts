import { reportOf } from "../../core/breaker/local-breaker.ts";
import { type LastTalk, mayTalk, NO_TALK, nextTalkAt } from "../../core/breaker/next-talk.ts";
import { pathsTold } from "../../core/breaker/path-watch.ts";
import { MinHeap, pushLive } from "../../core/min-heap.ts";
import { mostHoldMs } from "../../core/policy/hold.ts";
import { lanesOf } from "../../core/task/lane.ts";
import { loggedError } from "../../core/text/logged-error.ts";
import type { BreakerPort, BreakerSync } from "../../protocol/breaker-api.ts";
import { LEASE_MARGIN_MS } from "../../protocol/grant.ts";
import { MINUTE_MS, SECOND_MS } from "../../schema/limits.ts";
import { probeCandidate } from "../probe/breaker-probe.ts";
import { hasParked, MOST_PARKED, pollsWait, surelyHasParked } from "../probe/parked.ts";
import { readinessOf } from "../probe/readiness.ts";
import type { ShardContext } from "../state/context.ts";
import type { GroupCommit, Tx } from "../storage/group-commit.ts";
import { allowedCalls, loadOf, retriesLeft, type Target } from "../targets/target.ts";
import { tellGone } from "./operator-events.ts";

/** Reports of a target that fails now and then are at least so far apart. */
const REPORT_EVERY_MS = SECOND_MS;

/** A Breaker object that could not be reached is asked again after this long, doubled each time. */
const ASK_AGAIN_MS = SECOND_MS;

const MOST_ASK_AGAIN_MS = 5 * SECOND_MS;

/** Where nothing but polls of held tasks waits: any other shard's task is the better probe. */
const COST_OF_POLL = { attemptsUsed: Number.MAX_SAFE_INTEGER, attemptsLeft: 1 };

/** The longest timeout of a poll. */
const LONGEST_POLL_MS = MINUTE_MS;

/** Talks remembered; beyond, those that hold nothing back any more are forgotten. */
const MOST_TALKS = 10_000;

/** What talking to Breaker objects needs of the world. */
export interface BreakerSyncPorts {
  breaker(name: string): BreakerPort;
  keepAlive(promise: Promise<unknown>): void;
}

/**
 * Keeps a shard and the Breaker objects of its targets in step: tells counts and probe results, asks what holds now,
 * one call for each target at a time, outside the group. A Breaker object that cannot be reached blocks nothing. Only
 * targets that have changed are thought over, so those that wait cost nothing until it is time to ask.
 */
export class BreakerSyncs {
  readonly #ctx: ShardContext;
  readonly #group: GroupCommit;
  readonly #ports: BreakerSyncPorts;
  readonly #underWay = new Set<string>();
  readonly #last = new Map<string, LastTalk>();
  /** When each target's next call is due; the heap may hold entries that no longer hold. */
  readonly #dueAt = new Map<string, number>();
  #order = new MinHeap<string>();

  constructor(ctx: ShardContext, group: GroupCommit, ports: BreakerSyncPorts) {
    this.#ctx = ctx;
    this.#group = group;
    this.#ports = ports;
  }

  /** Begins the calls that are due now. */
  run(): void {
    for (const target of this.#ctx.targets.takeChanged()) this.#plan(target);
    const now = this.#ctx.now();
    for (let at = this.nextAt(); at !== null && at <= now; at = this.nextAt()) {
      const key = this.#order.pop()?.value ?? "";
      this.#dueAt.delete(key);
      this.#underWay.add(key);
      this.#ports.keepAlive(this.#sync(this.#ctx.targets.get(key)));
    }
  }

  /** When the next call is due, for the alarm; null: none will be by time alone. */
  nextAt(): number | null {
    for (let top = this.#order.peek(); top !== undefined; top = this.#order.peek()) {
      if (this.#dueAt.get(top.value) === top.at) return top.at;
      this.#order.pop();
    }
    return null;
  }

  #plan(target: Target): void {
    const { key } = target;
    if (this.#underWay.has(key)) return;
    const at = this.#nextTalkAt(target);
    if (at === null) this.#dueAt.delete(key);
    else if (at !== this.#dueAt.get(key)) {
      this.#dueAt.set(key, at);
      this.#order = pushLive(this.#order, at, key, this.#dueAt);
    }
  }

  #nextTalkAt(target: Target): number | null {
    const { key, local, heldFrom, heldUntil, heldTold } = target;
    const { targets, now, random } = this.#ctx;
    const context = { now: now(), policy: targets.policy, random };
    const last = this.#last.get(key) ?? NO_TALK;
    // A breaker that closes forgets who had rows waiting.
    if (local.breaker.state === "closed" && last.parked !== "none")
      this.#last.set(key, { ...last, parked: "none" });
    if (!mayTalk(local, last, context)) targets.news.giveUp(key);
    const situation = {
      local,
      hold: { heldFrom, heldUntil },
      heldTold,
      last,
      parked: this.#parked(key),
      limit: this.#limitOf(target),
      unsure: targets.news.isUnsure(key),
      gone: targets.news.goneTask(key) !== null,
      probed: targets.news.probedOf(key),
    };
    return nextTalkAt(situation, context);
  }

  /** Never throws: whatever fails, the shard goes on alone. */
  async #sync(target: Target): Promise<void> {
    const { key } = target;
    try {
      const message = this.#message(target);
      const parked = message.parked === null ? "none" : this.#parked(key);
      const breaker = await this.#ports.breaker(this.#ctx.targets.terms.breakerOf(key)).sync(message);
      await this.#group.run((tx) => {
        this.#ctx.targets.news.asked(key);
        this.#ended(key, { waitMs: REPORT_EVERY_MS, failures: 0, parked, limit: message.load.limit });
        this.#ctx.targets.answered(tx, breaker, message, target);
        if (message.gone === true) this.#tellGone(tx, key, breaker.tellGone ?? true);
      });
    } catch (error) {
      this.#ctx.log("breaker.unreachable", { target: key, error: loggedError(error) });
      await this.#goOnAlone(target).catch(() => this.#underWay.delete(key));
    }
  }

  #goOnAlone(target: Target): Promise<void> {
    const { key } = target;
    const { failures: before, limit } = this.#last.get(key) ?? NO_TALK;
    const failures = before + 1;
    const waitMs = Math.min(MOST_ASK_AGAIN_MS, ASK_AGAIN_MS * 2 ** (failures - 1));
    return this.#group.run((tx) => {
      this.#ended(key, { waitMs, failures, parked: "none", limit });
      this.#ctx.targets.alone(tx, key, this.#leaseMs(target));
      // Nobody can say whether another shard has told.
      this.#tellGone(tx, key, true);
    });
  }

  #tellGone(tx: Tx, key: string, may: boolean): void {
    const task = this.#ctx.targets.news.goneTask(key);
    if (task !== null) tellGone(this.#ctx, tx, key, may ? task : null);
  }

  /** The call is over: in the commit that takes its answer in, the next one is planned. */
  #ended(key: string, talk: Omit<LastTalk, "endedAt" | "notBefore"> & { waitMs: number }): void {
    const { waitMs, ...rest } = talk;
    const now = this.#ctx.now();
    this.#underWay.delete(key);
    this.#last.set(key, { endedAt: now, notBefore: now + waitMs, ...rest });
    if (this.#last.size <= MOST_TALKS) return;
    for (const [other, { notBefore }] of this.#last) if (notBefore <= now) this.#last.delete(other);
  }

  /** What waits for the target's breaker; tasks that have used no attempt are the better probes. */
  #parked(key: string): LastTalk["parked"] {
    if (!hasParked(this.#ctx, key)) return "none";
    return this.#ctx.lanes.isReady(key, this.#ctx.now()) ? "firsts" : "some";
  }

  #message(target: Target): BreakerSync {
    const ctx = this.#ctx;
    const { key, local } = target;
    const { settings, name, ref } = ctx.queue;
    const paths = pathsTold(target.watch, target.splits.length);
    const waits = local.breaker.state !== "closed" && surelyHasParked(ctx, key);
    const candidate = waits && readinessOf(ctx, key) === null ? probeCandidate(ctx, key) : null;
    const budgetLeft = retriesLeft(target, ctx.queue, ctx.now());
    const tasks = waits ? ctx.laneRows.countWaiting(lanesOf(key), MOST_PARKED) : 0;
    const polls = waits && tasks === 0 && pollsWait(ctx, key);
    const mayProbe = (tasks > 0 || polls) && target.heldUntil <= ctx.now();
    const probe = polls && readinessOf(ctx, key) === null ? COST_OF_POLL : candidate && costOf(candidate);
    return {
      key,
      shard: ctx.name,
      queue: name,
      queueRef: ref,
      settings: settings.breaker,
      report: local.own.reach.seq === local.ackedSeq ? null : reportOf(local),
      parked: tasks === 0 && !polls ? null : { tasks: Math.max(1, tasks), probe },
      wantLeaseMs: mayProbe ? this.#leaseMs(target, polls ? LONGEST_POLL_MS : candidate?.timeoutMs) : null,
      probed: ctx.targets.news.probedOf(key),
      load: {
        limit: this.#limitOf(target),
        loadFactor: loadOf(target, ctx.now()),
        budgetLeft: Number.isFinite(budgetLeft) ? budgetLeft : null,
      },
      ...(target.heldUntil > ctx.now() ? { holdUntil: target.heldUntil, holdFrom: target.heldFrom } : {}),
      maxHoldMs: mostHoldMs(settings.retry),
      ...(ctx.targets.news.goneTask(key) !== null ? { gone: true } : {}),
      ...(paths === undefined ? {} : { paths }),
    };
  }

  #limitOf(target: Target): number {
    return allowedCalls(target, this.#ctx.queue.settings, this.#ctx.slots.capacity);
  }

  /** How long a probe may take: as long as the call it would be, at least as any attempt of this queue. */
  #leaseMs({ key }: Target, timeoutMs = 0): number {
    const ofQueue = readinessOf(this.#ctx, key)?.timeout ?? this.#ctx.queue.settings.timeout;
    return Math.max(ofQueue, timeoutMs) + LEASE_MARGIN_MS;
  }
}

function costOf({ attemptsUsed, attemptsLeft }: { attemptsUsed: number; attemptsLeft: number }) {
  return { attemptsUsed, attemptsLeft };
}
