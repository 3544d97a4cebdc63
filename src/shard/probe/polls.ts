import { isRipe, letGoPollAt, pollWaitMs, streaksAfter, withoutRipe } from "../../core/pressure/poll.ts";
import type { Task } from "../../core/task/task.ts";
import { transition } from "../../core/task/transition.ts";
import type { Grant, SettleAnswer, SettleMessage } from "../../protocol/grant.ts";
import { buryPoisoned } from "../lease/bury.ts";
import type { ShardContext } from "../state/context.ts";
import type { Tx } from "../storage/group-commit.ts";
import { type Poll, probeOf } from "../storage/poll-rows.ts";
import { endedPoll, type PollEnd } from "./poll-end.ts";

/** Tasks that a ready probe sets free in one commit, and probes that are looked at; the rest follow in the next. */
const FREE_SLICE = 500;

/** A held task waits for its probe: its URL is polled from its next period on, once for all who wait for it. */
export function watchProbe(ctx: ShardContext, tx: Tx, task: Task): void {
  if (task.until === null || task.until === "signal") return;
  const { probe } = task.until;
  const lane = ctx.scoped.targetOfUrl(probe.url);
  const dueAt = ctx.now() + probe.period;
  ctx.polls.rows.want(probe, lane, dueAt);
  tx.after(() => ctx.polls.lanes.note(lane, dueAt));
}

/** Takes a poll's answer in: ready often enough in a row, and those who wait for it go on. */
export function settlePoll(ctx: ShardContext, tx: Tx, { id, lease, result }: SettleMessage): SettleAnswer {
  const poll = ctx.polls.rows.read(id);
  if (poll === null || poll.leaseUntil === null || poll.lease !== lease)
    return { status: "stale", callback: null, next: [] };
  noteEnd(ctx, tx, poll, endedPoll(ctx, tx, poll, result));
  return { status: "accepted", callback: null, next: [] };
}

/** A poll's lease has lapsed: it counts as not ready. */
export function lapsePoll(ctx: ShardContext, tx: Tx, url: string): void {
  const poll = ctx.polls.rows.read(url);
  if (poll !== null && poll.leaseUntil !== null) noteEnd(ctx, tx, poll, endedPoll(ctx, tx, poll, null));
  else tx.after(() => ctx.flights.remove(url));
}

/** Takes a poll's grant back that no runner started. */
export function takeBackPoll(ctx: ShardContext, tx: Tx, { id, lease }: Grant, dueAt: number): void {
  const poll = ctx.polls.rows.read(id);
  if (poll === null || poll.leaseUntil === null || poll.lease !== lease) return;
  const probe = ctx.flights.get(id)?.probe ?? null;
  if (probe !== null) ctx.targets.probeEnded(tx, poll.lane, probe, null);
  ctx.polls.rows.put({ ...poll, leaseUntil: null, dueAt });
  noteWaits(ctx, tx, poll, dueAt);
}

/**
 * Sets a slice of those free who wait for a URL that is ready. Where there are more, its row says how far it has come,
 * and is due at once; where nobody waits any more it goes.
 */
export function setFree(ctx: ShardContext, tx: Tx, poll: Poll, readyMs: number): void {
  const { url } = poll;
  const left = freeSlice(ctx, tx, poll, readyMs);
  if (left !== null) wait(ctx, tx, { ...poll, readyMs, readyAfter: left.after }, 1);
  else if (ctx.polls.rows.probesHeldOn(url, null, 1).length === 0) forget(ctx, tx, url);
  else {
    const done = { ...poll, streaks: withoutRipe(poll.streaks), readyMs: null, readyAfter: null };
    wait(ctx, tx, done, pollWaitMs(poll.periodMs, 0, ctx.random));
  }
}

/** Null: all who may go are free; else the last probe of whose tasks that is true. */
function freeSlice(ctx: ShardContext, tx: Tx, poll: Poll, readyMs: number): { after: string | null } | null {
  const keys = ctx.polls.rows.probesHeldOn(poll.url, poll.readyAfter, FREE_SLICE);
  let after = poll.readyAfter;
  let left = FREE_SLICE;
  for (const key of keys) {
    const { success_threshold, timeout } = probeOf(key);
    if (readyMs <= timeout && isRipe(poll.streaks, success_threshold)) {
      const ids = ctx.rows.heldOn(key, left + 1);
      for (const id of ids.slice(0, left)) resumeTask(ctx, tx, id);
      if (ids.length > left) return { after };
      left -= ids.length;
    }
    after = key;
  }
  return keys.length < FREE_SLICE ? null : { after };
}

/**
 * What answers asked for counts for `mostMs` from now on at most; 0: it is over. Of the URLs of one lane, or (null) of
 * all. Until when the last of those would have waited that are polled sooner now; null: none are.
 */
export function letPollsGo(ctx: ShardContext, tx: Tx, lane: string | null, mostMs: number): number | null {
  const now = ctx.now();
  let letGo: number | null = null;
  for (const poll of ctx.polls.rows.waitingBeyond(now + mostMs, lane)) {
    const dueAt = letGoPollAt(poll, mostMs, now, ctx.random);
    if (dueAt === poll.dueAt) continue;
    letGo = Math.max(letGo ?? 0, poll.dueAt);
    ctx.polls.rows.putDue(poll.url, dueAt);
    tx.after(() => ctx.polls.lanes.note(poll.lane, dueAt));
  }
  return letGo;
}

function noteEnd(ctx: ShardContext, tx: Tx, poll: Poll, { ready, durationMs, notBefore }: PollEnd): void {
  const failures = ready ? 0 : poll.failures + 1;
  const streaks = streaksAfter(poll.streaks, ready);
  const ended = { ...poll, failures, streaks, leaseUntil: null };
  if (ready) {
    setFree(ctx, tx, ended, durationMs);
    return;
  }
  const waitMs = pollWaitMs(poll.periodMs, failures, ctx.random);
  wait(ctx, tx, ended, Math.max(waitMs, notBefore - ctx.now()));
}

function wait(ctx: ShardContext, tx: Tx, poll: Poll, waitMs: number): void {
  const dueAt = ctx.now() + waitMs;
  ctx.polls.rows.put({ ...poll, dueAt });
  noteWaits(ctx, tx, poll, dueAt);
}

function noteWaits(ctx: ShardContext, tx: Tx, { url, lane }: Poll, dueAt: number): void {
  tx.after(() => {
    ctx.flights.remove(url);
    ctx.polls.lanes.note(lane, dueAt);
  });
}

function forget(ctx: ShardContext, tx: Tx, url: string): void {
  ctx.polls.rows.delete(url);
  tx.after(() => ctx.flights.remove(url));
}

function resumeTask(ctx: ShardContext, tx: Tx, id: string): void {
  try {
    const task = ctx.rows.readWithoutRequest(id);
    if (task === null) return;
    const result = transition(task, { type: "resume", trigger: "probe" }, ctx.terms.transitionContext(task));
    if (result.ok) ctx.tasks.write(tx, result.task, task);
  } catch (error) {
    if (!buryPoisoned(ctx, error)) throw error;
  }
}
